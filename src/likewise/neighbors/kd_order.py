"""Points in the order of a k-d tree, in leaves of 64, each leaf a tile and a box.

Halving at the median along the widest side until 64 points are left (Bentley, Multidimensional binary search trees, 1975); no
tree is kept, since leaves are found by their boxes, 64 boxes at a time. Every leaf but the last is full.

Shapes: N points, D dimensions, L leaves, S = 64 L slots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from likewise.machine_code import compiled
from likewise.neighbors.lane_code import LANES
from likewise.neighbors.sorting import Int32
from likewise.neighbors.threads import in_threads
from likewise.types import Float32

SAMPLE = 128  # points that tell which side of a box is the widest


class Leaves(NamedTuple):
    """Points by leaf. Slot s holds the point of row `rows[s]`; its coordinates are `tiles[s // 64, :, s % 64]`."""

    points: Float32  # [N, D], as they came
    rows: Int32  # [S] int32; 0 in the slots beyond N
    slots: Float32  # [S, D]
    tiles: Float32  # [L, D, 64], +inf beyond N
    low: Float32  # [L, D], the corners of the leaves' boxes
    high: Float32
    low_tiles: Float32  # [⌈L / 64⌉, D, 64], the same, 64 boxes together; +inf beyond L
    high_tiles: Float32
    dims: tuple[int, ...]  # D zeros: its length is known when compiling


def leaves(points: Float32, threads: int) -> Leaves:
    """The k-d order of points [N, D], N > 0."""
    count, dimension = points.shape
    number = -(-count // LANES)
    groups = -(-number // LANES)
    made = Leaves(
        points,
        np.zeros(number * LANES, dtype=np.int32),
        np.empty((number * LANES, dimension), dtype=np.float32),
        np.empty((number, dimension, LANES), dtype=np.float32),
        np.empty((number, dimension), dtype=np.float32),
        np.empty((number, dimension), dtype=np.float32),
        np.full((groups, dimension, LANES), np.inf, dtype=np.float32),
        np.full((groups, dimension, LANES), np.inf, dtype=np.float32),
        (0,) * dimension,
    )
    made.rows[:count] = np.arange(count, dtype=np.int32)
    _order(made, threads)
    cuts = [number * thread // threads for thread in range(threads + 1)]
    in_threads(lambda thread: _fill(made, cuts[thread], cuts[thread + 1]), threads)
    return made


def _order(made: Leaves, threads: int) -> None:
    """Split until every thread has a part, then each part by one thread; which thread does it changes nothing."""
    keys = np.empty(len(made.points), dtype=np.float32)
    parts = [(0, len(made.points))]

    def in_each(split: Callable[..., Any]) -> list[Any]:
        return in_threads(lambda part: split(made.points, made.rows, keys, *parts[part], made.dims), len(parts))

    while len(parts) < threads and parts[0][1] - parts[0][0] > LANES:
        middles = in_each(_split)
        parts = [half for (begin, end), middle in zip(parts, middles, strict=True) for half in ((begin, middle), (middle, end))]
    in_each(_split_fully)


@compiled
def _split_fully(points: Float32, rows: Int32, keys: Float32, begin: int, end: int, dims: tuple[int, ...]) -> None:
    """Order rows[begin:end] down to leaves."""
    waiting = np.empty((64, 2), dtype=np.int64)  # the depth of a tree of halves
    waiting[0] = begin, end
    depth = 1
    while depth:
        depth -= 1
        begin, end = waiting[depth]
        if end - begin <= LANES:
            continue
        middle = _split(points, rows, keys, begin, end, dims)
        waiting[depth] = middle, end
        waiting[depth + 1] = begin, middle
        depth += 2


@compiled
def _split(points: Float32, rows: Int32, keys: Float32, begin: int, end: int, dims: tuple[int, ...]) -> int:
    """Halve rows[begin:end] along the widest side of its box, at a multiple of 64 places from `begin`; where it was cut."""
    if end - begin <= LANES:
        return end
    side = _widest(points, rows, begin, end, dims)
    for place in range(begin, end):
        keys[place] = points[rows[place], side]
    middle = begin + (end - begin + LANES - 1) // LANES // 2 * LANES
    partition(keys, rows, begin, end, middle)
    return middle


@compiled
def _widest(points: Float32, rows: Int32, begin: int, end: int, dims: tuple[int, ...]) -> int:
    best, widest = 0, np.float32(-1)
    step = max(1, (end - begin) // SAMPLE)
    for dimension in range(len(dims)):
        low = high = points[rows[begin], dimension]
        for place in range(begin, end, step):
            value = points[rows[place], dimension]
            low, high = min(low, value), max(high, value)
        if high - low > widest:
            best, widest = dimension, high - low
    return best


@compiled
def partition(keys: Float32, rows: Int32, begin: int, end: int, middle: int) -> None:
    """Reorder keys and rows so that no key before `middle` is greater than one from it on.

    Quickselect (Hoare, 1961) with Lomuto's scheme, which needs no branch that depends on a key: every key is exchanged, and the
    border moves or not.
    """
    while end - begin > 1:
        first, second, third = keys[begin], keys[(begin + end) >> 1], keys[end - 1]
        pivot = max(min(first, second), min(max(first, second), third))
        border = begin
        for place in range(begin, end):
            key, row = keys[place], rows[place]
            keys[place], rows[place] = keys[border], rows[border]
            keys[border], rows[border] = key, row
            border += key < pivot
        if middle < border:
            end = border
            continue
        begin = border
        for place in range(begin, end):  # those equal to the pivot: without them, equal keys would never be done
            key, row = keys[place], rows[place]
            keys[place], rows[place] = keys[border], rows[border]
            keys[border], rows[border] = key, row
            border += key <= pivot
        if middle < border:
            return
        begin = border


@compiled
def _fill(made: Leaves, first: int, last: int) -> None:
    """The tiles and boxes of leaves first to last."""
    count, dimensions = len(made.points), len(made.dims)
    infinity = np.float32(np.inf)
    for leaf in range(first, last):
        for dimension in range(dimensions):
            low, high = infinity, -infinity
            for lane in range(LANES):
                slot = leaf * LANES + lane
                value = infinity
                if slot < count:
                    value = made.points[made.rows[slot], dimension]
                    low, high = min(low, value), max(high, value)
                made.tiles[leaf, dimension, lane] = value
                made.slots[slot, dimension] = value
            made.low[leaf, dimension], made.high[leaf, dimension] = low, high
            made.low_tiles[leaf // LANES, dimension, leaf % LANES] = low
            made.high_tiles[leaf // LANES, dimension, leaf % LANES] = high
