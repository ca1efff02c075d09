"""Every radius at once: efficiency and purity of all graphs that a radius makes, and the radius that an efficiency needs.

Shapes: T true edges, R radii, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.errors import DataError
from likewise.evaluation.edges import TrueEdges
from likewise.evaluation.graphs import EventCounts
from likewise.types import Float64, Int64

CHUNK = 1 << 20  # true edges whose vectors are held at once, in float64


@dataclass(frozen=True, slots=True, eq=False)
class RadiusScan:
    """Counts at each of `radii` [R] float64, ascending; scans of several events at the same radii add up.

    `edges`, `true_found`, `signal_found` [R] int64: candidate edges not farther apart than that; `weight_found` [R] float64: what
    the signal edges among them weigh. `hits`, `true`, `signal`, `weight` do not depend on the radius. The metrics are those of
    `likewise.evaluation.graphs`; not a number where nothing is below the line.
    """

    radii: Float64
    edges: Int64
    true_found: Int64
    signal_found: Int64
    weight_found: Float64
    hits: int
    true: int
    signal: int
    weight: float

    @classmethod
    def of(cls, radii: Float64, pairs: Float64, apart: Float64, true: TrueEdges) -> RadiusScan:
        """One event: `pairs` [R] within each radius, exact or estimated, and how far `apart` [T] the hits of true edges are."""
        signal = np.argsort(apart[true.signal], kind="stable")
        near = apart[true.signal][signal]
        found = np.searchsorted(np.sort(apart), radii, side="right").astype(np.int64)
        signal_found = np.searchsorted(near, radii, side="right").astype(np.int64)
        weight = np.concatenate([[0.0], np.cumsum(true.weight[true.signal].astype(np.float64)[signal])])
        return cls(
            radii=np.asarray(radii, dtype=np.float64),
            edges=np.maximum(np.rint(pairs).astype(np.int64), found),
            true_found=found,
            signal_found=signal_found,
            weight_found=weight[signal_found],
            hits=true.hits,
            true=len(true),
            signal=len(near),
            weight=float(weight[-1]),
        )

    def __add__(self, other: RadiusScan) -> RadiusScan:
        if not isinstance(other, RadiusScan):
            return NotImplemented
        assert np.array_equal(self.radii, other.radii), "only scans at the same radii add up"
        return RadiusScan(
            self.radii,
            self.edges + other.edges,
            self.true_found + other.true_found,
            self.signal_found + other.signal_found,
            self.weight_found + other.weight_found,
            self.hits + other.hits,
            self.true + other.true,
            self.signal + other.signal,
            self.weight + other.weight,
        )

    def counts(self, radius: float) -> EventCounts:
        """The counts at one of the radii."""
        place = int(np.searchsorted(self.radii, radius))
        assert self.radii[place] == radius, "one of the radii that were scanned"
        return EventCounts(
            hits=self.hits,
            edges=int(self.edges[place]),
            true=self.true,
            true_found=int(self.true_found[place]),
            signal=self.signal,
            signal_found=int(self.signal_found[place]),
            signal_weight=self.weight,
            signal_weight_found=float(self.weight_found[place]),
        )

    @property
    def efficiency(self) -> Float64:
        """[R]: true edges found / true edges."""
        return _share(self.true_found, self.true)

    @property
    def signal_efficiency(self) -> Float64:
        """[R]: signal edges found / signal edges."""
        return _share(self.signal_found, self.signal)

    @property
    def purity(self) -> Float64:
        """[R]: true edges found / candidate edges."""
        return _share(self.true_found, self.edges)

    @property
    def signal_purity(self) -> Float64:
        """[R]: signal edges found / (signal edges found + false edges)."""
        return _share(self.signal_found, self.signal_found + self.edges - self.true_found)

    @property
    def neighbors(self) -> Float64:
        """[R]: candidate edges at each hit, from both sides."""
        return _share(2 * self.edges, self.hits)


def true_distances(vectors: NDArray[np.floating], true: TrueEdges) -> Float64:
    """[T] float64: Euclidean distances of the true edges' hits, from the vectors [n, D] themselves and so of any length."""
    a, b = true.pairs
    distance = np.empty(len(true), dtype=np.float64)
    for start in range(0, len(true), CHUNK):
        piece = slice(start, start + CHUNK)
        difference = vectors[a[piece]].astype(np.float64) - vectors[b[piece]].astype(np.float64)
        distance[piece] = np.sqrt((difference**2).sum(axis=1))
    return distance


def radius_for(
    efficiency: float, distances: Sequence[NDArray[np.floating]], weights: Sequence[NDArray[np.floating]] | None = None
) -> float:
    """The smallest float32 radius within which the share `efficiency` of all edges lies, given each event's distances.

    Exact: a (weighted) quantile of the distances of the signal edges, `true_distances(vectors, true)[true.signal]`, whatever
    radius was searched. Rounded up to float32, which is what searches and files hold. DataError for an efficiency that is not
    above 0 and at most 1, and where no edge has a weight.
    """
    if not 0 < efficiency <= 1:
        raise DataError(f"An efficiency of {efficiency:g} cannot be reached: ask for more than 0 and at most 1.")
    pooled = np.concatenate([np.asarray(each, dtype=np.float64) for each in distances]) if distances else np.empty(0)
    weight = np.ones(len(pooled)) if weights is None else np.concatenate([np.asarray(w, dtype=np.float64) for w in weights])
    assert len(weight) == len(pooled), "one weight for each distance"
    order = np.argsort(pooled, kind="stable")
    order = order[weight[order] > 0]
    if not len(order):
        raise DataError("No signal edge has a weight above 0, so no radius can be solved for: widen the signal cuts.")
    reached = np.cumsum(weight[order])
    share = reached / reached[-1]
    exact = pooled[order[np.searchsorted(share, efficiency, side="left")]]
    rounded = np.float32(exact)
    return float(rounded if rounded >= exact else np.nextafter(rounded, np.float32(np.inf)))


def _share(above: Int64, below: Int64 | int) -> Float64:
    whole = np.broadcast_to(np.asarray(below, dtype=np.float64), above.shape)
    share: Float64 = np.divide(above, whole, out=np.full(above.shape, np.nan), where=whole > 0)
    return share
