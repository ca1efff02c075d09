"""The comparing itself, as Python that numba can compile; `engine` compiles it.

numba's cache on disk is made anew when this file changes, and knows of no other: all that the machine code is made of stands
here, constants and `Work` included.

Shapes: Q queries.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from likewise.data.perceptual import UInt64
from likewise.types import Int64

ROWS, TILE = 64, 2048  # compared block by block: 16 KiB of hashes stay in the first cache
CHUNK = 64  # hashes compared before looking at the result; fewer are unrolled into single instructions, at a fifth of the speed

HALF, SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)  # a key is two names: the first in its upper half, the second in its lower
ONES, TWOS, FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
BYTES = np.uint64(0x0101010101010101)
BY_1, BY_2, BY_4, BY_56 = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)


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


def list_near(work: Work, first: int, last: int) -> UInt64:
    """The keys of the near pairs of the queries first to last."""
    found = np.empty(1024, dtype=np.uint64)
    count = 0
    room = np.empty(ROWS * TILE, dtype=np.uint64)
    for block in range(first, last, ROWS):
        after = min(block + ROWS, last)
        for tile in range(work.begin[block], work.end[after - 1], TILE):
            more = near_in_tile(work, block, after, tile, room)
            if count + more > len(found):
                wider = np.empty(2 * (count + more), dtype=np.uint64)
                wider[:count] = found[:count]
                found = wider
            found[count : count + more] = room[:more]
            count += more
    return found[:count].copy()


def join_near(work: Work, first: int, last: int, forest: Int64) -> None:
    """Join the near ones among the queries first to last and their points, unless all in a tile are joined already."""
    room = np.empty(ROWS * TILE, dtype=np.uint64)
    for block in range(first, last, ROWS):
        after = min(block + ROWS, last)
        for tile in range(work.begin[block], work.end[after - 1], TILE):
            if of_one_root(work, block, after, tile, forest):
                continue
            for number in range(near_in_tile(work, block, after, tile, room)):
                one = root_of(forest, np.int64(room[number] >> SHIFT))
                other = root_of(forest, np.int64(room[number] & HALF))
                forest[max(one, other)] = min(one, other)


def near_in_tile(work: Work, first: int, after: int, tile: int, room: UInt64) -> int:
    """Write the keys of the near pairs of a block of queries and a tile of points to `room`; how many they are."""
    points, bits = work.points, work.bits
    count = 0
    for query in range(first, after):
        own = work.queries[query]
        high = min(work.end[query], tile + TILE)
        for chunk in range(max(work.begin[query], tile), high, CHUNK):
            part = points[chunk : chunk + CHUNK]  # numba cannot tell that chunk + number is not negative, and would gather
            least = bits_set(own ^ part[0])
            for number in range(CHUNK):  # a fixed number without a branch: so the compiler makes vectors of it
                least = min(least, bits_set(own ^ part[number]))
            if least > bits:
                continue
            for point in range(chunk, min(chunk + CHUNK, high)):
                differing = own ^ points[point]
                new = bits_set(differing) <= bits
                for mask in work.earlier:
                    new = new and differing & mask != 0
                if new:
                    room[count] = np.uint64(work.query_names[query]) << SHIFT | np.uint64(work.point_names[point])
                    count += 1
    return count


def bits_set(word: np.uint64) -> np.uint64:
    """How many bits are set, as one instruction: compilers know this sum (Warren, "Hacker's Delight", 5-1)."""
    word = word - (word >> BY_1 & ONES)
    word = (word & TWOS) + (word >> BY_2 & TWOS)
    return ((word + (word >> BY_4)) & FOURS) * BYTES >> BY_56


def root_of(forest: Int64, name: Any) -> Any:
    """The root of a name; its path is halved on the way."""
    while forest[name] != name:
        forest[name] = forest[forest[name]]
        name = forest[name]
    return name


def of_one_root(work: Work, first: int, after: int, tile: int, forest: Int64) -> bool:
    """Whether all queries of a block and all points of a tile that they may meet are joined."""
    root = root_of(forest, work.query_names[first])
    for query in range(first + 1, after):
        if root_of(forest, work.query_names[query]) != root:
            return False
    for point in range(tile, min(tile + TILE, work.end[after - 1])):  # noqa: SIM110  # numba knows no generators
        if root_of(forest, work.point_names[point]) != root:
            return False
    return True
