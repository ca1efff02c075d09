"""What a candidate graph is made of and from: plain arrays of one event.

Shapes: n hits, F features, E edges, T true edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.errors import DataError
from likewise.evaluation.edges import Bool, Int8, TrueEdges, edge_keys
from likewise.evaluation.graphs import EventCounts, count_event
from likewise.types import Edges, Float32, Int64


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """All pairs within `radius`, or of each hit the nearest `max_neighbors`; edges point outward, or (`flip`) half of them back.

    Which half is drawn by `seed` and the event's name.
    """

    radius: float
    max_neighbors: int | None = None
    flip: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pedigree:
    """What made a graph: the options, the spaces of the models by role, the keys of the artifacts read by stage."""

    options: GraphOptions
    models: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {"options": asdict(self.options), "models": dict(self.models), "artifacts": dict(self.artifacts)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Pedigree:
        """The pedigree of such values; KeyError or TypeError where they are none."""
        return cls(GraphOptions(**value["options"]), dict(value["models"]), dict(value["artifacts"]))


@dataclass(frozen=True, slots=True, eq=False)
class HitArrays:
    """The hits of one event. `event` is its full id; `hit_id` and `particle` [n] int64, 0 where no particle made the hit.

    Cylindrical coordinates `r` and `z` in mm, `phi` in radians, [n] float32; `features` [n, F] float32. `true` edges are by row.
    """

    event: str
    hit_id: Int64
    particle: Int64
    r: Float32
    phi: Float32
    z: Float32
    features: Float32
    true: TrueEdges

    def __len__(self) -> int:
        return len(self.hit_id)

    def check(self) -> None:
        """DataError where the arrays are not of one length, a hit has two rows, or a radius is not a number."""
        lengths = {name: len(getattr(self, name)) for name in ("hit_id", "particle", "r", "phi", "z", "features")}
        lengths["true.hits"] = self.true.hits
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise DataError(f"Event {self.event}: the columns of its hits differ in length ({told}); read the event again.")
        ids, counts = np.unique(self.hit_id, return_counts=True)
        if (counts > 1).any():
            raise DataError(f"Event {self.event}: hit {ids[counts > 1][0]} is there twice; a hit has one id of its own.")
        bad = np.flatnonzero(~np.isfinite(self.r))
        if len(bad):
            raise DataError(f"Event {self.event}: hit {self.hit_id[bad[0]]} has the radius {self.r[bad[0]]}; reject such hits.")


@dataclass(frozen=True, slots=True, eq=False)
class EventGraph:
    """A candidate graph: every edge once, sorted by its two rows, smaller first, whatever its direction.

    `edge_index` [2, E] int64, from a hit to one farther out; `distance` [E] float32 between their vectors; `label` [E] int8:
    1 true, 0 false, -1 masked; `weight` [E] float32: a true edge's own, 1 of a false one, 0 of a masked one. `cut` hits had
    more neighbors than the cap allows.
    """

    hits: HitArrays
    edge_index: Int64
    distance: Float32
    label: Int8
    weight: Float32
    cut: int
    pedigree: Pedigree

    @property
    def event(self) -> str:
        """The event's full id."""
        return self.hits.event

    def counts(self) -> EventCounts:
        """What efficiency and purity are made of."""
        return count_event(Edges(self.edge_index[0], self.edge_index[1], self.distance, self.cut), self.hits.true)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Every array by the name it has in files, which are those of a PyTorch Geometric `Data` where it has one.

        `x` features, `edge_index`, `edge_attr` [E, 1] distances, `edge_weight`, `y` labels; the hits' `hit_id`, `particle`,
        `r`, `phi`, `z`; `true_edge_index` [2, T], `true_edge_signal`, `true_edge_weight`, in any graph of the event.
        """
        hits, true = self.hits, self.hits.true
        return {
            "x": _as(hits.features, np.float32),
            "edge_index": _as(self.edge_index, np.int64),
            "edge_attr": _as(self.distance, np.float32)[:, None],
            "edge_weight": _as(self.weight, np.float32),
            "y": _as(self.label, np.int8),
            "hit_id": _as(hits.hit_id, np.int64),
            "particle": _as(hits.particle, np.int64),
            "r": _as(hits.r, np.float32),
            "phi": _as(hits.phi, np.float32),
            "z": _as(hits.z, np.float32),
            "true_edge_index": _as(true.pairs, np.int64),
            "true_edge_signal": _as(true.signal, np.bool_),
            "true_edge_weight": _as(true.weight, np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, event: str, cut: int, pedigree: Pedigree) -> EventGraph:
        """The graph that `arrays` tells of."""
        pairs: Int64 = arrays["true_edge_index"]
        signal: Bool = arrays["true_edge_signal"]
        count = len(arrays["hit_id"])
        key = edge_keys(pairs[0], pairs[1], count)
        true = TrueEdges(key, signal, arrays["true_edge_weight"], np.arange(len(key), dtype=np.int64), count)
        columns = {name: arrays[name] for name in ("hit_id", "particle", "r", "phi", "z")}
        return cls(
            hits=HitArrays(event=event, **columns, features=arrays["x"], true=true),
            edge_index=arrays["edge_index"],
            distance=arrays["edge_attr"][:, 0],
            label=arrays["y"],
            weight=arrays["edge_weight"],
            cut=cut,
            pedigree=pedigree,
        )


def _as(values: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    return np.ascontiguousarray(values, dtype=dtype)
