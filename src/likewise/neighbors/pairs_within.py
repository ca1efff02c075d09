"""All pairs within a radius, as sorted lists in their final place.

Writing 100 MB in short runs all over the result takes longer than finding the pairs: the memory of a list is fetched before it
is written, and the column `query`, which needs no search, is written from beginning to end.

Shapes: Q queries, E edges.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from likewise.machine_code import compiled
from likewise.neighbors.lane_code import LANES
from likewise.neighbors.lanes import exact_square, expect_writing, lowest_bit, next_ticket
from likewise.neighbors.records import Records, find_records
from likewise.neighbors.search import NONE, ONE, Search
from likewise.neighbors.sorting import HALF, SHIFT, Int32, Scratch, Words, order_by_distance, radix_sort, scratch
from likewise.neighbors.threads import in_threads, tickets
from likewise.types import Edges, Float32, Int64

MOST_RECORDS = 32  # of one query, 16 bytes each, to cut the lists after collecting them: faster where it is possible


class Lists(NamedTuple):
    """The result while it is written: query q's edges are starts[q] to starts[q + 1]."""

    starts: Int64  # [Q + 1]
    query: Int64  # [E], as the following
    point: Int64
    distance: Float32


def pairs_within(search: Search, threads: int, most: int | None = None) -> Edges[Any] | None:
    """The edges by query, then by distance and point; if `once`, by query and point.

    With `most` only the nearest of each query, and None where so much is near that all of it should not be collected first.
    """
    records = find_records(search, threads, None if most is None else MOST_RECORDS * len(search.queries.rows))
    if records is None:
        return None
    kept = records.counts if most is None else np.minimum(records.counts, most)
    lists = new_lists(search, kept)
    work = tickets()
    if search.once:
        in_threads(lambda _: _list_by_row(work, search, records, lists), threads)
    else:
        longest = int(records.counts.max())
        in_threads(lambda _: _list_by_distance(work, search, records, lists, longest), threads)
    return finished(lists, threads, int((records.counts > kept).sum()))


def new_lists(search: Search, counts: Int64) -> Lists:
    """Room for so many edges of each query slot."""
    rows = search.queries.rows[: len(search.queries.points)]
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    starts[1 + rows] = counts[: len(rows)]
    np.cumsum(starts, out=starts)
    edges = int(starts[-1])
    return Lists(starts, np.empty(edges, np.int64), np.empty(edges, np.int64), np.empty(edges, np.float32))


def finished(lists: Lists, threads: int, cut: int = 0) -> Edges[Any]:
    """With the column `query` written."""
    cuts = np.searchsorted(lists.starts, np.linspace(0, lists.starts[-1], threads + 1)).tolist()
    in_threads(lambda thread: _repeat(lists.starts, lists.query, cuts[thread], cuts[thread + 1]), threads)
    return Edges(lists.query, lists.point, lists.distance, cut)


@compiled
def _list_by_row(work: Int64, search: Search, records: Records, lists: Lists) -> None:
    """Walk through the points of each leaf's records in the order of their rows: so every list comes out sorted."""
    queries, points, dims = search.queries.slots, search.points.slots, search.points.dims
    leaves = len(search.queries.low)
    starts, point, gap = lists.starts, lists.point, lists.distance
    places = np.empty(LANES, dtype=np.int64)
    bits = max(1, int(np.ceil(np.log2(len(search.points.points)))))
    while True:
        leaf = next_ticket(work)
        if leaf >= leaves:
            break
        first = leaf * LANES
        for lane in range(min(LANES, len(search.queries.points) - first)):
            row = search.queries.rows[first + lane]
            places[lane] = starts[row]
            expect_writing(point, starts[row], starts[row + 1])
            expect_writing(gap, starts[row], starts[row + 1])
        begin, end = records.starts[leaf], records.starts[leaf + 1]
        for entry in _by_row(records.words, begin, end, search.points.rows, bits):
            number = np.int64(entry & HALF)
            slot, mask = np.int64(records.words[number, 0] & HALF), records.words[number, 1]
            row = search.points.rows[slot]
            while mask != NONE:
                lane = lowest_bit(mask)
                mask &= mask - ONE
                place = places[lane]
                places[lane] = place + 1
                point[place] = row
                gap[place] = np.sqrt(exact_square(queries, first + lane, points, slot, dims))


@compiled
def _by_row(records: Words, begin: int, end: int, rows: Int32, bits: int) -> Words:
    """The numbers of the records begin to end, in the lower halves, by the row of their point, a number of so many bits."""
    words = np.empty(end - begin, dtype=np.uint64)
    for number in range(begin, end):
        row = rows[np.int64(records[number, 0] & HALF)]
        words[number - begin] = np.uint64(row) << SHIFT | np.uint64(number)
    return radix_sort(words, bits)


@compiled
def _list_by_distance(work: Int64, search: Search, records: Records, lists: Lists, longest: int) -> None:
    """Collect the points of each query of a leaf, then sort them."""
    places = np.empty(LANES, dtype=np.int64)
    room = np.empty(LANES * LANES, dtype=np.int32)
    room_to_sort = scratch(longest)
    while True:
        leaf = next_ticket(work)
        if leaf >= len(search.queries.low):
            break
        first = leaf * LANES
        total = 0
        for lane in range(min(LANES, len(search.queries.points) - first)):
            places[lane] = total
            total += records.counts[first + lane]
        if total > len(room):
            room = np.empty(2 * total, dtype=np.int32)
        for number in range(records.starts[leaf], records.starts[leaf + 1]):
            slot, mask = np.int64(records.words[number, 0] & HALF), records.words[number, 1]
            while mask != NONE:
                lane = lowest_bit(mask)
                mask &= mask - ONE
                room[places[lane]] = slot
                places[lane] += 1
        _sort_by_distance(search, first, room, records.counts, lists, room_to_sort)


@compiled
def _sort_by_distance(search: Search, first: int, room: Int32, counts: Int64, lists: Lists, work: Scratch) -> None:
    """Sort the lists of one leaf's queries, which stand in `room` one after the other, into their final places."""
    queries, points, rows, dims = search.queries.slots, search.points.slots, search.points.rows, search.points.dims
    starts, point, gap = lists.starts, lists.point, lists.distance
    last = min(first + LANES, len(search.queries.points))
    done = 0
    for slot in range(first, last):
        query, ahead = search.queries.rows[slot], search.queries.rows[min(slot + 1, last - 1)]
        expect_writing(point, starts[ahead], starts[ahead + 1])
        expect_writing(gap, starts[ahead], starts[ahead + 1])
        count = counts[slot]
        for number in range(count):
            other = room[done + number]
            work.rows[number] = rows[other]
            work.exact[number] = np.sqrt(exact_square(queries, slot, points, other, dims))
        order_by_distance(count, work)
        begin = starts[query]
        for place in range(starts[query + 1] - begin):
            number = work.order[place]
            point[begin + place] = work.rows[number]
            gap[begin + place] = work.exact[number]
        done += count


@compiled
def _repeat(starts: Int64, repeated: Int64, first: int, last: int) -> None:
    """Write each query's number at all of its edges."""
    for query in range(first, last):
        for place in range(starts[query], starts[query + 1]):
            repeated[place] = query
