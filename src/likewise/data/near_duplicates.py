"""All pairs of sets whose Jaccard similarity reaches a threshold, up to being joined already: exact, and far from quadratic.

Prefix filtering: order every set by one global order, rare elements first. Two sets with |x ∩ y| / |x ∪ y| ≥ t must then share
an element among the first |x| − ⌈t |x|⌉ + 1 of x and the first |y| − ⌈t |y|⌉ + 1 of y, and |y| ≥ t |x|. So only sets that
meet in such a prefix are compared, and only while they are not of one class yet. Before the sets themselves, their sketches are
compared: bits of which each element flips one, so that sets differ in at least as many elements as sketches do in bits. Unlike
MinHash it misses no pair. Sources: Chaudhuri, Ganti, Kaushik 2006, "A primitive operator for similarity joins in data cleaning";
Bayardo, Ma, Srikant 2007, "Scaling up all pairs similarity search"; Sandes, Teodoro, Melo 2020, "Bitmap filter: speeding up exact
set similarity joins with bitwise operations".

Memory: 0.1 GB, the classes, the sketches (32 bytes a set), the prefixes' elements that occur in two sets (24 bytes each, 80 while
they are sorted), and the pairs that were compared in full and are not alike (8 bytes each); the sets themselves stay on disk.

Shapes: N sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from likewise.data.components import join
from likewise.types import Float64, Int64

UInt64 = NDArray[np.uint64]

COUNTERS = 1 << 22  # elements are counted by the first 22 bits of their hash: too high at worst, which costs time, not pairs
AT_ONCE = 1 << 20  # elements in memory at a time
SKETCH = 4  # words of 64 bits: an element flips the bit that the first 8 bits of its hash name
FARTHEST = 1000  # sets that share an element are compared with at most so many of its other sets, the nearest in size


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of hashed elements, flat: set n is `elements[start[n]:start[n + 1]]`, uint64, distinct and ascending."""

    elements: UInt64
    start: Int64

    @property
    def sizes(self) -> Int64:
        """The number of elements of each set."""
        return np.diff(self.start)

    def take(self, which: Int64) -> tuple[Int64, UInt64]:
        """(position into `which`, element) of all elements of the chosen sets."""
        sizes = self.start[which + 1] - self.start[which]
        position = np.repeat(np.arange(len(which)), sizes)
        within = np.arange(len(position)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return position, self.elements[self.start[which][position] + within]


@dataclass(frozen=True, slots=True)
class Joined:
    """`classes` [N], the smallest set of each set's class; and how many sets share an element with too many to compare all."""

    classes: Int64
    not_compared: int


def join_similar(sets: Sets, classes: Int64, threshold: float) -> Joined:
    """Join every two sets whose Jaccard similarity is at least `threshold` into one class, and so on through chains.

    `classes` [N] are the classes so far (the smallest set of each, as `components` gives them); of each only that one is
    compared. Empty sets are like none.
    """
    heads = np.flatnonzero((classes == np.arange(len(classes))) & (sets.sizes > 0))
    return _compare(sets, classes, _entries(sets, heads, threshold), _sketches(sets, heads), threshold)


def jaccard(sets: Sets, a: Int64, b: Int64) -> Float64:
    """|a ∩ b| / |a ∪ b| of each pair of sets; 0 where both are empty."""
    sizes = sets.sizes
    shared = np.concatenate([_shared(sets, a[part], b[part]) for part in _parts(sizes[a] + sizes[b])] or [np.empty(0, np.int64)])
    similarity: Float64 = shared / np.maximum(sizes[a] + sizes[b] - shared, 1)
    return similarity


def _shared(sets: Sets, a: Int64, b: Int64) -> Int64:
    position, element = (np.concatenate(parts) for parts in zip(sets.take(a), sets.take(b), strict=True))
    order = np.lexsort((element, position))
    position, element = position[order], element[order]
    twice = (position[1:] == position[:-1]) & (element[1:] == element[:-1])
    return np.bincount(position[1:][twice], minlength=len(a))


def _parts(sizes: Int64) -> list[slice]:
    """Slices of a list whose sizes sum to about AT_ONCE at most."""
    if not len(sizes):
        return []
    number = np.cumsum(sizes) // AT_ONCE
    edges = np.concatenate([[0], np.flatnonzero(np.diff(number)) + 1, [len(sizes)]])
    return [slice(start, stop) for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


class _Entries(NamedTuple):
    """The elements of prefixes, sorted by element, then by the size of the set."""

    owner: Int64  # the set
    bucket: Int64  # the number of the element
    reach: Int64  # how many of the entries that follow may be of sets that are alike

    def at(self, chosen: NDArray[np.bool_]) -> _Entries:
        return _Entries(self.owner[chosen], self.bucket[chosen], self.reach[chosen])


def _entries(sets: Sets, heads: Int64, threshold: float) -> _Entries:
    element, owner = _prefixes(sets, heads, threshold)
    order = np.lexsort((owner, sets.sizes[owner], element))
    element, owner = element[order], owner[order]
    bucket = np.cumsum(np.concatenate([np.zeros(1, np.bool_), element[1:] != element[:-1]]))[: len(element)]
    last = _last_partner(bucket, sets.sizes[owner], threshold)
    return _Entries(owner, bucket, last - np.arange(len(owner)))


def _prefixes(sets: Sets, heads: Int64, threshold: float) -> tuple[UInt64, Int64]:
    """(element, set) of every element in the prefix of a set, without those that no other set has."""
    parts = [heads[part] for part in _parts(sets.sizes[heads])]
    counts = np.zeros(COUNTERS, dtype=np.int32)
    for part in parts:
        counts += np.bincount(_counter(sets.take(part)[1]), minlength=COUNTERS).astype(np.int32)
    elements: list[UInt64] = [np.empty(0, dtype=np.uint64)]
    owners: list[Int64] = [np.empty(0, dtype=np.int64)]
    for part in parts:
        position, element = sets.take(part)
        count = counts[_counter(element)]
        order = np.lexsort((element, count, position))
        position, element, count = position[order], element[order], count[order]
        sizes = sets.sizes[part]
        place = np.arange(len(position)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        chosen = (place < (sizes - _least(sizes, threshold) + 1)[position]) & (count > 1)
        elements.append(element[chosen])
        owners.append(part[position[chosen]])
    return np.concatenate(elements), np.concatenate(owners)


def _counter(element: UInt64) -> Int64:
    return (element >> np.uint64(42)).astype(np.int64)


def _least(sizes: Int64, threshold: float) -> Int64:
    """⌈threshold × size⌉, not raised by rounding: 0.9 × 10 is 9."""
    least: Int64 = np.ceil(threshold * sizes - 1e-9).astype(np.int64)
    return least


def _last_partner(bucket: Int64, size: Int64, threshold: float) -> Int64:
    """For each entry, sorted by (bucket, size), the last one of its bucket whose size is at most its own / threshold."""
    if not len(bucket):
        return bucket
    largest = int(size.max()) + 1
    limit = np.minimum(np.floor(size / threshold + 1e-9).astype(np.int64), largest - 1)
    return np.searchsorted(bucket * largest + size, bucket * largest + limit, side="right") - 1


def _sketches(sets: Sets, heads: Int64) -> UInt64:
    """[N, SKETCH]: the bits that the elements of each of the sets `heads` flip; none of them is empty."""
    sketches = np.zeros((len(sets.start) - 1, SKETCH), dtype=np.uint64)
    sizes = sets.sizes[heads]
    for part in _parts(sizes):
        _, element = sets.take(heads[part])
        flipped = np.uint64(1) << (element >> np.uint64(56) & np.uint64(63))
        start = np.cumsum(sizes[part]) - sizes[part]
        for word in range(SKETCH):
            own = np.where(element >> np.uint64(62) == word, flipped, np.uint64(0))
            sketches[heads[part], word] = np.bitwise_xor.reduceat(own, start)
    return sketches


def _compare(sets: Sets, classes: Int64, entries: _Entries, sketches: UInt64, threshold: float) -> Joined:
    """Compare each entry with the next, the next but one, … of its bucket, as long as there is anything of two classes."""
    sizes = sets.sizes
    most = (1 - threshold) / (1 + threshold)  # of the elements of two sets that are alike, those that only one has
    different = np.empty(0, dtype=np.int64)  # keys of pairs that were compared and are not alike, ascending
    for step in range(1, FARTHEST + 1):
        entries = entries.at(_worthwhile(classes, entries, step))
        if not len(entries.owner):
            return Joined(classes, 0)
        chosen = np.flatnonzero(entries.reach >= step)
        a, b = entries.owner[chosen], entries.owner[chosen + step]
        apart = classes[a] != classes[b]
        a, b = a[apart], b[apart]
        flipped = np.bitwise_count(sketches[a] ^ sketches[b]).sum(axis=1, dtype=np.int64)
        possible = flipped <= most * (sizes[a] + sizes[b]) + 1e-6
        a, b = a[possible], b[possible]
        keys = np.unique(np.minimum(a, b) * len(classes) + np.maximum(a, b))
        keys = keys[~_contains(different, keys)]
        a, b = np.divmod(keys, len(classes))
        alike = jaccard(sets, a, b) >= threshold - 1e-12
        classes = join(classes, a[alike], b[alike])
        different = np.sort(np.concatenate([different, keys[~alike]]), kind="stable")  # merges two ascending runs
    left = entries.at(_worthwhile(classes, entries, FARTHEST + 1))
    return Joined(classes, len(np.unique(left.owner[left.reach > FARTHEST])))


def _worthwhile(classes: Int64, entries: _Entries, step: int) -> NDArray[np.bool_]:
    """The entries of buckets in which someone reaches that far, and which hold sets of more than one class."""
    if not len(entries.owner):
        return np.empty(0, dtype=np.bool_)
    classes, bucket = classes[entries.owner], entries.bucket
    start = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
    mixed = np.minimum.reduceat(classes, start) != np.maximum.reduceat(classes, start)
    far = np.maximum.reduceat(entries.reach, start) >= step
    return np.repeat(mixed & far, np.diff(np.append(start, len(bucket))))


def _contains(ordered: Int64, keys: Int64) -> NDArray[np.bool_]:
    place = np.searchsorted(ordered, keys)
    found: NDArray[np.bool_] = np.append(ordered, -1)[place] == keys
    return found
