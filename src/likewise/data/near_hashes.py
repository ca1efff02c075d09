"""Near-duplicates among 64-bit hashes: all that differ in at most so many bits, exact, and far from quadratic.

Banding: cut the 64 bits into r + 1 bands. Two hashes that differ in at most r bits must agree in one of them, so only hashes of
equal bits in some band are compared, and a pair is reported at the first band in which it agrees. A band in which too many agree
is cut again, by the bits that still differ; where that does not help, all of them are compared, block by block. None is left out.
Sources: Manku, Jain, Das Sarma 2007, "Detecting near-duplicates for web crawling"; Norouzi, Punjani, Fleet 2012, "Fast search in
Hamming space with multi-index hashing".

Equal hashes are one value; only distinct values are compared. The comparing is compiled by numba on its first use, and done by
numpy, 10 to 20 times as slowly, where numba is missing. Threads are Python's own: numba's do not survive a fork.

Shapes: N hashes, V distinct values, Q queries, P pairs.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from likewise.data.components import join
from likewise.data.near_duplicates import UInt64
from likewise.data.perceptual import distance
from likewise.errors import DataError
from likewise.types import Int64

UInt8 = NDArray[np.uint8]
Task = TypeVar("Task")

WIDTH = 64  # bits of a hash
MOST_BITS = 16  # unlike pictures differ in 32 bits, give or take 4
MOST_PAIRS = 1 << 26  # listed at most: 1.1 GB
MOST_HASHES = (1 << 31) - 1  # two rows make one 64-bit key

SMALL = 2048  # hashes that are compared without bands: less than 1 ms
LARGE = 1 << 14  # hashes of one bucket that are cut into bands again
SAMPLE = 4096  # values, of which the bits are counted
BAND_BITS = 16  # sorted by, at most: numpy's stable sort counts such keys
TASK = 1 << 24  # comparisons that a thread takes on at a time: some milliseconds
ROWS, TILE = 64, 2048  # compared block by block: 16 KiB of hashes stay in the first cache
CHUNK = 64  # hashes compared before looking at the result; fewer are unrolled into single instructions, at a fifth of the speed
BLOCK = 1 << 20  # comparisons at a time without numba: 8 MB
PART = 1 << 20  # pairs at a time where a result is put together

ALL_BITS = np.uint64(2**64 - 1)
HALF, SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
ONES, TWOS, FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
BYTES = np.uint64(0x0101010101010101)
BY_1, BY_2, BY_4, BY_56 = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)

compiling = Lock()  # for threads that ask for the first time at once
log = logging.getLogger("likewise.data.near_hashes")


class HashPairs(NamedTuple):
    """Pairs of rows, `a` < `b` [P] int64, sorted by (a, b), and in how many bits they differ, `distance` [P] uint8."""

    a: Int64
    b: Int64
    distance: UInt8


class NearHashes(NamedTuple):
    """What is near the queries, by query, then distance, then row: `query` and `row` [P] int64, `distance` [P] uint8 in bits."""

    query: Int64
    row: Int64
    distance: UInt8


def pairs_within(hashes: UInt64, bits: int, *, threads: int | None = None) -> HashPairs:
    """All pairs of `hashes` [N] that differ in at most `bits` bits (0 to 16), exactly, each once, with their distances.

    `threads`: all processors that this process may use, if None; the result does not depend on it. DataError for hashes that are
    not uint64 [N], for bits out of range, for threads below 1, and for more than MOST_PAIRS pairs: n equal hashes alone are
    n (n - 1) / 2 of them. `groups_within` lists none.
    """
    _check(hashes, bits)
    workers = _threads(threads)
    distinct = _distinct(hashes)
    found = _Found(bits)
    if bits:
        list_near = _engine().list_near
        _spread(_tasks(distinct.values, bits), [lambda task: found.add(list_near(*task))] * workers)
    keys = _row_pairs(distinct, found)
    a, b = _unpacked(keys)
    apart = np.empty(len(keys), dtype=np.uint8)
    for start in range(0, len(keys), PART):
        part = slice(start, start + PART)
        apart[part] = distance(hashes[a[part]], hashes[b[part]])
    return HashPairs(a, b, apart)


def groups_within(hashes: UInt64, bits: int, *, threads: int | None = None) -> Int64:
    """The smallest row of each hash's group [N]: what differs in at most `bits` bits (0 to 16) is in one group, and so on
    through chains.

    The pairs are not listed: memory is about 200 bytes a hash, whatever is alike. `threads` and errors as for `pairs_within`,
    which gives the same groups through `components`.
    """
    _check(hashes, bits)
    distinct = _distinct(hashes)
    count = len(distinct.values)
    forests = [np.arange(count, dtype=np.int64) for _ in range(_threads(threads))]  # one of each thread: they need no lock
    if bits:
        join_near = _engine().join_near
        _spread(_tasks(distinct.values, bits), [partial(_join_task, join_near, forest) for forest in forests])
    classes = np.arange(count, dtype=np.int64)
    for forest in forests:
        joined = np.flatnonzero(forest != np.arange(count))
        classes = join(classes, joined, forest[joined])
    smallest = np.full(count, len(hashes), dtype=np.int64)
    np.minimum.at(smallest, classes, distinct.rows[distinct.starts[:-1]])
    groups = np.empty(len(hashes), dtype=np.int64)
    groups[distinct.rows] = np.repeat(smallest[classes], distinct.sizes)
    return groups


class HashIndex:
    """Hashes that grow by and by, and are asked for what is near a new one: each is compared, a million in less than 1 ms."""

    def __init__(self) -> None:
        self._hashes = np.zeros(CHUNK, dtype=np.uint64)  # with room at the end, CHUNK of it for comparing in whole chunks
        self._rows = np.arange(CHUNK)  # their numbers, which a search would otherwise write down anew
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, hashes: UInt64) -> None:
        """Append `hashes` [n] uint64; their rows go on from the length so far. DataError if they are anything else."""
        _check_hashes(hashes, self._count)
        after = self._count + len(hashes)
        if after + CHUNK > len(self._hashes):
            room = np.zeros(2 * after + CHUNK, dtype=np.uint64)
            room[: self._count] = self._hashes[: self._count]
            self._hashes, self._rows = room, np.arange(len(room))
        self._hashes[self._count : after] = hashes
        self._count = after

    def near(self, hashes: UInt64 | np.uint64 | int, bits: int, *, threads: int | None = None) -> NearHashes:
        """The rows that differ in at most `bits` bits (0 to 16) from one hash, or from each of `hashes` [Q] uint64.

        `threads` as for `pairs_within`. DataError for hashes that are not uint64 or out of its range, for bits out of range, and
        for more than MOST_PAIRS results.
        """
        queries = _queries(hashes)
        _check(queries, bits)
        count = len(queries)
        begin, end = np.zeros(count, np.int64), np.full(count, self._count, dtype=np.int64)
        work = Work(queries, self._hashes, begin, end, np.arange(count), self._rows, np.empty(0, np.uint64), np.uint64(bits))
        found = _Found(bits)
        list_near = _engine().list_near
        workers = min(_threads(threads), count * self._count // TASK + 1)  # no more than there are tasks
        _spread(_cut(work), [lambda task: found.add(list_near(*task))] * workers)
        keys = found.keys()
        query, row = _unpacked(keys)
        apart = distance(queries[query], self._hashes[row])
        order = np.lexsort((row, apart, query))
        return NearHashes(query[order], row[order], apart[order])

    def arrays(self) -> dict[str, UInt64]:
        """What `from_arrays` makes the same index of: `hashes` [N] uint64."""
        return {"hashes": self._hashes[: self._count].copy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> HashIndex:
        """The index whose `arrays` these are; DataError if they are not."""
        if "hashes" not in arrays:
            found = ", ".join(f'"{name}"' for name in arrays) or "none"
            raise DataError(f'The arrays of a hash index must include "hashes" (found: {found}); write them again by arrays().')
        index = cls()
        index.add(arrays["hashes"])
        return index


def prepare(say: Callable[[str], None] | None = None) -> None:
    """Compile the search ahead of time, or read it from the cache on disk; the first search does it otherwise.

    `say`, where given, hears a line before and a line after. Nothing to do, and nothing said, where numba is missing.
    """
    if not _numba_is_here():
        return
    if say is not None:
        say("Preparing the search among hashes: some seconds the first time on a machine.")
    start = time.perf_counter()
    _engine()
    if say is not None:
        say(f"The search among hashes is ready ({time.perf_counter() - start:.1f} s).")


# The input and what is equal


def _check(hashes: UInt64, bits: int) -> None:
    _check_hashes(hashes)
    if not 0 <= bits <= MOST_BITS:
        raise DataError(f"bits = {bits}; it must be from 0 to {MOST_BITS}, for unlike pictures differ in about {WIDTH // 2}.")


def _check_hashes(hashes: NDArray[Any], before: int = 0) -> None:
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint64 or hashes.ndim != 1:
        given = f"{hashes.dtype} {list(hashes.shape)}" if isinstance(hashes, np.ndarray) else type(hashes).__name__
        raise DataError(f"The hashes are {given}; give them as one row of uint64.")
    if before + len(hashes) > MOST_HASHES:
        raise DataError(f"There are {before + len(hashes)} hashes; search at most {MOST_HASHES} at once.")


def _queries(hashes: UInt64 | np.uint64 | int) -> UInt64:
    """As an array that may be written to, which is the only kind that is compiled for."""
    if isinstance(hashes, int):
        if not 0 <= hashes < 2**WIDTH:
            raise DataError(f"The hash {hashes} does not fit into {WIDTH} bits; give a number from 0 to 2**{WIDTH} - 1.")
        return np.array([hashes], dtype=np.uint64)
    if isinstance(hashes, np.uint64):
        return np.array([hashes], dtype=np.uint64)
    return np.require(hashes, requirements=["C", "W"]) if isinstance(hashes, np.ndarray) else hashes


def _threads(threads: int | None) -> int:
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise DataError(f"threads = {threads}; it must be at least 1, or None for all processors.")
    return threads


class _Distinct(NamedTuple):
    """The distinct values, ascending [V]; those of value v are `rows[starts[v]:starts[v + 1]]`, ascending."""

    values: UInt64
    rows: Int64
    starts: Int64

    @property
    def sizes(self) -> Int64:
        return np.diff(self.starts)


def _distinct(hashes: UInt64) -> _Distinct:
    rows = np.argsort(hashes, kind="stable")
    ordered = hashes[rows]
    first = np.flatnonzero(np.concatenate([np.ones(min(1, len(rows)), np.bool_), ordered[1:] != ordered[:-1]]))
    return _Distinct(ordered[first], rows, np.append(first, len(rows)))


class _Found:
    """The pairs found so far, each as one key: the first in its upper half, the second in its lower."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._pieces = [np.empty(0, dtype=np.uint64)]
        self._count = 0
        self._lock = Lock()

    def add(self, keys: UInt64) -> None:
        with self._lock:
            self._pieces.append(keys)
            self._count += len(keys)
            self.limit(self._count)

    def limit(self, count: int) -> None:
        if count > MOST_PAIRS:
            raise DataError(
                f"More than {MOST_PAIRS} pairs are within bits = {self._bits}, too many to list; ask for fewer bits, or use "
                "groups_within, which lists none."
            )

    def keys(self) -> UInt64:
        return np.concatenate(self._pieces)

    def slices(self) -> Iterator[tuple[Int64, Int64]]:
        """The firsts and the seconds, at most PART at a time."""
        for piece in self._pieces:
            for start in range(0, len(piece), PART):
                yield _unpacked(piece[start : start + PART])


