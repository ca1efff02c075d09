"""What weights are worth on the validation events: how pure the graph over all hits is whose radius finds a given share of the
true edges.

Shapes: n hits of an event, T true edges, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from likewise.data.corpus import WholeShard
from likewise.data.path_evidence import PathEvidence
from likewise.evaluation.graph_metrics import PurityAt
from likewise.evaluation.graphs import EventCounts
from likewise.evaluation.measurement import true_edges
from likewise.evaluation.radius_scan import radius_for, true_distances
from likewise.evaluation.surroundings import surroundings
from likewise.mining.step import StepMiner, training_pairs
from likewise.types import Float64, Loss
from likewise.vectors.shards import LoadedShard

SAMPLED = 2048  # hits of an event whose surroundings are counted: a purity of 1% is then known to about 1% of itself
TOLD = ("validation_loss", "radius", "efficiency", "purity", "f1")  # beside the metrics that choose

Embed = Callable[[LoadedShard], Tensor]


class GraphValidation:
    """Measures `PurityAt` metrics over the shards of the validation split, and what `TOLD` names.

    The radius is solved exactly from the true edges. The false edges within it are counted around `SAMPLED` hits of each event,
    the same ones every time: before training the whole graph would be nearly all pairs. Efficiency and purity of all true edges,
    signal or not, and F1 of the signal are those of the first metric's graph. The loss is that of the pairs that a training step
    would find, true ones outside of the radius among them; its draws are the same every time.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        load: Callable[[int], LoadedShard],
        metrics: Sequence[str],
        miner: StepMiner,
        loss: Loss,
        seed: int,
    ) -> None:
        self._numbers = tuple(numbers)
        self._load = load
        self._metrics = {name: PurityAt.parse(name) for name in metrics}
        self._miner = miner
        self._loss = loss
        self._seed = seed

    def measure(self, embed: Embed) -> Mapping[str, float]:
        """Every metric, for vectors [n, D] that `embed` computes; micro over the events."""
        vectors = {number: embed(self._load(number)).float() for number in self._numbers}
        apart = [signal_and_masked(vectors[number], self._load(number).shard) for number in self._numbers]
        counts = {name: self._counts(metric, vectors, apart) for name, metric in self._metrics.items()}
        radius, first = next(iter(counts.values()))
        told = {"radius": radius, **{name: first.value(name) for name in ("efficiency", "purity", "f1")}}
        chosen = {name: found.value("signal_purity") for name, (_, found) in counts.items()}
        loss = float(np.mean([self._loss_of(vectors[number], number) for number in self._numbers]))
        return {**chosen, **told, "validation_loss": loss}

    def _counts(
        self, metric: PurityAt, vectors: Mapping[int, Tensor], apart: Sequence[tuple[Float64, Float64]]
    ) -> tuple[float, EventCounts]:
        """The radius that is solved for the metric, and what all events together count within it."""
        radius = radius_for(metric.efficiency, [signal for signal, _ in apart])
        total = EventCounts()
        for number, (signal, masked) in zip(self._numbers, apart, strict=True):
            false = false_edges(vectors[number], self._load(number).evidence, radius, self._seed + number)
            signal_found, masked_found = (int(np.count_nonzero(distances <= radius)) for distances in (signal, masked))
            total += EventCounts(
                hits=len(vectors[number]),
                edges=signal_found + masked_found + round(false),
                true=len(signal) + len(masked),
                true_found=signal_found + masked_found,
                signal=len(signal),
                signal_found=signal_found,
            )
        return radius, total

    @torch.inference_mode()
    def _loss_of(self, vectors: Tensor, number: int) -> float:
        generator = torch.Generator().manual_seed(self._seed + number)
        pairs = training_pairs(vectors, self._load(number).evidence, self._miner, generator)
        return float(self._loss(vectors, vectors, pairs).loss)


def signal_and_masked(vectors: Tensor, shard: WholeShard) -> tuple[Float64, Float64]:
    """How far apart the hits of each signal edge are, and those of each masked one."""
    true = true_edges(shard)
    apart = true_distances(vectors.cpu().numpy(), true)
    return apart[true.signal], apart[~true.signal]


def false_edges(vectors: Tensor, evidence: PathEvidence, radius: float, seed: int) -> float:
    """The number of pairs of an event within the radius that are no true edge, from a sample of its hits."""
    count, found = len(vectors), 0
    for rows, apart in surroundings(vectors, sampled=SAMPLED, seed=seed):
        query, point = torch.nonzero(apart <= radius, as_tuple=True)
        query = rows[query]
        edge, _ = evidence.edge(query, point)
        found += int((~edge & (query != point)).sum())
    return found * count / min(count, SAMPLED) / 2
