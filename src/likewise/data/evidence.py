"""Which items are alike: from pairs, from groups, and from both together.

Every lookup is vectorised: a known pair is one sorted int64 key, found by binary search. Three rules hold throughout:

- labels are symmetric in (a, b), and every item is alike itself;
- what is said of one item of a near-duplicate class is said of all of it;
- a contradiction (alike by one word, not alike by another) and a pair of weight 0 are *masked*: label 1 with weight 0,
  which a loss uses neither way.

Shapes: N items, K known pairs. `label` broadcasts its arguments; numpy arrays in, numpy arrays out, and torch tensors in,
torch tensors of the same device out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likewise.types import Evidence, Float32, Int64, Pairs, Scope

MOST_ITEMS = 3_000_000_000  # the key of a pair is a × N + b and must fit 63 bits
NO_KEY = np.iinfo(np.int64).max

Labels = tuple[NDArray[np.int8], Float32]


class PairEvidence:
    """Labelled pairs of item rows, seen through near-duplicate classes.

    `pairs` hold item rows below `items`; `classes` [N] int64 is any code that near-duplicates share (None: all differ). Two
    items are alike (1) if they are of one class or their classes are a known positive pair, not alike (0) if their classes
    are a known negative pair, else unknown (-1, weight 0). Where several pairs join two classes the largest weight counts.
    """

    scope: Scope = "corpus"

    def __init__(self, pairs: Pairs[Int64], items: int, classes: Int64 | None = None) -> None:
        assert items <= MOST_ITEMS
        assert classes is None or len(classes) == items
        every = np.arange(items, dtype=np.int64)
        self._classes = every if classes is None else np.unique(classes, return_inverse=True)[1].astype(np.int64)
        count = int(self._classes.max(initial=-1)) + 1
        a, b = self._classes[pairs.a], self._classes[pairs.b]
        low, high, label, weight = merged_pairs(
            np.minimum(a, b), np.maximum(a, b), pairs.label == 1, pairs.weight.astype(np.float32), count
        )
        self._factor = count
        self._tables = _Tables(
            self._classes,
            np.append(low * count + high, NO_KEY),
            np.append(label, np.int8(-1)),
            np.append(weight, np.float32(0)),
        )
        alike = (label == 1) & (low != high)
        each = np.arange(count, dtype=np.int64)  # every class is alike itself
        self._alike = _Lists.of(
            np.concatenate([low[alike], high[alike], each]), np.concatenate([high[alike], low[alike], each]), count
        )
        self._members = _Lists.of(self._classes, every, count)

    @overload
    def label(self, a: Int64, b: Int64) -> Labels: ...
    @overload
    def label(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]: ...
    def label(self, a: Any, b: Any) -> tuple[Any, Any]:
        """For each pair of item rows: 1 alike, 0 known not alike, -1 unknown (int8); and its weight (float32, 0 = masked)."""
        classes, keys, labels, weights = self._tables.beside(a)
        xp = _namespace(a)
        a, b = classes[a], classes[b]
        wanted = xp.minimum(a, b) * self._factor + xp.maximum(a, b)
        place = xp.searchsorted(keys, wanted)  # below len(keys): NO_KEY stands last, for what is unknown
        found = keys[place] == wanted
        place = xp.where(found, place, len(keys) - 1)
        label, weight = labels[place], weights[place]
        only_class = (a == b) & ~found
        return xp.where(only_class, xp.ones_like(label), label), xp.where(only_class, xp.ones_like(weight), weight)

    def positives(self, rows: Int64) -> Pairs[Int64]:
        """Every other item that `label` calls alike (1) one of the rows, sorted by (a, b); masked ones with weight 0."""
        rows = np.unique(rows)
        position, others = self._alike.take(self._classes[rows])
        place, b = self._members.take(others)
        return _labelled(self, rows[position[place]], b)


class GroupEvidence:
    """Items of one group are alike, of two groups not alike; `codes` [N] int64, -1 for none, of which nothing is known.

    With scope "shard" a code has a meaning only within its shard: `shards` [N] int64 says which is whose, and nothing is
    known of two items of different shards.
    """

    def __init__(self, codes: Int64, scope: Scope = "corpus", shards: Int64 | None = None) -> None:
        assert (scope == "shard") == (shards is not None), "scope shard needs the items' shards, scope corpus has none"
        self.scope: Scope = scope
        shard = np.zeros(len(codes), dtype=np.int64) if shards is None else shards
        grouped = np.flatnonzero(codes >= 0)
        self._groups = np.full(len(codes), -1, dtype=np.int64)
        self._groups[grouped] = np.unique(np.stack([shard, codes])[:, grouped], axis=1, return_inverse=True)[1].ravel()
        self._tables = _Tables(self._groups, shard)
        self._members = _Lists.of(self._groups[grouped], grouped, int(self._groups.max(initial=-1)) + 1)

    @overload
    def label(self, a: Int64, b: Int64) -> Labels: ...
    @overload
    def label(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]: ...
    def label(self, a: Any, b: Any) -> tuple[Any, Any]:
        """For each pair of item rows: 1 one group, 0 two groups, -1 unknown (int8); and weight 1, or 0 where unknown."""
        groups, shards = self._tables.beside(a)
        xp = _namespace(a)
        known = (groups[a] >= 0) & (groups[b] >= 0) & (shards[a] == shards[b])
        alike = (known & (groups[a] == groups[b])) | (a == b)
        known = known | alike
        return _as(alike, xp.int8) - _as(~known, xp.int8), _as(known, xp.float32)

    def positives(self, rows: Int64) -> Pairs[Int64]:
        """Every other item of each row's group, sorted by (a, b), with weight 1."""
        rows = np.unique(rows)
        rows = rows[self._groups[rows] >= 0]
        position, b = self._members.take(self._groups[rows])
        return _labelled(self, rows[position], b)


