"""Which queries and points are within the radius of each other, as bits.

For each leaf of queries: the leaves of points whose boxes are near, 64 boxes in one operation; for each of those the queries that
are near to its box, 64 queries in one operation; for each of those its distances to the 64 points. A record, 16 bytes, says
which of a leaf's 64 queries have one point. Where points ask about each other only half of the pairs of leaves are searched, and
what is found is recorded for both sides.

Shapes: S slots, L leaves of queries, R records.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from likewise.machine_code import compiled
from likewise.neighbors.lane_code import LANES
from likewise.neighbors.lanes import (
    bit_count,
    box_mask,
    count_lanes,
    greater_mask,
    lowest_bit,
    mark_lanes,
    next_ticket,
    paired_masks,
)
from likewise.neighbors.search import ALL, NONE, ONE, Search, farther
from likewise.neighbors.sorting import SHIFT, Int32, Words
from likewise.neighbors.threads import in_threads, tickets
from likewise.types import Int64

MOST_AT_ONCE = 2 * LANES * LANES  # records of one leaf of queries with 64 leaves of points
USUAL = 16  # records of one slot, for the memory reserved at first: what is never written to costs nothing


class Records(NamedTuple):
    """Who is near, by leaf of queries."""

    words: Words  # [R, 2]: the leaf of queries and the slot of the point in 32 bits each; then the mask of the queries
    starts: Int64  # [L + 1]: where each leaf's records begin
    counts: Int64  # [S]: points of each query slot


class _Found(NamedTuple):
    """What one thread found, in the order of its search."""

    words: Words
    leaf_counts: Int64  # [L]
    counts: Int32  # [S]
    complete: bool


def find_records(search: Search, threads: int, limit: int | None = None) -> Records | None:
    """Search, then sort what all threads found by leaf of queries (counting sort); None if there are many more than `limit`."""
    work = tickets()
    share = np.iinfo(np.int64).max if limit is None else limit // threads
    size = 2 * MOST_AT_ONCE + USUAL * len(search.queries.rows) // threads
    found = in_threads(lambda _: _find(work, search, np.empty((size, 2), dtype=np.uint64), share), threads)
    if not all(part.complete for part in found):
        return None
    leaf_counts = np.array([part.leaf_counts for part in found])
    ends = np.cumsum(leaf_counts.T.ravel()).reshape(leaf_counts.T.shape).T  # by leaf, then by thread
    starts = np.ascontiguousarray(ends - leaf_counts)
    words = np.empty((int(leaf_counts.sum()), 2), dtype=np.uint64)
    in_threads(lambda thread: _gather(found[thread].words, starts[thread].copy(), words), threads)
    counts: Int64 = np.sum([part.counts for part in found], axis=0, dtype=np.int64)
    return Records(words, np.append(starts[0], len(words)), counts)


@compiled
def _find(work: Int64, search: Search, words: Words, limit: int) -> _Found:
    """One thread's part. One long function, since handing arrays to another costs more than what would be done there."""
    queries, points, band = search.queries, search.points, search.band
    dims, leaves, boxes = queries.dims, len(queries.low), len(points.low_tiles)
    leaf_counts = np.zeros(leaves, dtype=np.int64)
    counts = np.zeros(len(queries.rows), dtype=np.int32)
    columns = np.empty(LANES, dtype=np.uint64)
    lanes = np.empty(LANES + 1, dtype=np.int64)  # the queries with points in a leaf, one place more than can be
    masks, doubts = np.empty(LANES + 1, dtype=np.uint64), np.empty(LANES + 1, dtype=np.uint64)
    used = 0
    while True:
        leaf = next_ticket(work)
        if leaf >= leaves or used > limit:
            break
        for group in range(leaf // LANES if search.shared else 0, boxes):
            near = box_mask(points.low_tiles, points.high_tiles, group, queries.low, queries.high, leaf, band.high, dims)
            if search.shared and group == leaf // LANES:
                near &= ALL << np.uint64(leaf % LANES)
            if used + MOST_AT_ONCE > len(words):
                words = _doubled(words)
            while near != NONE:
                other = group * LANES + lowest_bit(near)
                near &= near - ONE
                asking = box_mask(queries.tiles, queries.tiles, leaf, points.low, points.high, other, band.high, dims)
                own = search.shared and other == leaf
                mirrored = search.shared and not own
                start = leaf * LANES
                columns[:] = 0
                marked = NONE
                hits = 0
                while asking != NONE:  # two queries at a time: a tile is loaded once for both
                    first = lowest_bit(asking)
                    asking &= asking - ONE
                    second = lowest_bit(asking) if asking != NONE else first
                    asking &= asking - ONE
                    within, within_second, doubtful, doubtful_second = paired_masks(
                        points.tiles, other, queries.slots, start + first, start + second, band.high, band.low, dims
                    )
                    lanes[hits], masks[hits], doubts[hits] = first, within, doubtful  # kept if the number grows
                    hits += within != NONE
                    lanes[hits], masks[hits], doubts[hits] = second, within_second, doubtful_second
                    hits += (within_second != NONE) & (second != first)
                for hit in range(hits):
                    lane, mask = lanes[hit], masks[hit]
                    slot = start + lane
                    if doubts[hit] != NONE:
                        mask &= ~farther(doubts[hit], queries.slots, slot, points.slots, other, band.radius, dims)
                    if own:
                        mask &= ~(ONE << np.uint64(lane))
                    back = mask if mirrored else NONE
                    if search.once:
                        greater = greater_mask(points.rows, other, queries.rows[slot])
                        mask &= greater
                        back &= ~greater
                    # Nothing is skipped from here on: a branch that depends on the data costs more than the work.
                    mark_lanes(columns, mask, ONE << np.uint64(lane))
                    marked |= mask
                    counts[slot] += np.int32(bit_count(mask))
                    if mirrored:  # other queries have no leaf of that number
                        count_lanes(counts, other, back)
                        words[used, 0] = np.uint64(other) << SHIFT | np.uint64(slot)
                        words[used, 1] = back
                        used += back != NONE
                        leaf_counts[other] += back != NONE
                leaf_counts[leaf] += bit_count(marked)
                while marked != NONE:
                    lane = lowest_bit(marked)
                    marked &= marked - ONE
                    words[used, 0] = np.uint64(leaf) << SHIFT | np.uint64(other * LANES + lane)
                    words[used, 1] = columns[lane]
                    used += 1
    return _Found(words[:used], leaf_counts, counts, used <= limit)


@compiled
def _doubled(words: Words) -> Words:
    larger = np.empty((2 * len(words), 2), dtype=np.uint64)
    larger[: len(words)] = words
    return larger


@compiled
def _gather(own: Words, places: Int64, words: Words) -> None:
    for number in range(len(own)):
        leaf = own[number, 0] >> SHIFT
        place = places[leaf]
        places[leaf] += 1
        words[place, 0] = own[number, 0]
        words[place, 1] = own[number, 1]
