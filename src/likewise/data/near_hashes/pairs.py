"""All pairs of hashes that differ in at most so many bits, listed.

Shapes: N hashes, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from likewise.data.near_hashes.bands import comparisons
from likewise.data.near_hashes.checks import check, thread_count
from likewise.data.near_hashes.distinct import Distinct
from likewise.data.near_hashes.engine import engine
from likewise.data.near_hashes.found import PART, Found, packed, unpacked
from likewise.data.near_hashes.tasks import slices, spread
from likewise.data.perceptual import UInt64, distance
from likewise.types import Int64

REMEDY = "ask for fewer bits, or use groups_within, which lists none"


class HashPairs(NamedTuple):
    """Pairs of rows, `a` < `b` [P] int64, sorted by (a, b), and in how many bits they differ, `distance` [P] uint8."""

    a: Int64
    b: Int64
    distance: NDArray[np.uint8]


def pairs_within(hashes: UInt64, bits: int, *, threads: int | None = None) -> HashPairs:
    """All pairs of `hashes` [N] that differ in at most `bits` bits (0 to 16), exactly, each once, with their distances.

    `threads`: all processors that this process may use, if None; the result does not depend on it. DataError for hashes that are
    not uint64 [N], for bits out of range, for threads below 1, and for more than MOST_PAIRS pairs: n equal hashes alone are
    n (n - 1) / 2 of them. `groups_within` lists none.
    """
    check(hashes, bits)
    keys = _keys(hashes, bits, thread_count(threads))
    a, b = unpacked(keys)
    apart = np.empty(len(keys), dtype=np.uint8)
    for start in range(0, len(keys), PART):
        part = slice(start, start + PART)
        apart[part] = distance(hashes[a[part]], hashes[b[part]])
    return HashPairs(a, b, apart)


def _keys(hashes: UInt64, bits: int, workers: int) -> UInt64:
    """The keys of all pairs of rows, sorted."""
    distinct = Distinct.of(hashes)
    found = Found(bits, REMEDY)
    if bits:
        list_near = engine().list_near
        spread(comparisons(distinct.values, bits), [lambda task: found.add(list_near(*task))] * workers)
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


def _expanded(distinct: Distinct, found: Found) -> Iterator[UInt64]:
    """The keys of the rows of equal values, then of near ones, about PART at a time."""
    rows, starts, sizes = distinct.rows, distinct.starts, distinct.sizes
    ends = np.repeat(starts[1:], sizes)
    for first, last in slices(ends - np.arange(1, len(rows) + 1), PART):
        place = np.arange(first, last)
        yield _row_keys(rows, place, place + 1, ends[first:last])
    for a, b in found.slices():
        for first, last in slices(sizes[a] * sizes[b], PART):
            one, other = a[first:last], b[first:last]
            near = np.repeat(other, sizes[one])
            yield _row_keys(rows, _ranges(starts[one], sizes[one]), starts[near], starts[near + 1])


def _row_keys(rows: Int64, left: Int64, begin: Int64, end: Int64) -> UInt64:
    """Of the row at each place `left` with each of those at its places `begin` to `end`, the smaller row first."""
    one, other = rows[np.repeat(left, end - begin)], rows[_ranges(begin, end - begin)]
    return packed(np.minimum(one, other), np.maximum(one, other))


def _ranges(begin: Int64, counts: Int64) -> Int64:
    """begin[0], begin[0] + 1, … counts[0] of them, then those of begin[1] …"""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(begin - ends + counts, counts)