def _row_pairs(distinct: _Distinct, found: _Found) -> UInt64:
    """The keys of all pairs of rows, sorted, given those of the distinct values."""
    sizes = distinct.sizes
    total = int((sizes * (sizes - 1) // 2).sum()) + sum(int((sizes[a] * sizes[b]).sum()) for a, b in found.slices())
    found.limit(total)
    keys = np.empty(total, dtype=np.uint64)
    done = 0
    for part in _expanded(distinct, found):
        keys[done : done + len(part)] = part
        done += len(part)
    keys.sort()
    return keys


def _expanded(distinct: _Distinct, found: _Found) -> Iterator[UInt64]:
    """The keys of the rows of equal values, then of near ones, about PART at a time."""
    rows, starts, sizes = distinct.rows, distinct.starts, distinct.sizes
    ends = np.repeat(starts[1:], sizes)
    for first, last in _slices(ends - np.arange(1, len(rows) + 1), PART):
        place = np.arange(first, last)
        yield _row_keys(rows, place, place + 1, ends[first:last])
    for a, b in found.slices():
        for first, last in _slices(sizes[a] * sizes[b], PART):
            one, other = a[first:last], b[first:last]
            near = np.repeat(other, sizes[one])
            yield _row_keys(rows, _ranges(starts[one], sizes[one]), starts[near], starts[near + 1])


def _row_keys(rows: Int64, left: Int64, begin: Int64, end: Int64) -> UInt64:
    """Of the row at each place `left` with each of those at its places `begin` to `end`, the smaller row first."""
    one, other = rows[np.repeat(left, end - begin)], rows[_ranges(begin, end - begin)]
    return _packed(np.minimum(one, other), np.maximum(one, other))


def _packed(first: Int64, second: Int64) -> UInt64:
    """As keys, which sort by the first, then by the second."""
    keys: UInt64 = first.astype(np.uint64) << SHIFT | second.astype(np.uint64)
    return keys


def _unpacked(keys: UInt64) -> tuple[Int64, Int64]:
    return (keys >> SHIFT).astype(np.int64), (keys & HALF).astype(np.int64)


def _ranges(begin: Int64, counts: Int64) -> Int64:
    """begin[0], begin[0] + 1, … counts[0] of them, then those of begin[1] …"""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(begin - ends + counts, counts)


def _slices(sizes: Int64, most: int) -> Iterator[tuple[int, int]]:
    """(first, last) of slices of a list whose sizes sum to about `most`; none where all are zero."""
    done = np.cumsum(sizes)
    total = int(done[-1]) if len(done) else 0
    if total:
        inner = np.searchsorted(done, np.arange(most, total, most), side="right")
        yield from pairwise(np.unique(np.concatenate([[0], inner, [len(done)]])).tolist())


# What is compared with what


class Work(NamedTuple):
    """Hashes to compare: query q with the points begin[q] to end[q], both ascending, all of them in the order of some band.

    A pair is left to another band if it agrees in all bits of one of the masks `earlier`. The names are what is reported.
    """

    queries: UInt64  # [Q]
    points: UInt64  # with CHUNK more at the end
    begin: Int64  # [Q]
    end: Int64  # [Q]
    query_names: Int64
    point_names: Int64
    earlier: UInt64
    bits: np.uint64


def _tasks(values: UInt64, bits: int) -> Generator[tuple[Work, int, int], None, None]:
    """Every comparison of distinct values that is needed: queries first to last of some work."""
    for work in _banded(values, np.arange(len(values)), ALL_BITS, [], bits):
        yield from _cut(work)


def _banded(values: UInt64, names: Int64, free: np.uint64, earlier: list[np.uint64], bits: int) -> Iterator[Work]:
    """Values that agree outside the bits `free`, compared band by band; together, if they are few or agree in too much."""
    if len(values) < 2:
        return
    masks = _bands(values, free, bits + 1) if len(values) > SMALL else []
    keys = [_key(values, mask) for mask in masks]
    needed = sum(int(np.square(np.bincount(key)).sum()) for key in keys)
    if not keys or 2 * needed > len(values) ** 2:
        yield _all_pairs(values, names, np.full(len(values), len(values)), earlier, bits)
        return
    for number, (mask, key) in enumerate(zip(masks, keys, strict=True)):
        before = [*earlier, *masks[:number]]
        order = np.argsort(key, kind="stable")
        sizes = np.bincount(key)
        ends = np.cumsum(sizes)
        for bucket in np.flatnonzero(sizes > LARGE):
            place = order[ends[bucket] - sizes[bucket] : ends[bucket]]
            yield from _banded(values[place], names[place], free & ~mask, before, bits)
        moderate = (sizes > 1) & (sizes <= LARGE)
        place = order[np.repeat(moderate, sizes)]
        sizes = sizes[moderate]
        yield _all_pairs(values[place], names[place], np.repeat(np.cumsum(sizes), sizes), before, bits)


def _all_pairs(values: UInt64, names: Int64, end: Int64, earlier: list[np.uint64], bits: int) -> Work:
    """Each value with those after it, up to its `end`."""
    points = np.append(values, np.zeros(CHUNK, dtype=np.uint64))
    begin = np.arange(1, len(values) + 1)
    return Work(points[: len(values)], points, begin, end, names, names, np.array(earlier, dtype=np.uint64), np.uint64(bits))


def _bands(values: UInt64, free: np.uint64, count: int) -> list[np.uint64]:
    """Masks that cut the bits of `free` in which the values differ into so many bands; [] if such bits are too few.

    Each band is to tell values apart as well as the others, by what the bits tell one by one: the more evenly they are set, the
    more. Of a band of more than BAND_BITS only those are kept that tell most: who agrees in all of it agrees in them.
    """
    varying = int(free & (np.bitwise_or.reduce(values) ^ np.bitwise_and.reduce(values)))
    places = [place for place in range(WIDTH) if varying >> place & 1]
    if len(places) < count:
        return []
    sample = values[:: len(values) // SAMPLE | 1]  # an odd step: values may be regular
    share = np.array([np.mean(sample >> np.uint64(place) & BY_1) for place in places])
    told = -np.log2(share**2 + (1 - share) ** 2)  # half of the pairs agree in a bit that is set evenly: 1
    sums = np.cumsum(told)  # up to and with each bit
    edges = [0]
    for number in range(1, count):
        edge = int(np.searchsorted(sums - told / 2, sums[-1] * number / count))
        edges.append(min(max(edge, edges[-1] + 1), len(places) - count + number))
    bands = [range(start, stop) for start, stop in pairwise([*edges, len(places)])]
    kept = [sorted(band, key=lambda n: -round(told[n], 1))[:BAND_BITS] for band in bands]
    return [np.uint64(sum(1 << places[n] for n in band)) for band in kept]


def _key(values: UInt64, mask: np.uint64) -> NDArray[np.uint16]:
    """The bits under the mask, moved together."""
    key = np.zeros(len(values), dtype=np.uint64)
    left, place = int(mask), 0
    filled = 0
    while left:
        skip = (left & -left).bit_length() - 1
        left >>= skip
        run = (~left & (left + 1)).bit_length() - 1
        place += skip
        key |= (values >> np.uint64(place) & np.uint64((1 << run) - 1)) << np.uint64(filled)
        left >>= run
        place += run
        filled += run
    return key.astype(np.uint16)


def _cut(work: Work) -> Generator[tuple[Work, int, int], None, None]:
    """Tasks of about TASK comparisons."""
    for first, last in _slices(work.end - work.begin, TASK):
        yield work, first, last


def _spread(tasks: Generator[Task, None, None], workers: Sequence[Callable[[Task], None]]) -> None:
    """Hand out the tasks, to each worker in a thread of its own; after an error no more are handed out, and it is raised."""
    lock = Lock()

    def serve(worker: Callable[[Task], None]) -> None:
        while True:
            with lock:
                task = next(tasks, None)
            if task is None:
                return
            worker(task)

    if len(workers) == 1:
        serve(workers[0])
        return
    with ThreadPoolExecutor(len(workers), thread_name_prefix="likewise-hashes") as pool:
        served = [pool.submit(serve, worker) for worker in workers]
        try:
            wait(served, return_when=FIRST_EXCEPTION)
        finally:  # after an error here or there, an interrupt among them
            with lock:
                tasks.close()
        for each in served:
            each.result()


def _join_task(join_near: Callable[..., None], forest: Int64, task: tuple[Work, int, int]) -> None:
    join_near(*task, forest)


# The comparing


class _Engine(NamedTuple):
    """How queries first to last are compared."""

    list_near: Callable[[Work, int, int], UInt64]  # the keys of the near pairs
    join_near: Callable[[Work, int, int, Int64], None]  # near pairs get one root in the forest: a parent for each name


def _engine() -> _Engine:
    if not _numba_is_here():
        return _Engine(_list_by_numpy, _join_by_numpy)
    with compiling:
        return _compiled()


def _numba_is_here() -> bool:
    return importlib.util.find_spec("numba") is not None


@cache
def _compiled() -> _Engine:
    """In machine code, cached on disk. The lock file: numba numbers the files of its cache without one, so that of two processes
    that compile at once one may later be given the other's code.
    """
    from numba import njit
    from numba.extending import register_jitable

    log.info("Preparing the search among hashes: some seconds the first time on a machine.")
    for function in (_bits_set, _near_in_tile, _root, _of_one_root):
        register_jitable(function)  # so that what follows may call them
    list_near, join_near = (njit(cache=True, nogil=True)(function) for function in (_list_near, _join_near))
    folder = Path(list_near.stats.cache_path)
    folder.mkdir(parents=True, exist_ok=True)
    nothing = _all_pairs(np.zeros(2, np.uint64), np.arange(2), np.full(2, 2), [], 0)
    with FileLock(folder / "likewise-hashes.lock"):
        list_near(nothing, 0, 2)
        join_near(nothing, 0, 2, np.arange(2))
    return _Engine(list_near, join_near)


def _list_near(work: Work, first: int, last: int) -> UInt64:
    """Compiled: the keys of the near pairs of the queries first to last."""
    found = np.empty(1024, dtype=np.uint64)
    count = 0
    room = np.empty(ROWS * TILE, dtype=np.uint64)
    for block in range(first, last, ROWS):
        after = min(block + ROWS, last)
        for tile in range(work.begin[block], work.end[after - 1], TILE):
            more = _near_in_tile(work, block, after, tile, room)
            if count + more > len(found):
                wider = np.empty(2 * (count + more), dtype=np.uint64)
                wider[:count] = found[:count]
                found = wider
            found[count : count + more] = room[:more]
            count += more
    return found[:count].copy()


def _join_near(work: Work, first: int, last: int, forest: Int64) -> None:
    """Compiled: join the near ones among the queries first to last and their points, unless all in a tile are joined already."""
    room = np.empty(ROWS * TILE, dtype=np.uint64)
    for block in range(first, last, ROWS):
        after = min(block + ROWS, last)
        for tile in range(work.begin[block], work.end[after - 1], TILE):
            if _of_one_root(work, block, after, tile, forest):
                continue
            for number in range(_near_in_tile(work, block, after, tile, room)):
                one = _root(forest, np.int64(room[number] >> SHIFT))
                other = _root(forest, np.int64(room[number] & HALF))
                forest[max(one, other)] = min(one, other)


def _near_in_tile(work: Work, first: int, after: int, tile: int, room: UInt64) -> int:
    """Compiled: write the keys of the near pairs of a block of queries and a tile of points to `room`; how many they are."""
    points, bits = work.points, work.bits
    count = 0
    for query in range(first, after):
        own = work.queries[query]
        high = min(work.end[query], tile + TILE)
        for chunk in range(max(work.begin[query], tile), high, CHUNK):
            part = points[chunk : chunk + CHUNK]  # numba cannot tell that chunk + number is not negative, and would gather
            least = _bits_set(own ^ part[0])
            for number in range(CHUNK):  # a fixed number without a branch: so the compiler makes vectors of it
                least = min(least, _bits_set(own ^ part[number]))
            if least > bits:
                continue
            for point in range(chunk, min(chunk + CHUNK, high)):
                differing = own ^ points[point]
                new = _bits_set(differing) <= bits
                for mask in work.earlier:
                    new = new and differing & mask != 0
                if new:
                    room[count] = np.uint64(work.query_names[query]) << SHIFT | np.uint64(work.point_names[point])
                    count += 1
    return count


def _bits_set(word: np.uint64) -> np.uint64:
    """Compiled: how many bits are set, as one instruction: compilers know this sum (Warren, "Hacker's Delight", 5-1)."""
    word = word - (word >> BY_1 & ONES)
    word = (word & TWOS) + (word >> BY_2 & TWOS)
    return ((word + (word >> BY_4)) & FOURS) * BYTES >> BY_56


def _root(forest: Int64, name: Any) -> Any:
    """Compiled: the root of a name; its path is halved on the way."""
    while forest[name] != name:
        forest[name] = forest[forest[name]]
        name = forest[name]
    return name


def _of_one_root(work: Work, first: int, after: int, tile: int, forest: Int64) -> bool:
    """Compiled: whether all queries of a block and all points of a tile that they may meet are joined."""
    root = _root(forest, work.query_names[first])
    for query in range(first + 1, after):
        if _root(forest, work.query_names[query]) != root:
            return False
    for point in range(tile, min(tile + TILE, work.end[after - 1])):  # noqa: SIM110  # numba knows no generators
        if _root(forest, work.point_names[point]) != root:
            return False
    return True


def _list_by_numpy(work: Work, first: int, last: int) -> UInt64:
    return np.concatenate([np.empty(0, dtype=np.uint64), *_near_by_numpy(work, first, last)])


def _join_by_numpy(work: Work, first: int, last: int, forest: Int64) -> None:
    keys = np.empty(0, dtype=np.uint64)
    for more in _near_by_numpy(work, first, last):
        keys = np.concatenate([keys, more])
        if len(keys) > len(forest):  # joining takes as long as the forest is large
            forest[:] = join(forest, *_unpacked(keys))
            keys = keys[:0]
    forest[:] = join(forest, *_unpacked(keys))


def _near_by_numpy(work: Work, first: int, last: int) -> Iterator[UInt64]:
    """The keys of the near pairs, by blocks of queries that have the same end."""
    widths = work.end - work.begin
    query = first
    while query < last:
        bucket = min(int(np.searchsorted(work.end, work.end[query], side="right")), last)
        after = min(bucket, query + max(1, BLOCK // max(1, int(widths[query]))))
        begin = int(work.begin[query])
        differing = work.queries[query:after, None] ^ work.points[None, begin : int(work.end[query])]
        row, column = np.nonzero(np.bitwise_count(differing) <= work.bits)
        met = column + begin >= work.begin[query + row]
        row, column = row[met], column[met]
        for mask in work.earlier:
            new = differing[row, column] & mask != 0
            row, column = row[new], column[new]
        if len(row):
            yield _packed(work.query_names[query + row], work.point_names[begin + column])
        query = after
