"""How many neighbors hits have: what a graph network will have to carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.types import Edges, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Degrees:
    """`hits` [M] int64: how many hits have 0, 1, … M − 1 neighbors; `cut`: how many lost some to a cap. Events add up."""

    hits: Int64
    cut: int = 0

    def __add__(self, other: Degrees) -> Degrees:
        if not isinstance(other, Degrees):
            return NotImplemented
        total = np.zeros(max(len(self.hits), len(other.hits)), dtype=np.int64)
        total[: len(self.hits)] += self.hits
        total[: len(other.hits)] += other.hits
        return Degrees(total, self.cut + other.cut)

    @property
    def mean(self) -> float:
        """Neighbors per hit; not a number without hits."""
        count = int(self.hits.sum())
        return float(self.hits @ np.arange(len(self.hits)) / count) if count else float("nan")

    def quantile(self, share: float) -> int:
        """The smallest number of neighbors that at least this share of the hits, of which there is one, does not exceed."""
        reached = np.cumsum(self.hits)
        return int(np.searchsorted(reached, share * reached[-1], side="left"))


def neighbors_per_hit(edges: Edges[NDArray[np.generic]], hits: int) -> Int64:
    """[n] int64: the candidate edges at each hit, from both sides; `edges` are unordered pairs, each once."""
    ends = (np.bincount(side.astype(np.int64), minlength=hits) for side in (edges.query, edges.point))
    return np.asarray(sum(ends), dtype=np.int64)


def degrees(edges: Edges[NDArray[np.generic]], hits: int) -> Degrees:
    """The degrees of one event's graph; `edges` as for `neighbors_per_hit`."""
    return Degrees(np.bincount(neighbors_per_hit(edges, hits)).astype(np.int64), edges.cut)
