"""From the vectors of an event's hits to its candidate graph.

Shapes: n hits, D dimensions, E edges.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from likewise.errors import DataError
from likewise.evaluation.edges import FALSE, MASKED, Bool, Int8, each_pair_once, label_edges
from likewise.graphs.event import EventGraph, HitArrays, Pedigree
from likewise.types import Edges, Float32, Int64


class Search(Protocol):
    """A radius search: `likewise.neighbors.radius.within`, or any other that is exact."""

    def __call__(
        self, points: Float32, radius: float, *, max_neighbors: int | None = None, each_pair_once: bool = False
    ) -> Edges[NDArray[np.generic]]:
        """Pairs of points at most `radius` apart; with `each_pair_once` in one direction only."""
        ...


def build_graph(hits: HitArrays, vectors: Float32, pedigree: Pedigree, search: Search) -> EventGraph:
    """The graph of an event from the vectors [n, D] of its hits, as the pedigree's options ask.

    All pairs within the radius; with `max_neighbors`, those that either hit keeps among its nearest. An edge points from the
    hit nearer to the beam line to the farther one, at equal r from the smaller hit id. Equal input gives an equal graph,
    whatever the search's order. DataError for hits that contradict each other or have another number of vectors.
    """
    hits.check()
    if len(vectors) != len(hits):
        raise DataError(f"Event {hits.event} has {len(hits):,} hits, but {len(vectors):,} vectors: embed the event again.")
    options = pedigree.options
    capped = options.max_neighbors is not None
    near = search(vectors, options.radius, max_neighbors=options.max_neighbors, each_pair_once=not capped)
    edges = each_pair_once(near, len(hits))
    label, place = label_edges(edges, hits.true)
    index = outward(np.stack([edges.query, edges.point]).astype(np.int64), hits.r, hits.hit_id)
    if options.flip:
        index = flipped(index, _drawn(index.shape[1], hits.event, options.seed))
    return EventGraph(
        hits=hits,
        edge_index=index,
        distance=edges.distance.astype(np.float32),
        label=label,
        weight=_weights(label, place, hits.true.weight),
        cut=edges.cut,
        pedigree=pedigree,
    )


def outward(index: Int64, r: NDArray[np.floating], hit_id: Int64) -> Int64:
    """[2, E]: each edge turned so that r (as float32, which files hold) does not fall along it; ties by hit id."""
    a, b = index
    stored = r.astype(np.float32)
    inward = (stored[a] > stored[b]) | ((stored[a] == stored[b]) & (hit_id[a] > hit_id[b]))
    return flipped(index, inward)


def flipped(index: Int64, chosen: Bool) -> Int64:
    """[2, E]: the chosen edges [E] the other way round."""
    turned: Int64 = np.where(chosen, index[::-1], index)
    return turned


def _drawn(count: int, event: str, seed: int) -> Bool:
    """Heads or tails [count], the same for the same event and seed wherever and in whatever order graphs are built."""
    name = int.from_bytes(hashlib.sha256(event.encode()).digest()[:16])
    return np.random.default_rng([seed, name]).random(count) < 0.5


def _weights(label: Int8, place: Int64, true: Float32) -> Float32:
    weights = np.ones(len(label), dtype=np.float32)
    known = label != FALSE
    weights[known] = true[place[known]]
    weights[label == MASKED] = 0
    return weights
