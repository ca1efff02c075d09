"""Which hashes are compared with which: those that agree in some band of bits.

Shapes: V distinct values.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from likewise.data.near_hashes.kernels import CHUNK, Work
from likewise.data.near_hashes.tasks import cut
from likewise.data.perceptual import HASH_BITS, UInt64
from likewise.types import Int64

SMALL = 2048  # hashes that are compared without bands: less than 1 ms
LARGE = 1 << 14  # hashes of one bucket that are cut into bands again
SAMPLE = 4096  # values, of which the bits are counted
BAND_BITS = 16  # sorted by, at most: numpy's stable sort counts such keys

ALL_BITS = np.uint64(2**64 - 1)


def comparisons(values: UInt64, bits: int) -> Generator[tuple[Work, int, int], None, None]:
    """Every comparison of distinct values [V] that is needed: queries first to last of some work."""
    for work in _banded(values, np.arange(len(values)), ALL_BITS, [], bits):
        yield from cut(work)


def _banded(values: UInt64, names: Int64, free: np.uint64, earlier: list[np.uint64], bits: int) -> Iterator[Work]:
    """Values that agree outside the bits `free`, compared band by band; together, if they are few or agree in too much."""
    if len(values) < 2:
        return
    masks = _bands(values, free, bits + 1) if len(values) > SMALL else []
    keys = [_key(values, mask) for mask in masks]
    needed = sum(int(np.square(np.bincount(key)).sum()) for key in keys)
    if not keys or 2 * needed > len(values) ** 2:
        yield all_pairs(values, names, np.full(len(values), len(values)), earlier, bits)
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
        yield all_pairs(values[place], names[place], np.repeat(np.cumsum(sizes), sizes), before, bits)


def all_pairs(values: UInt64, names: Int64, end: Int64, earlier: list[np.uint64], bits: int) -> Work:
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
    places = [place for place in range(HASH_BITS) if varying >> place & 1]
    if len(places) < count:
        return []
    sample = values[:: len(values) // SAMPLE | 1]  # an odd step: values may be regular
    share = np.array([np.mean(sample >> np.uint64(place) & np.uint64(1)) for place in places])
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
