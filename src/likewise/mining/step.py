"""Pairs to learn from within a training step: hard negatives from a graph built of the present vectors, and random pairs.

Shapes: n hits of an event, Q queries, D dimensions, P pairs. Everything stays on the device of the vectors.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from likewise.data.path_evidence import PathEvidence
from likewise.mining.options import StepMineOptions
from likewise.neighbors.nearest import nearest
from likewise.neighbors.radius import within
from likewise.types import Evidence, Float32, Int64, Negatives, Pairs


class StepMiner:
    """Looks in every training step (a `Miner`): by `options.regimes` hard candidates ("hnm"), random ones ("rp"), or both."""

    when: Literal["step"] = "step"

    def __init__(self, options: StepMineOptions) -> None:
        self.options = options

    def propose(self, vectors: Float32, anchors: Int64, evidence: Evidence, seed: int) -> Negatives:
        """What stands near the anchors, or was drawn for them, and is not alike, by anchor and position; score: −distance."""
        anchors, points = np.unique(anchors), torch.from_numpy(np.array(vectors))
        generator = torch.Generator().manual_seed(seed)
        a, b = distinct(*self.candidates(points, torch.from_numpy(anchors), generator), len(points))
        first, second = a.numpy(), b.numpy()
        turned = ~np.isin(first, anchors)
        anchor, item = np.where(turned, second, first), np.where(turned, first, second)
        apart = evidence.label(anchor, item)[0] != 1
        anchor, item = anchor[apart], item[apart]
        score = -np.linalg.norm(vectors[anchor] - vectors[item], axis=1).astype(np.float32)
        order = np.lexsort((item, -score, anchor))
        return Negatives(anchor[order], item[order], score[order], np.full(len(order), -1, np.int64))

    def candidates(self, vectors: Tensor, queries: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pairs (query, point) [P] of positions by vectors [n, D]; one may occur twice, and a query with itself."""
        found = [self._near(vectors, queries)] if "hnm" in self.options.regimes else []
        if "rp" in self.options.regimes:
            drawn = torch.randint(len(vectors), (len(queries) * self.options.random_pairs,), generator=generator)
            found.append((queries.repeat(self.options.random_pairs), drawn.to(queries.device)))
        a, b = (torch.cat(side) for side in zip(*found, strict=True))
        return a, b

    def _near(self, vectors: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest of each query; one more than asked for, since a query is its own nearest."""
        asked, k = vectors[queries].contiguous(), self.options.max_neighbors + 1
        if self.options.search == "radius":
            edges = within(vectors, self.options.radius, queries=asked, max_neighbors=k)
            return queries[edges.query], edges.point
        k = min(k, len(vectors))
        rows = nearest(asked, vectors, k, distance="euclidean").rows
        return queries.repeat_interleave(k), rows.reshape(-1)


def queries_of(evidence: PathEvidence, options: StepMineOptions, generator: torch.Generator) -> Tensor:
    """Positions [Q] whose surroundings are searched, at most `points_per_batch`, drawn among those that the options name."""
    pool = evidence.signal
    if options.queries == "all":
        pool = torch.arange(evidence.count, device=pool.device)
    elif options.queries == "noise":
        pool = torch.cat([pool, evidence.noise])
    wanted = options.points_per_batch
    if wanted is None or len(pool) <= wanted:
        return pool
    return pool[torch.randperm(len(pool), generator=generator)[:wanted].to(pool.device)]


def distinct(a: Tensor, b: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Each unordered pair of two different positions below `count` once, sorted, the smaller first."""
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    keys = torch.unique((low * count + high)[low != high])
    return keys // max(1, count), keys % max(1, count)


def training_pairs(vectors: Tensor, evidence: PathEvidence, miner: StepMiner, generator: torch.Generator) -> Pairs[Tensor]:
    """All true edges of an event and what the miner finds, each pair once, labelled; masked pairs are left out.

    vectors [n, D]. A known positive that the search found is not counted twice.
    """
    queries = queries_of(evidence, miner.options, generator)
    a, b = miner.candidates(vectors, queries, generator)
    true_a, true_b = evidence.edges
    a, b = distinct(torch.cat([a, true_a]), torch.cat([b, true_b]), len(vectors))
    label, weight = evidence.label(a, b)
    kept = weight > 0
    return Pairs(a[kept], b[kept], label[kept], weight[kept])
