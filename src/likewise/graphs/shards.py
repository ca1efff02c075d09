"""The candidate graph of a shard of the corpus."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from likewise.data.corpus import WholeShard
from likewise.evaluation.measurement import true_edges
from likewise.graphs.build import build_graph
from likewise.graphs.event import EventGraph, HitArrays, Pedigree
from likewise.neighbors.radius import within


def shard_graph(shard: WholeShard, vectors: Tensor, pedigree: Pedigree) -> EventGraph:
    """The graph of an event's hits, whose first three features are r, φ and z, by their vectors [n, D] float32."""
    features, columns = shard.features, shard.columns
    hits = HitArrays(
        event=shard.name,
        hit_id=columns["hit_id"].astype(np.int64),
        particle=columns["particle"].astype(np.int64),
        r=features[:, 0],
        phi=features[:, 1],
        z=features[:, 2],
        features=features,
        true=true_edges(shard),
    )
    return build_graph(hits, vectors.cpu().numpy(), pedigree, within)
