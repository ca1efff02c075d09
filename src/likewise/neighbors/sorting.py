"""Sorting for many short lists, where a general sort spends its time on mispredicted branches, or on being called.

Up to about a hundred keys the place of a key is counted: how many are less than it, n²/16 vector operations and no branch. Above
that a radix sort takes over (numba's own `argsort` takes ten times as long for a few hundred keys).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from likewise.machine_code import compiled
from likewise.neighbors.lane_code import WIDTH
from likewise.neighbors.lanes import ranks
from likewise.types import Float64

Int32 = np.ndarray[Any, np.dtype[np.int32]]
Words = np.ndarray[Any, np.dtype[np.uint64]]

SHIFT, HALF = np.uint64(32), np.uint64(0xFFFFFFFF)
LARGEST = np.int32(2**31 - 1)
COUNTED = 128  # keys; beyond, the radix sort is faster
FEW = 32  # equal keys that are put in order one by one
KEY_BITS = 18
SMALLEST = 2.0**-900  # a distance that still divides
DIGIT_BITS = 9  # clearing more counters costs more than the pass they save


class Scratch(NamedTuple):
    """The working memory of one thread for lists of one length at most."""

    slots: Int32
    rows: Int32
    keys: Int32
    exact: Float64  # distances
    places: Int32
    taken: Int32
    order: Int32  # the result: positions in the above


@compiled
def scratch(longest: int) -> Scratch:
    """For lists of at most `longest`."""
    size = longest + WIDTH  # keys are compared 16 at a time
    return Scratch(
        np.empty(size, dtype=np.int32),
        np.empty(size, dtype=np.int32),
        np.empty(size, dtype=np.int32),
        np.empty(size, dtype=np.float64),
        np.empty(size, dtype=np.int32),
        np.empty(size, dtype=np.int32),
        np.empty(size, dtype=np.int32),
    )


@compiled
def radix_sort(words: Words, bits: int) -> Words:
    """The words by their upper half, a number of so many bits; equal ones stay in order. `words` is used up."""
    passes = (bits + DIGIT_BITS - 1) // DIGIT_BITS
    digit_bits = (bits + passes - 1) // passes
    places = np.empty(1 << digit_bits, dtype=np.int64)
    lowest = np.uint64((1 << digit_bits) - 1)
    sorted_words = np.empty(len(words), dtype=np.uint64)
    for turn in range(passes):
        shift = SHIFT + np.uint64(turn * digit_bits)
        places[:] = 0
        for number in range(len(words)):
            places[(words[number] >> shift) & lowest] += 1
        total = 0
        for digit in range(len(places)):
            total, places[digit] = total + places[digit], total
        for number in range(len(words)):
            digit = (words[number] >> shift) & lowest
            sorted_words[places[digit]] = words[number]
            places[digit] += 1
        words, sorted_words = sorted_words, words
    return words


@compiled
def order_by_distance(count: int, work: Scratch) -> None:
    """Into `order` the first `count` by `exact`, then by `rows`.

    The keys are the distances as fractions of the greatest, cut to 18 bits, which two passes sort: rounding is monotone, so that
    only equal keys need a closer look.
    """
    greatest = 0.0
    for number in range(count):
        greatest = max(greatest, work.exact[number])
    scale = (2.0**KEY_BITS - 1) / greatest if greatest > SMALLEST else 0.0
    for number in range(count):
        work.keys[number] = np.int32(work.exact[number] * scale)
    if count <= COUNTED:
        most = _order_by_counting(count, work.keys, work.places, work.taken, work.order)
    else:
        most = _order_by_radix(count, work.keys, work.order)
    if most > FEW:
        _order_by_merging(count, work)
    elif most > 1:
        _order_equal_keys(count, work)


@compiled
def _order_by_counting(count: int, keys: Int32, places: Int32, taken: Int32, order: Int32) -> int:
    """How many keys are equal at most."""
    keys[count] = keys[count + 1] = keys[count + 2] = LARGEST
    for first in range(0, count, WIDTH):
        ranks(keys, count, first, places)
    for number in range(count):
        taken[number] = 0
    most = 0
    for number in range(count):
        place = places[number]
        order[place + taken[place]] = number
        taken[place] += 1
        most = max(most, taken[place])
    return most


@compiled
def _order_by_radix(count: int, keys: Int32, order: Int32) -> int:
    """How many keys are equal at most."""
    words = np.empty(count, dtype=np.uint64)
    for number in range(count):
        words[number] = np.uint64(keys[number]) << SHIFT | np.uint64(number)
    words = radix_sort(words, KEY_BITS)
    most = equal = 1
    for place in range(count):
        order[place] = np.int64(words[place] & HALF)
        if place > 0 and words[place] >> SHIFT == words[place - 1] >> SHIFT:
            equal += 1
            most = max(most, equal)
        else:
            equal = 1
    return most


@compiled
def _order_equal_keys(count: int, work: Scratch) -> None:
    """Insertion sort within each run of equal keys."""
    order, keys, exact, rows = work.order, work.keys, work.exact, work.rows
    for place in range(1, count):
        number = order[place]
        free = place
        while free > 0 and keys[order[free - 1]] == keys[number]:
            other = order[free - 1]
            if exact[other] < exact[number] or (exact[other] == exact[number] and rows[other] < rows[number]):
                break
            order[free] = other
            free -= 1
        order[free] = number


@compiled
def _order_by_merging(count: int, work: Scratch) -> None:
    """The general way, for long runs of equal keys."""
    by_row = np.argsort(work.rows[:count])
    by_distance = np.argsort(work.exact[:count][by_row], kind="mergesort")
    work.order[:count] = by_row[by_distance]
