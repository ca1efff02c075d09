"""What one model's graphs of some events are worth: at one radius, at all others, and by property of the particles.

Shapes: n hits of an event, T true edges, R radii, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from likewise.data.corpus import WholeShard
from likewise.evaluation.binned import BinnedEfficiency, binned_efficiency
from likewise.evaluation.degrees import Degrees
from likewise.evaluation.edges import Bool, TrueEdges
from likewise.evaluation.graphs import EventCounts
from likewise.evaluation.radius_scan import RadiusScan, radius_for, true_distances
from likewise.evaluation.surroundings import count_surroundings
from likewise.types import Float32, Float64
from likewise.vectors.shards import LoadedShard

SAMPLED = 8192  # hits of an event whose surroundings are counted: all of a wedge's; of a full event's 8%, ±1% at a purity of 1%
EFFICIENCIES = np.concatenate([np.arange(0.05, 0.9, 0.05), np.arange(0.9, 0.99, 0.01), [0.99, 0.995, 0.999]])
PROPERTIES = {"pt": "pt", "eta": "particle_eta", "production_radius": "production_radius"}  # and the columns that hold them
BINS: Mapping[str, Float64] = {
    "pt": np.array([0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 50, 100]),
    "eta": np.linspace(-4, 4, 17),
    "production_radius": np.array([0, 0.1, 1, 3, 10, 30, 100, 300, 1000.0]),
}

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Events:
    """Events by number, how to load one, and how a model embeds its hits: [n, D] float32."""

    numbers: Sequence[int]
    load: Callable[[int], LoadedShard]
    embed: Callable[[LoadedShard], Tensor]

    def distances(self, tell: Tell) -> tuple[list[Float64], list[Float32]]:
        """Of each event, how far apart [T] float64 the hits of its signal edges are, and the weights [T] of these."""
        distances, weights = [], []
        for done, number in enumerate(self.numbers):
            loaded = self.load(number)
            true = true_edges(loaded.shard)
            distances.append(true_distances(self.embed(loaded).cpu().numpy(), true)[true.signal])
            weights.append(true.weight[true.signal])
            tell(done + 1, len(self.numbers))
        return distances, weights


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """The scan of every event, in their order and at the same radii; at `radius`, efficiency by property and neighbors per hit.

    `exact`: no number of edges is an estimate.
    """

    radius: float
    exact: bool
    scans: tuple[RadiusScan, ...]
    binned: Mapping[str, BinnedEfficiency]
    degrees: Degrees

    @property
    def scan(self) -> RadiusScan:
        """All events together."""
        return sum(self.scans[1:], self.scans[0])

    def counts(self, radius: float | None = None) -> tuple[EventCounts, ...]:
        """The counts of every event at `radius`, or at another one that was scanned."""
        return tuple(scan.counts(self.radius if radius is None else radius) for scan in self.scans)


def measure_graphs(
    events: Events,
    *,
    efficiency: float,
    weighted: bool = False,
    radius: float | None = None,
    seed: int,
    tell: Tell = lambda done, total: None,
) -> Measurement:
    """Two passes over the events: the first solves the radius for an efficiency, the second counts edges within many radii.

    With `weighted` it is the weighted efficiency. `radius` is scanned, too, and so are those of a range of efficiencies. Of
    events with more than `SAMPLED` hits, edges are estimated from the surroundings of so many, drawn by `seed`. DataError where
    no edge is signal.
    """
    count = len(events.numbers)
    near, weights = events.distances(lambda done, _: tell(done, 2 * count))
    at = radius_for(efficiency, near, weights if weighted else None)
    others = [] if radius is None else [radius]
    sorted_once = [np.sort(np.concatenate(near))]  # so that each of the many radii need not sort again
    radii = np.unique([at, *others, *(radius_for(float(share), sorted_once) for share in EFFICIENCIES)])
    place = int(np.searchsorted(radii, at))
    scans, binned, degrees, exact = [], [], [], True
    for done, number in enumerate(events.numbers):
        loaded = events.load(number)
        vectors, true = events.embed(loaded), true_edges(loaded.shard)
        around = count_surroundings(vectors, radii, place, sampled=SAMPLED, seed=seed + number)
        apart = true_distances(vectors.cpu().numpy(), true)
        scans.append(RadiusScan.of(radii, around.pairs, apart, true))
        binned.append(_binned(loaded.shard, true, apart <= at))
        degrees.append(Degrees(np.bincount(around.neighbors, minlength=1).astype(np.int64)))
        exact = exact and around.exact
        tell(count + done + 1, 2 * count)
    by_property = {name: sum((each[name] for each in binned[1:]), binned[0][name]) for name in PROPERTIES}
    return Measurement(at, exact, tuple(scans), by_property, sum(degrees[1:], degrees[0]))


def true_edges(shard: WholeShard) -> TrueEdges:
    """The true edges of an event; those of weight 0 are not signal."""
    pairs = shard.pairs
    return TrueEdges.of(np.stack([pairs.a, pairs.b]), hits=len(shard), signal=pairs.weight > 0, weight=pairs.weight)


def _binned(shard: WholeShard, true: TrueEdges, found: Bool) -> dict[str, BinnedEfficiency]:
    """Signal efficiency against each property of the particle, which is the same at both hits of an edge."""
    hit = true.pairs[0][true.signal]
    return {
        name: binned_efficiency(shard.columns[column][hit], found[true.signal], BINS[name]) for name, column in PROPERTIES.items()
    }