class Together:
    """Several kinds of evidence as one: what any of them knows is known; contradictions and what any masks are masked."""

    def __init__(self, *parts: Evidence) -> None:
        assert parts
        self.parts = parts
        self.scope: Scope = "corpus" if any(part.scope == "corpus" for part in parts) else "shard"

    @overload
    def label(self, a: Int64, b: Int64) -> Labels: ...
    @overload
    def label(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]: ...
    def label(self, a: Any, b: Any) -> tuple[Any, Any]:
        """For each pair of item rows: 1 if a part says so, else 0 if a part says so, else -1 (int8); and its weight (float32)."""
        xp = _namespace(a)
        label, weight = self.parts[0].label(a, b)
        for part in self.parts[1:]:
            other, its_weight = part.label(a, b)
            both = (label >= 0) & (other >= 0)
            masked = both & ((label != other) | (weight == 0) | (its_weight == 0))
            label, weight = xp.maximum(label, other), xp.where(masked, xp.zeros_like(weight), xp.maximum(weight, its_weight))
        return label, weight

    def positives(self, rows: Int64) -> Pairs[Int64]:
        """Every other item that `label` calls alike (1) one of the rows, sorted by (a, b); masked ones with weight 0."""
        found = [part.positives(rows) for part in self.parts]
        return _labelled(self, np.concatenate([pairs.a for pairs in found]), np.concatenate([pairs.b for pairs in found]))


def evidence_of(pairs: Pairs[Int64], classes: Int64, groups: Int64 | None) -> Evidence:
    """What the pairs of a corpus, its near-duplicates (`classes` [N]) and its groups (codes [N], -1 none) say together.

    An item without a group has that of its near-duplicates, if they have one.
    """
    known = PairEvidence(pairs, len(classes), classes)
    if groups is None:
        return known
    least, most = np.full(len(classes), NO_KEY), np.full(len(classes), -1, dtype=np.int64)
    grouped = groups >= 0
    np.minimum.at(least, classes[grouped], groups[grouped])
    np.maximum.at(most, classes[grouped], groups[grouped])
    of_class = np.where(least == most, most, -1)[classes]
    return Together(known, GroupEvidence(np.where(grouped, groups, of_class)))


class _Tables:
    """Lookup tables, kept as numpy arrays and copied once to each device that asks."""

    def __init__(self, *tables: NDArray[Any]) -> None:
        self._tables = tables
        self._copies: dict[torch.device, tuple[Tensor, ...]] = {}

    def beside(self, a: Any) -> tuple[Any, ...]:
        """The tables as the kind of `a`, where `a` is."""
        if not isinstance(a, Tensor):
            return self._tables
        if a.device not in self._copies:
            self._copies[a.device] = tuple(torch.from_numpy(np.array(table)).to(a.device) for table in self._tables)
        return self._copies[a.device]


@dataclass(frozen=True, slots=True)
class _Lists:
    """A list of int64 values for each of a number of keys, flat: key k has `values[start[k]:start[k + 1]]`, ascending."""

    start: Int64
    values: Int64

    @classmethod
    def of(cls, keys: Int64, values: Int64, count: int) -> _Lists:
        order = np.lexsort((values, keys))
        start = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=count))]).astype(np.int64)
        return cls(start, values[order].astype(np.int64))

    def take(self, keys: Int64) -> tuple[Int64, Int64]:
        """(position into `keys`, value) for every value of every key."""
        counts = self.start[keys + 1] - self.start[keys]
        position = np.repeat(np.arange(len(keys), dtype=np.int64), counts)
        within = np.arange(len(position), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        return position, self.values[self.start[keys][position] + within]


def merged_pairs(
    low: Int64, high: Int64, alike: NDArray[np.bool_], weight: Float32, count: int
) -> tuple[Int64, Int64, NDArray[np.int8], Float32]:
    """One entry per pair of codes below `count`: low, high, label, weight; masked where they disagree or one is masked."""
    keys, entry = np.unique(low * count + high, return_inverse=True)
    low, high = np.divmod(keys, max(count, 1))
    any_alike, any_apart, any_masked = (np.zeros(len(keys), dtype=np.bool_) for _ in range(3))
    any_alike[entry[alike]] = True
    any_apart[entry[~alike]] = True
    any_masked[entry[weight == 0]] = True
    any_alike |= low == high
    largest = np.zeros(len(keys), dtype=np.float32)
    np.maximum.at(largest, entry, weight)
    masked = any_masked | (any_alike & any_apart)
    return low, high, (any_alike | masked).astype(np.int8), np.where(masked, np.float32(0), largest)


def _labelled(evidence: Evidence, a: Int64, b: Int64) -> Pairs[Int64]:
    """Distinct pairs of different items, sorted by (a, b), as the evidence labels them."""
    kept = a != b
    a, b = a[kept], b[kept]
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    if len(a):
        first = np.concatenate([[True], (a[1:] != a[:-1]) | (b[1:] != b[:-1])])
        a, b = a[first], b[first]
    label, weight = evidence.label(a, b)
    return Pairs(a, b, label, weight)


def _namespace(a: Any) -> Any:
    """The module whose functions work on `a`: those used here have one name and meaning in numpy and torch."""
    return torch if isinstance(a, Tensor) else np


def _as(a: Any, dtype: Any) -> Any:
    return a.to(dtype) if isinstance(a, Tensor) else a.astype(dtype)
