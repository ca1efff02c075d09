"""The nearest `most` points within a radius of each query.

The leaves of points are visited nearest first. What is within the radius goes to the query's buffer; when that is full, all but
the nearest `most` are dropped, and the query asks from then on only for what is as near as the last of those. Distances in
float32 decide up to the guard band, within it distances in float64 and then rows do, as in all of this search.

Shapes: S slots of queries, L leaves, B places in a buffer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from likewise.machine_code import compiled
from likewise.neighbors.guard_band import Band
from likewise.neighbors.kd_order import Leaves, partition
from likewise.neighbors.lane_code import LANES
from likewise.neighbors.lanes import (
    box_mask,
    distances_and_masks,
    exact_square,
    expect_writing,
    float_bits,
    lowest_bit,
    next_ticket,
)
from likewise.neighbors.pairs_within import Lists, finished, new_lists
from likewise.neighbors.search import NONE, ONE, Search, farther
from likewise.neighbors.sorting import HALF, SHIFT, Int32, Scratch, Words, order_by_distance, radix_sort, scratch
from likewise.neighbors.threads import in_threads, tickets
from likewise.types import Edges, Float32, Int64


class Kept(NamedTuple):
    """What one thread found: for each leaf it took, the lists of its queries one after the other."""

    leaves: Int64
    rows: Int32
    distances: Float32


def nearest_within(search: Search, most: int, threads: int) -> Edges[Any]:
    """The edges by query, then by distance and point; `cut` counts the queries that had more than `most`."""
    slots = len(search.queries.rows)
    counts = np.zeros(slots, dtype=np.int64)
    cut = np.zeros(slots, dtype=np.bool_)
    work = tickets()
    kept = in_threads(lambda _: _search(work, search, most, counts, cut), threads)
    lists = new_lists(search, counts)
    in_threads(lambda thread: _place(search.queries, kept[thread], counts, lists), threads)
    return finished(lists, threads, int(cut.sum()))


@compiled
def _search(work: Int64, search: Search, most: int, counts: Int64, cut: np.ndarray[Any, np.dtype[np.bool_]]) -> Kept:
    queries, points, band, dims = search.queries, search.points, search.band, search.points.dims
    leaves = len(queries.low)
    size = min(2 * most, len(points.points)) + LANES
    gaps, slots = np.empty(LANES * size, dtype=np.float32), np.empty(LANES * size, dtype=np.int32)
    used, limits = np.empty(LANES, dtype=np.int64), np.empty(LANES, dtype=np.float32)
    tile = np.empty(LANES, dtype=np.float32)
    room = scratch(size)
    taken, leaves_taken = np.empty(leaves, dtype=np.int64), 0
    rows, distances, total = np.empty(1 << 16, dtype=np.int32), np.empty(1 << 16, dtype=np.float32), 0
    while True:
        leaf = next_ticket(work)
        if leaf >= leaves:
            break
        used[:] = 0
        limits[:] = band.high
        for word in _near_leaves(queries, leaf, points, band.high):
            other: Any = np.int64(word & HALF)
            asking = box_mask(queries.tiles, queries.tiles, leaf, points.low, points.high, other, limits, dims)
            while asking != NONE:
                lane = lowest_bit(asking)
                asking &= asking - ONE
                slot = leaf * LANES + lane
                mask, surely = distances_and_masks(points.tiles, other, queries.slots, slot, limits[lane], band.low, dims, tile)
                if mask == NONE:
                    continue
                if mask != surely:
                    mask &= ~farther(mask & ~surely, queries.slots, slot, points.slots, other, band.radius, dims)
                if search.shared and other == leaf:
                    mask &= ~(ONE << np.uint64(lane))
                begin = lane * size
                if used[lane] + LANES > size:
                    limits[lane] = min(
                        limits[lane], _drop(gaps, slots, begin, used[lane], most, queries, points, slot, band, room)
                    )
                    used[lane] = most
                    cut[slot] = True
                place = begin + used[lane]
                while mask != NONE:
                    near = lowest_bit(mask)
                    mask &= mask - ONE
                    gaps[place] = tile[near]
                    slots[place] = other * LANES + near
                    place += 1
                used[lane] = place - begin
        taken[leaves_taken] = leaf
        leaves_taken += 1
        if total + LANES * min(most, size) > len(rows):
            rows, distances = _grown(rows, total, LANES * min(most, size)), _grown(distances, total, LANES * min(most, size))
        for lane in range(min(LANES, len(queries.points) - leaf * LANES)):
            slot = leaf * LANES + lane
            if used[lane] > most:
                _drop(gaps, slots, lane * size, used[lane], most, queries, points, slot, band, room)
                used[lane] = most
                cut[slot] = True
            counts[slot] = used[lane]
        total = _sort(leaf, queries, points, slots, used, room, rows, distances, total)
    return Kept(taken[:leaves_taken], rows[:total], distances[:total])


@compiled
def _near_leaves(queries: Leaves, leaf: int, points: Leaves, high: np.float32) -> Words:
    """The leaves of points near to a leaf of queries, the one with the nearest centre first, in the lower halves."""
    words, count = np.empty(len(points.low), dtype=np.uint64), 0
    for group in range(len(points.low_tiles)):
        near = box_mask(points.low_tiles, points.high_tiles, group, queries.low, queries.high, leaf, high, points.dims)
        while near != NONE:
            other = group * LANES + lowest_bit(near)
            near &= near - ONE
            gap = np.float32(0)
            for dimension in range(len(points.dims)):
                between = points.low[other, dimension] - queries.low[leaf, dimension]
                between += points.high[other, dimension] - queries.high[leaf, dimension]
                gap += between * between
            words[count] = np.uint64(float_bits(gap)) << SHIFT | np.uint64(other)
            count += 1
    return radix_sort(words[:count], 31)


@compiled
def _drop(
    gaps: Float32,
    slots: Int32,
    begin: int,
    count: int,
    most: int,
    queries: Leaves,
    points: Leaves,
    query: int,
    band: Band,
    room: Scratch,
) -> np.float32:
    """Keep the `most` nearest of the buffer's `count`, in its first places; the squared distance beyond which none is nearer.

    What is within the guard band around the last of them is compared in float64, then by row; the rest is decided.
    """
    end = begin + count
    partition(gaps, slots, begin, end, begin + most)
    last = gaps[begin]
    for place in range(begin, begin + most):
        last = max(last, gaps[place])
    limit = np.float32(last * (np.float32(1) + band.widening) + band.least)
    sure = np.float32(last * (np.float32(1) - band.widening) - band.least)
    kept, doubtful = begin, 0
    for place in range(begin, end):
        slot = slots[place]
        if gaps[place] < sure:
            gaps[kept], slots[kept] = gaps[place], slot
            kept += 1
        elif gaps[place] <= limit:
            exact = np.sqrt(exact_square(queries.slots, query, points.slots, slot, points.dims))
            room.slots[doubtful], room.rows[doubtful], room.exact[doubtful] = slot, points.rows[slot], exact
            doubtful += 1
    if kept + doubtful > begin + most:
        order_by_distance(doubtful, room)
    else:
        for number in range(doubtful):
            room.order[number] = number
    for number in range(begin + most - kept):
        chosen = room.order[number]
        gaps[kept], slots[kept] = np.float32(room.exact[chosen] * room.exact[chosen]), room.slots[chosen]
        kept += 1
    return limit


@compiled
def _sort(
    leaf: int,
    queries: Leaves,
    points: Leaves,
    slots: Int32,
    used: Int64,
    room: Scratch,
    rows: Int32,
    distances: Float32,
    total: int,
) -> int:
    """Append the sorted lists of one leaf's queries to `rows` and `distances`, from `total` on; where they end."""
    size = len(slots) // LANES
    for lane in range(min(LANES, len(queries.points) - leaf * LANES)):
        for number in range(used[lane]):
            slot = slots[lane * size + number]
            room.rows[number] = points.rows[slot]
            room.exact[number] = np.sqrt(exact_square(queries.slots, leaf * LANES + lane, points.slots, slot, points.dims))
        order_by_distance(used[lane], room)
        for number in range(used[lane]):
            rows[total] = room.rows[room.order[number]]
            distances[total] = room.exact[room.order[number]]
            total += 1
    return total


@compiled
def _grown(values: np.ndarray[Any, Any], used: int, more: int) -> np.ndarray[Any, Any]:
    larger = np.empty(2 * len(values) + more, dtype=values.dtype)
    larger[:used] = values[:used]
    return larger


@compiled
def _place(queries: Leaves, kept: Kept, counts: Int64, lists: Lists) -> None:
    """Copy one thread's lists to their place in the result."""
    point, distance = lists.point, lists.distance
    taken = 0
    for leaf in kept.leaves:
        first = leaf * LANES
        last = min(first + LANES, len(queries.points))
        for slot in range(first, last):
            ahead = lists.starts[queries.rows[min(slot + 1, last - 1)]]
            expect_writing(point, ahead, ahead + counts[min(slot + 1, last - 1)])
            expect_writing(distance, ahead, ahead + counts[min(slot + 1, last - 1)])
            begin = lists.starts[queries.rows[slot]]
            for number in range(counts[slot]):
                point[begin + number] = kept.rows[taken + number]
                distance[begin + number] = kept.distances[taken + number]
            taken += counts[slot]
