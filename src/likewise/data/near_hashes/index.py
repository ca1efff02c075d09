"""What is near a new hash, among hashes that grow by and by.

Shapes: N hashes, Q queries, P pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from likewise.data.near_hashes.checks import check, check_hashes, thread_count
from likewise.data.near_hashes.engine import engine
from likewise.data.near_hashes.found import Found, unpacked
from likewise.data.near_hashes.kernels import CHUNK, Work
from likewise.data.near_hashes.tasks import TASK, cut, spread
from likewise.data.perceptual import HASH_BITS, UInt64, distance
from likewise.errors import DataError
from likewise.types import Int64

REMEDY = "ask for fewer bits, or for fewer hashes at a time"


class NearHashes(NamedTuple):
    """What is near the queries, by query, then distance, then row: `query` and `row` [P] int64, `distance` [P] uint8 in bits."""

    query: Int64
    row: Int64
    distance: NDArray[np.uint8]


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
        check_hashes(hashes, self._count)
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
        check(queries, bits)
        count = len(queries)
        begin, end = np.zeros(count, np.int64), np.full(count, self._count, dtype=np.int64)
        work = Work(queries, self._hashes, begin, end, np.arange(count), self._rows, np.empty(0, np.uint64), np.uint64(bits))
        found = Found(bits, REMEDY)
        list_near = engine().list_near
        workers = min(thread_count(threads), count * self._count // TASK + 1)  # no more than there are tasks
        spread(cut(work), [lambda task: found.add(list_near(*task))] * workers)
        keys = found.keys()
        query, row = unpacked(keys)
        apart = distance(queries[query], self._hashes[row])
        order = np.lexsort((row, apart, query))
        return NearHashes(query[order], row[order], apart[order])


def _queries(hashes: UInt64 | np.uint64 | int) -> UInt64:
    """As an array that may be written to, which is the only kind that is compiled for."""
    if isinstance(hashes, int):
        if not 0 <= hashes < 2**HASH_BITS:
            raise DataError(f"The hash {hashes} does not fit into {HASH_BITS} bits; give a number from 0 to 2**{HASH_BITS} - 1.")
        return np.array([hashes], dtype=np.uint64)
    if isinstance(hashes, np.uint64):
        return np.array([hashes], dtype=np.uint64)
    return np.require(hashes, requirements=["C", "W"]) if isinstance(hashes, np.ndarray) else hashes
