"""Batches in which no text stands twice: a random partition of pairs, planned for a whole epoch at once.

Every pair has two codes (the classes of its query and of its document); two pairs of one batch share no code, whichever
column it stands in. Peers walk the shuffled pairs and look each one up; here all batches are dealt at once:

1. Shuffle, and number each code's occurrences. With K batches only the first K of each can find room.
2. Sort by the code that repeats more, codes in random order, and deal the pairs out to the K batches like cards: no code of
   that column falls twice into one batch, and all batches have one size.
3. What still repeats (the other column, or across columns) is exchanged for a random pair of another batch wherever both
   fit; a pair for which no place is found waits.
4. What waits is dealt again, with a smaller size once too few different codes are left.

Pairs that can only stand alone are left out: a batch of one has nothing to contrast. In another epoch it is others.

Shapes: P pairs, K batches of `size` pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.types import Int64

ROUNDS = 24  # of exchanges before a pair has to wait
TRIES = 4  # partners looked at per pair and round


@dataclass(frozen=True, slots=True)
class Partition:
    """Batch n holds the pairs `order[start[n]:start[n + 1]]`; `left_out` could only stand alone."""

    order: Int64
    start: Int64
    left_out: Int64

    def __len__(self) -> int:
        return len(self.start) - 1

    def batch(self, number: int) -> Int64:
        """The pairs of a batch."""
        return self.order[self.start[number] : self.start[number + 1]]


def duplicate_free(a: Int64, b: Int64, size: int, generator: np.random.Generator) -> Partition:
    """Partition pairs with codes `a` [P] and `b` [P] (any int64) into batches of at most `size` ≥ 2 and at least 2 pairs."""
    assert size >= 2
    codes = _compact(a, b)
    waiting = generator.permutation(len(a))
    batches: list[Int64] = []
    sizes: list[Int64] = []
    while len(waiting) >= 2:
        occurrence = _occurrence(codes[waiting])
        room = np.cumsum(np.bincount(occurrence))  # pairs that could be placed in 1, 2, … batches
        size = min(size, int(room[0]))
        if size < 2:
            break
        count = _batches(room, len(waiting), size)
        fits = occurrence < count
        chosen, rest = _first(fits, count * size)
        grid = _deal(codes, waiting[chosen], count, generator)
        placed = _exchange(codes, grid, generator)
        placed &= placed.sum(axis=1, keepdims=True) >= 2
        batches.append(grid[placed])
        sizes.append(placed.sum(axis=1))
        waiting = np.concatenate([waiting[rest], grid[~placed]])
        assert placed.any(), "one batch can always be placed"
    return _shuffled(batches, sizes, waiting, generator)


def _compact(a: Int64, b: Int64) -> Int64:
    """Codes [P, 2] from 0 up; a pair whose codes are equal gets a second one of its own, as it does not repeat itself."""
    codes = np.unique(np.concatenate([a, b]), return_inverse=True)[1].reshape(2, -1).T.astype(np.int64)
    alike = np.flatnonzero(codes[:, 0] == codes[:, 1])
    codes[alike, 1] = codes.max(initial=-1) + 1 + np.arange(len(alike))
    return np.ascontiguousarray(codes)


def _occurrence(codes: Int64) -> Int64:
    """How often one of the pair's codes stands in earlier pairs [n], the larger of both."""
    flat = codes.ravel()
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    index = np.arange(len(flat))
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    number = np.empty(len(flat), dtype=np.int64)
    number[order] = index - np.maximum.accumulate(np.where(first, index, 0))
    return np.maximum(number[0::2], number[1::2])


def _batches(room: Int64, pairs: int, size: int) -> int:
    """The largest number of batches that can be filled."""
    if pairs // size >= len(room):
        return pairs // size
    return int(np.flatnonzero(room >= size * np.arange(1, len(room) + 1))[-1]) + 1


def _first(chosen: NDArray[np.bool_], count: int) -> tuple[Int64, Int64]:
    """Positions of the first `count` chosen ones, and of everything else."""
    places = np.flatnonzero(chosen)[:count]
    rest = np.ones(len(chosen), dtype=np.bool_)
    rest[places] = False
    return places, np.flatnonzero(rest)


