"""How many inverted lists must be looked at: the fewest that reach a recall, measured against exhaustive search.

Recall here is recall@10: the share of the ten nearest that the index returns, over held-out queries. A returned item that is as
near as the tenth (within the rounding error) counts, so that duplicates at the cut do not look like misses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from likewise.index.structure import Structure, lists_of, search_structure
from likewise.neighbors.nearest import nearest
from likewise.types import Distance, Float32, Int64

RECALL_AT = 10


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Queries [Q, D] to measure with: other vectors, or documents that each ignore themselves (`own`: their rows [Q])."""

    vectors: Float32
    own: Int64 | None = None

    @property
    def kind(self) -> Literal["queries", "documents"]:
        """What they are."""
        return "queries" if self.own is None else "documents"

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, slots=True)
class Tuned:
    """Lists to look at, and the recall@10 measured with as many."""

    nprobe: int
    recall: float


def held_out_documents(documents: Float32, count: int, seed: int) -> HeldOut:
    """`count` documents (all, if there are fewer) drawn with the seed, each to be searched without itself."""
    rows = np.sort(np.random.default_rng(seed).choice(len(documents), min(count, len(documents)), replace=False))
    return HeldOut(np.ascontiguousarray(documents[rows]), rows.astype(np.int64))


def tune(structure: Structure, documents: Float32, held_out: HeldOut, distance: Distance, target: float) -> Tuned:
    """The fewest lists whose recall reaches the target. `documents` [N, D] are the vectors inside, in their order."""
    measure = _measure(structure, documents, held_out, distance)
    low, high = 0, 1
    recall = measure(high)
    while recall < target and high < lists_of(structure):
        low, high = high, min(2 * high, lists_of(structure))
        recall = measure(high)
    while high - low > 1:  # recall does not fall with more lists: bisect
        middle = (low + high) // 2
        found = measure(middle)
        if found >= target:
            high, recall = middle, found
        else:
            low = middle
    return Tuned(high, recall)


def _measure(structure: Structure, documents: Float32, held_out: HeldOut, distance: Distance) -> Callable[[int], float]:
    """A function from a number of lists to the recall."""
    exclude = None if held_out.own is None else (held_out.own, np.arange(len(documents)))
    truth = nearest(held_out.vectors, documents, RECALL_AT, distance=distance, exclude=exclude)
    present = truth.rows >= 0
    worst = np.where(present, truth.scores, np.inf).min(axis=1, keepdims=True)
    spare = 0 if held_out.own is None else 1

    def measure(nprobe: int) -> float:
        scores, rows = search_structure(structure, held_out.vectors, RECALL_AT + spare, distance, nprobe)
        allowed = rows >= 0
        if held_out.own is not None:
            allowed &= rows != held_out.own[:, None]
        good = (allowed & (scores >= worst - truth.tolerance)).sum(axis=1)
        wanted = present.sum(axis=1)
        return float((np.minimum(good, wanted)[wanted > 0] / wanted[wanted > 0]).mean()) if wanted.any() else 1.0

    return measure
