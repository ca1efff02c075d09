"""What is known to be alike with each anchor, laid out for fast look-up.

Shapes: Q anchors, N items, E known (anchor, code) pairs, B anchors of a block, P codes of the anchor that has most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.types import Float32, Int64, Pairs


@dataclass(frozen=True, slots=True)
class KnownAlike:
    """The codes (near-duplicate classes) that are alike with each anchor: its own, and those of its known positives.

    `keys` [E] int64 are place · N + code, ascending; `starts` [Q + 1] where each anchor's keys begin; `documents` [Q] how many
    documents carry one of the anchor's codes; `pairs` the sorted keys place · N + item of the positives that the data states.
    """

    items: int
    keys: Int64
    starts: Int64
    documents: Int64
    pairs: Int64

    @classmethod
    def of(cls, anchors: Int64, alike: Pairs[Int64], stated: Pairs[Int64], code: Int64, documents: Int64) -> KnownAlike:
        """Of ascending anchors [Q], a code for each item [N] and the document rows [M].

        `alike` are all pairs known to be alike or masked, near-duplicates included; `stated` those that the data says. The `a`
        of both are anchors.
        """
        items = len(code)
        assert items * max(1, len(anchors)) < 2**63, "keys would overflow"
        pairs = np.sort(np.searchsorted(anchors, stated.a) * items + stated.b)
        own = np.arange(len(anchors)) * items + code[anchors]
        keys = np.sort(np.concatenate([own, np.searchsorted(anchors, alike.a) * items + code[alike.b]]))
        keys = keys[np.diff(keys, prepend=-1) > 0]  # distinct; ten times as fast here as np.unique
        owner, known = np.divmod(keys, items)
        carried = np.bincount(code[documents], minlength=items)[known]
        counts = np.bincount(owner, weights=carried, minlength=len(anchors)).astype(np.int64)
        starts = np.searchsorted(keys, np.arange(len(anchors) + 1) * items)
        return cls(items, keys, starts.astype(np.int64), counts, pairs)

    def most_codes(self, places: Int64) -> int:
        """P, the codes of the anchor that has most, among those at `places` [B]."""
        return int((self.starts[places + 1] - self.starts[places]).max(initial=0))

    def table(self, places: Int64) -> Int64:
        """[B, P] the codes of each anchor, padded with -1."""
        start, stop = self.starts[places, None], self.starts[places + 1, None]
        at = start + np.arange(self.most_codes(places))
        return np.where(at < stop, self.keys[np.minimum(at, len(self.keys) - 1)] % self.items, -1)

    def holds(self, place: Int64, code: Int64) -> NDArray[np.bool_]:
        """Whether each code is alike with the anchor at each place; any shape."""
        return contains(self.keys, place * self.items + code)

    def is_positive(self, place: Int64, item: Int64) -> NDArray[np.bool_]:
        """Whether the data states that each item is a positive, not only a near-duplicate of one."""
        return contains(self.pairs, place * self.items + item)

    def blocks(self, range_max: int, documents: int, cells: int, anchors: int) -> Iterator[tuple[Int64, int]]:
        """(places, k): blocks of at most so many `cells` and `anchors`; k leaves `range_max` candidates beside what is known.

        Anchors that know about as many documents share a block, so that one with thousands widens no other's list.
        """
        order = np.argsort(self.documents, kind="stable").astype(np.int64)
        width = np.minimum(range_max + self.documents[order], documents)
        start = 0
        while start < len(order):
            load = width[start : start + anchors] * np.arange(1, min(anchors, len(order) - start) + 1)
            stop = start + max(1, int(np.searchsorted(load, cells, side="right")))
            yield order[start:stop], int(width[stop - 1])
            start = stop


@dataclass(frozen=True, slots=True)
class PositiveScores:
    """For each anchor [Q], the `lowest` and `highest` score of its positives (+inf without any), and the `nearest` (-1)."""

    lowest: Float32
    highest: Float32
    nearest: Int64

    @classmethod
    def of(cls, anchors: Int64, positives: Pairs[Int64], scores: Float32) -> PositiveScores:
        """Of ascending anchors and the score [P] of each pair; ties go to the smaller item."""
        lowest = np.full(len(anchors), np.inf, np.float32)
        highest, item = lowest.copy(), np.full(len(anchors), -1, np.int64)
        place = np.searchsorted(anchors, positives.a)
        order = np.lexsort((positives.b, -scores, place))
        place, ordered = place[order], scores[order]
        first = np.flatnonzero(np.diff(place, prepend=-1))
        last = np.append(first[1:], len(place)) - 1
        owner = place[first]
        highest[owner], item[owner] = ordered[first], positives.b[order][first]
        lowest[owner] = ordered[last[: len(first)]]
        return cls(lowest, highest, item)


def contains(sorted_keys: Int64, wanted: Int64) -> NDArray[np.bool_]:
    """Whether each wanted key is one of the sorted keys; any shape."""
    if not len(sorted_keys):
        return np.zeros(wanted.shape, np.bool_)
    at = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    found: NDArray[np.bool_] = sorted_keys[at] == wanted
    return found
