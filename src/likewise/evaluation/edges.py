"""Edges between the hits of one event as sorted integer keys: each unordered pair once, told true, false or masked.

Shapes: n hits, E candidate edges, T true edges. Hits are row numbers from 0 to n − 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.errors import DataError
from likewise.types import Edges, Float32, Int64

Bool = NDArray[np.bool_]
Int8 = NDArray[np.int8]

TRUE, FALSE, MASKED = 1, 0, -1  # what a label says


def edge_keys(a: NDArray[Any], b: NDArray[Any], hits: int) -> Int64:
    """[E] int64: one key for each unordered pair, smaller row × n + larger row; below 2⁶³ for up to three billion hits."""
    first, second = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    keys: Int64 = first * np.int64(hits) + second
    return keys


def key_pairs(keys: Int64, hits: int) -> Int64:
    """[2, E] int64: the pairs of such keys, the smaller row first."""
    return np.stack([keys // hits, keys % hits]) if len(keys) else np.empty((2, 0), dtype=np.int64)


def each_pair_once(edges: Edges[NDArray[np.generic]], hits: int) -> Edges[NDArray[np.generic]]:
    """Directed edges as unordered pairs: query < point, sorted by both, each once, at the smaller of its distances.

    The union of both directions: a pair stays if either of its hits kept the other among its neighbors. `cut` stays as it is.
    """
    assert not len(edges.query) or (edges.query != edges.point).all(), "a hit is not its own neighbor"
    keys = edge_keys(edges.query, edges.point, hits)
    distance = edges.distance
    if len(keys) and not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        keys, distance = keys[starts], np.minimum.reduceat(distance[order], starts)
    query, point = key_pairs(keys, hits)
    return Edges(query, point, distance, edges.cut)


@dataclass(frozen=True, slots=True, eq=False)
class TrueEdges:
    """The true edges of an event, each unordered pair once, sorted by `key` [T] int64.

    `signal` [T] bool: what the model is asked to find; true edges that are not signal are *masked*, neither right nor wrong.
    `weight` [T] float32 for weighted efficiencies; `row` [T] int64: where each stood in what was given, so that columns of
    the true edges (pt, eta) can follow.
    """

    key: Int64
    signal: Bool
    weight: Float32
    row: Int64
    hits: int

    def __len__(self) -> int:
        return len(self.key)

    @property
    def pairs(self) -> Int64:
        """[2, T] int64: the rows of both hits, the smaller first."""
        return key_pairs(self.key, self.hits)

    @classmethod
    def of(
        cls,
        edges: NDArray[np.integer],
        *,
        hits: int,
        signal: Bool | None = None,
        weight: NDArray[np.floating] | None = None,
    ) -> TrueEdges:
        """From edges [2, T] in any direction; all are signal and weigh 1 unless told otherwise.

        A pair given twice is signal if it once is, with its largest weight. DataError for rows that are not hits, for an edge
        from a hit to itself, and for weights that are negative or not finite.
        """
        count = edges.shape[1]
        signal = np.ones(count, dtype=np.bool_) if signal is None else np.asarray(signal, dtype=np.bool_)
        weight = np.ones(count, dtype=np.float32) if weight is None else np.asarray(weight, dtype=np.float32)
        assert edges.shape == (2, count), "edges are [2, T]"
        assert signal.shape == weight.shape == (count,), "one flag and one weight for each true edge"
        _check(edges, weight, hits)
        keys = edge_keys(edges[0], edges[1], hits)
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1)) if count else np.empty(0, dtype=np.int64)
        if not count:
            return cls(keys, signal, weight, order.astype(np.int64), hits)
        return cls(
            key=keys[order][starts],
            signal=np.logical_or.reduceat(signal[order], starts),
            weight=np.maximum.reduceat(weight[order], starts),
            row=order[starts].astype(np.int64),
            hits=hits,
        )


def label_edges(edges: Edges[NDArray[np.generic]], true: TrueEdges) -> tuple[Int8, Int64]:
    """Of each candidate edge, in any direction: its label [E] int8 and its place among the true edges [E] int64, or -1.

    Labels: 1 a true signal edge, 0 false, -1 masked (true, but not signal).
    """
    keys = edge_keys(edges.query, edges.point, true.hits)
    if not len(true):
        return np.zeros(len(keys), dtype=np.int8), np.full(len(keys), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(true.key, keys), len(true) - 1)
    known = true.key[place] == keys
    label = np.where(known, np.where(true.signal[place], TRUE, MASKED), FALSE).astype(np.int8)
    return label, np.where(known, place, -1).astype(np.int64)


def found_edges(place: Int64, true: TrueEdges) -> Bool:
    """[T] bool: which true edges are among the candidates, from the places that `label_edges` tells."""
    found = np.zeros(len(true), dtype=np.bool_)
    found[place[place >= 0]] = True
    return found


def _check(edges: NDArray[np.integer], weight: Float32, hits: int) -> None:
    outside = np.flatnonzero(((edges < 0) | (edges >= hits)).any(axis=0))
    if len(outside):
        a, b = edges[:, outside[0]]
        raise DataError(f"True edge {outside[0]} joins rows {a} and {b} of {hits} hits: number the hits of an event from 0.")
    loops = np.flatnonzero(edges[0] == edges[1])
    if len(loops):
        raise DataError(f"True edge {loops[0]} joins row {edges[0, loops[0]]} to itself: leave such edges out.")
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(bad):
        raise DataError(f"True edge {bad[0]} weighs {weight[bad[0]]}: weights are finite and at least 0.")
