"""Groups as evidence: pairs of items of one group, listed or drawn.

An item and its near-duplicate are one picture taken twice: what finds the one has found the other, so they are no pair.

Shapes: N items, n of them rows, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.types import Int64, Pairs

NONE = -1


@dataclass(frozen=True, slots=True)
class Groups:
    """`codes` [N] int64 number each item's group, -1 for none; `names` are the groups', by number."""

    codes: Int64
    names: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[Any]) -> Groups | None:
        """Of a column of any plain values, None for items of no group; None where no item has one."""
        texts = [None if name is None else str(name) for name in names]
        known = sorted({name for name in texts if name is not None})
        if not known:
            return None
        number = {name: place for place, name in enumerate(known)}
        return cls(np.array([NONE if name is None else number[name] for name in texts], dtype=np.int64), tuple(known))

    @property
    def rows(self) -> Int64:
        """The items of a group, ascending."""
        return np.flatnonzero(self.codes >= 0).astype(np.int64)


def listed(groups: Int64, classes: Int64, rows: Int64, among: NDArray[np.bool_]) -> Pairs[Int64]:
    """Every pair of one of the `rows` and another item of its group that `among` [N] allows, no near-duplicate; by (a, b)."""
    others = np.flatnonzero(among & (groups >= 0))
    others = others[np.argsort(groups[others], kind="stable")]
    rows = np.unique(rows[groups[rows] >= 0])
    first, last = (np.searchsorted(groups[others], groups[rows], side=side) for side in ("left", "right"))
    counts = last - first
    a = np.repeat(rows, counts)
    place = np.arange(len(a)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    b = others[place]
    apart = classes[a] != classes[b]
    return _alike(a[apart], b[apart])


def partners(groups: Int64, classes: Int64, rows: Int64, among: NDArray[np.bool_]) -> Int64:
    """[n]: how many others of its group, no near-duplicates, each of the rows finds among what `among` [N] allows."""
    there = among & (groups >= 0)
    width = int(classes.max(initial=0)) + 1
    in_group = np.bincount(groups[there], minlength=int(groups.max(initial=0)) + 1)
    kinds, counts = np.unique(groups[there] * width + classes[there], return_counts=True)
    own = groups[rows] * width + classes[rows]
    place = np.minimum(np.searchsorted(kinds, own), max(len(kinds) - 1, 0))
    copies = np.where(kinds[place] == own, counts[place], 0) if len(kinds) else np.zeros(len(rows))
    found: Int64 = np.where(groups[rows] >= 0, in_group[groups[rows]] - copies, 0).astype(np.int64)
    return found


class GroupPairs:
    """Pairs to train on, drawn anew for each epoch: each of the rows with another of its group, no near-duplicate, at random.

    Rows that have no such partner are left out. The same seed and epoch give the same pairs.
    """

    def __init__(self, groups: Int64, classes: Int64, rows: Int64, seed: int) -> None:
        rows = rows[groups[rows] >= 0]
        order = np.lexsort((rows, classes[rows], groups[rows]))
        self._rows = rows[order].astype(np.int64)
        self._seed = seed
        group, kind = groups[self._rows], classes[self._rows]
        self._group_start, group_stop = _runs(group)
        self._class_start, self._class_stop = _runs(group * (int(classes.max(initial=0)) + 1) + kind)
        self._partners = (group_stop - self._group_start) - (self._class_stop - self._class_start)
        self._anchors = np.flatnonzero(self._partners > 0)

    def __len__(self) -> int:
        return len(self._anchors)

    def of(self, epoch: int) -> Pairs[Int64]:
        """The pairs of an epoch, in the order of the anchors' rows."""
        generator = np.random.default_rng([self._seed, epoch, 1])
        at = self._anchors
        drawn = self._group_start[at] + generator.integers(0, self._partners[at])
        own = self._class_stop[at] - self._class_start[at]
        partner = np.where(drawn >= self._class_start[at], drawn + own, drawn)  # the anchor's own copies are stepped over
        a, b = self._rows[at], self._rows[partner]
        order = np.argsort(a)
        return _alike(a[order], b[order])


def _runs(codes: Int64) -> tuple[Int64, Int64]:
    """For each place of a sorted list, where the run of its code starts and where it stops."""
    start, stop = (np.searchsorted(codes, codes, side=side).astype(np.int64) for side in ("left", "right"))
    return start, stop


def _alike(a: Int64, b: Int64) -> Pairs[Int64]:
    ones = np.ones(len(a), dtype=np.int8)
    return Pairs(a.astype(np.int64), b.astype(np.int64), ones, ones.astype(np.float32))