def _deal(codes: Int64, pairs: Int64, count: int, generator: np.random.Generator) -> Int64:
    """The pairs in `count` batches [K, size], so that the column which repeats more repeats in no batch."""
    repeats = [int((np.bincount(codes[pairs, column]).astype(np.int64) ** 2).sum()) for column in (0, 1)]
    column = codes[pairs, int(repeats[1] >= repeats[0])]
    place = generator.permutation(int(column.max()) + 1)[column]
    return np.ascontiguousarray(pairs[np.argsort(place, kind="stable")].reshape(-1, count).T)


def _exchange(codes: Int64, grid: Int64, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Exchange pairs between batches, in place, until no code repeats; True where a pair may stay [K, size]."""
    bad = _repeats(codes, grid, _repeating_batches(codes, grid))
    for _ in range(ROUNDS):
        if not len(bad):
            break
        here = np.tile(bad, TRIES)
        there = generator.integers(grid.size, size=len(here))
        here, there = _accepted(codes, grid, here, there)
        flat = grid.reshape(-1)  # a view: places count through all batches
        flat[here], flat[there] = flat[there], flat[here]
        # Whatever fitted stays without repeats, so only batches that had some can have any left.
        bad = _repeats(codes, grid, np.unique(bad // grid.shape[1]))
    placed = np.ones(grid.size, dtype=np.bool_)
    placed[bad] = False
    return placed.reshape(grid.shape)


def _repeating_batches(codes: Int64, grid: Int64) -> Int64:
    ordered = np.sort(codes[grid].reshape(len(grid), -1), axis=1)
    return np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))


def _repeats(codes: Int64, grid: Int64, rows: Int64) -> Int64:
    """The places of all pairs that repeat a code of an earlier place in their batch."""
    flat = codes[grid[rows]].reshape(len(rows), 2 * grid.shape[1])
    order = np.argsort(flat, axis=1, kind="stable")
    ordered = np.take_along_axis(flat, order, axis=1)
    row, place = np.nonzero(ordered[:, 1:] == ordered[:, :-1])
    return np.unique(rows[row] * grid.shape[1] + order[row, place + 1] // 2)


def _accepted(codes: Int64, grid: Int64, here: Int64, there: Int64) -> tuple[Int64, Int64]:
    """The exchanges of places after which no batch has a new repeat, however many of them happen at once."""
    size, pairs = grid.shape[1], grid.ravel()
    rows = np.unique(np.concatenate([here, there]) // size)
    factor = int(codes.max()) + 1
    present = np.sort((rows[:, None, None] * factor + codes[grid[rows]]).ravel())

    def arriving(place: Int64, from_place: Int64) -> Int64:
        """The batch and code [n, 2] that a pair would bring to another place."""
        keys: Int64 = (place // size * factor)[:, None] + codes[pairs[from_place]]
        return keys

    def fits(place: Int64, from_place: Int64) -> NDArray[np.bool_]:
        keys = arriving(place, from_place)
        there_already = np.searchsorted(present, keys, side="right") - np.searchsorted(present, keys, side="left")
        leaving = (codes[pairs[from_place]][:, :, None] == codes[pairs[place]][:, None, :]).sum(axis=2)
        same: NDArray[np.bool_] = (there_already == leaving).all(axis=1)
        return same

    good = (here // size != there // size) & fits(here, there) & fits(there, here)
    here, there = here[good], there[good]
    # Among themselves: the first to use a place, and the first to bring a code to a batch.
    kept = _all_first(np.stack([here, there], axis=1)) & _all_first(np.hstack([arriving(here, there), arriving(there, here)]))
    return here[kept], there[kept]


def _all_first(values: Int64) -> NDArray[np.bool_]:
    """Rows of [n, m] values none of which stands in an earlier row."""
    first = np.zeros(values.size, dtype=np.bool_)
    first[np.unique(values, return_index=True)[1]] = True
    every: NDArray[np.bool_] = np.all(first.reshape(values.shape), axis=1)
    return every


def _shuffled(batches: list[Int64], sizes: list[Int64], left_out: Int64, generator: np.random.Generator) -> Partition:
    """All batches in random order, so that smaller ones do not gather at the end."""
    order, size = (np.concatenate([np.empty(0, dtype=np.int64), *parts]) for parts in (batches, sizes))
    size = size[size > 0]
    start = np.cumsum(size) - size
    moved = generator.permutation(len(size))
    within = np.arange(len(order)) - np.repeat(np.cumsum(size[moved]) - size[moved], size[moved])
    order = order[np.repeat(start[moved], size[moved]) + within]
    return Partition(order, np.concatenate([[0], np.cumsum(size[moved])]).astype(np.int64), left_out)
