"""What weights are worth on the validation events: how pure the graph is whose radius finds a given share of the true edges.

Shapes: n hits of an event, T true edges, D dimensions, m sampled hits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from likewise.data.path_evidence import PathEvidence
from likewise.evaluation.graph_metrics import PurityAt
from likewise.evaluation.radius_scan import radius_for
from likewise.evaluation.surroundings import surroundings
from likewise.vectors.shards import LoadedShard

SAMPLED = 2048  # hits of an event whose surroundings are counted: a purity of 1% is then known to about 1% of itself

Embed = Callable[[LoadedShard], Tensor]


class GraphValidation:
    """Measures `PurityAt` metrics over the shards of the validation split.

    The radius is solved exactly from the true edges. The false edges within it are counted around `SAMPLED` hits of each event,
    the same ones every time: before training the whole graph would be nearly all pairs.
    """

    def __init__(self, numbers: Sequence[int], load: Callable[[int], LoadedShard], metrics: Sequence[str], seed: int) -> None:
        self._numbers = tuple(numbers)
        self._load = load
        self._metrics = {name: PurityAt.parse(name) for name in metrics}
        self._seed = seed

    def measure(self, embed: Embed) -> Mapping[str, float]:
        """Every metric, for vectors [n, D] that `embed` computes; micro over the events."""
        vectors = {number: embed(self._load(number)).float() for number in self._numbers}
        near = [signal_distances(vectors[number], self._load(number).evidence) for number in self._numbers]
        return {name: self._purity(metric, vectors, near) for name, metric in self._metrics.items()}

    def _purity(self, metric: PurityAt, vectors: Mapping[int, Tensor], near: Sequence[np.ndarray]) -> float:
        radius = radius_for(metric.efficiency, near)
        found = float(sum(np.count_nonzero(distances <= radius) for distances in near))
        false = sum(
            false_edges(vectors[number], self._load(number).evidence, radius, self._seed + number) for number in self._numbers
        )
        return found / (found + false)


def signal_distances(vectors: Tensor, evidence: PathEvidence) -> np.ndarray:
    """[T] float64: how far apart the hits of each signal edge are."""
    a, b = evidence.edges
    distances: np.ndarray = (vectors[a].double() - vectors[b].double()).norm(dim=1).cpu().numpy()
    return distances


def false_edges(vectors: Tensor, evidence: PathEvidence, radius: float, seed: int) -> float:
    """The number of pairs of an event within the radius that are no true edge, from a sample of its hits."""
    count, found = len(vectors), 0
    for rows, apart in surroundings(vectors, sampled=SAMPLED, seed=seed):
        query, point = torch.nonzero(apart <= radius, as_tuple=True)
        query = rows[query]
        edge, _ = evidence.edge(query, point)
        found += int((~edge & (query != point)).sum())
    return found * count / min(count, SAMPLED) / 2
