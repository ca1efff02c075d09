"""One particle of one event, and what each system's graph joins its hits to: little enough to keep, and all that a display needs.

event/particle.json       the event; the particle and its pt, eta, production radius and hits; each system's radius
event/hits.parquet        x, y and z of every hit in mm; the particle's hits by their place from the inside outward, others −1
event/edges.parquet       by system the edges that touch the particle's hits: rows of the hits, and whether they are true

Shapes: n hits, T true edges, m hits of the particle, E edges, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from likewise.artifacts.draft import Draft
from likewise.data.corpus import WholeShard
from likewise.evaluation.edges import TrueEdges, edge_keys, key_pairs
from likewise.evaluation.measurement import PROPERTIES
from likewise.types import Int64

FOLDER = "event"
PARTICLE, HITS, EDGES = (f"{FOLDER}/{name}" for name in ("particle.json", "hits.parquet", "edges.parquet"))


def chosen_hits(shard: WholeShard, true: TrueEdges) -> Int64:
    """[m] int64: the hits of the signal particle with most of them, from the inside outward; of equals, the first in the event.

    Empty where no edge is signal.
    """
    particle = shard.columns["particle"]
    signal = particle[true.pairs[0][true.signal]]
    names, first, count = np.unique(particle, return_index=True, return_counts=True)
    wanted = np.flatnonzero(np.isin(names, signal))
    if not len(wanted):
        return np.empty(0, dtype=np.int64)
    best = wanted[np.lexsort((first[wanted], -count[wanted]))[0]]
    rows = np.flatnonzero(particle == names[best])
    r, z = shard.features[rows, 0].astype(np.float64), shard.features[rows, 2].astype(np.float64)
    return rows[np.argsort(np.hypot(r, z), kind="stable")].astype(np.int64)


def edges_around(vectors: NDArray[np.floating], chosen: Int64, radius: float) -> Int64:
    """[2, E] int64: all unordered pairs within the radius that touch one of the chosen hits, by brute force in float64."""
    keys = []
    for row in chosen.tolist():
        apart = np.linalg.norm(vectors.astype(np.float64) - vectors[row].astype(np.float64), axis=1)
        near = np.flatnonzero(apart <= radius)
        near = near[near != row]
        keys.append(edge_keys(np.full(len(near), row), near, len(vectors)))
    return key_pairs(np.unique(np.concatenate(keys)) if keys else np.empty(0, dtype=np.int64), len(vectors))


def write_event_sample(
    draft: Draft,
    shard: WholeShard,
    true: TrueEdges,
    edges: Mapping[str, Int64],
    radii: Mapping[str, float],
    chosen: Int64,
) -> None:
    """Keep the event's hits and, of each system's graph, the `edges` [2, E] of the particle: rows, the smaller first."""
    draft.write_json(PARTICLE, _particle(shard, chosen, radii))
    draft.write_table(HITS, _hits_table(shard, chosen))
    draft.write_table(EDGES, pa.concat_tables([_edges_table(name, pairs, true) for name, pairs in edges.items()]))


def _particle(shard: WholeShard, chosen: Int64, radii: Mapping[str, float]) -> dict[str, Any]:
    properties = {name: float(shard.columns[column][chosen[0]]) for name, column in PROPERTIES.items()}
    known = {name: value if np.isfinite(value) else None for name, value in properties.items()}
    identity = int(shard.columns["particle"][chosen[0]])
    return {"event": shard.name, "particle": identity, "hits": len(chosen), "radii": dict(radii), **known}


def _hits_table(shard: WholeShard, chosen: Int64) -> pa.Table:
    r, phi, z = (shard.features[:, column] for column in range(3))
    place = np.full(len(shard), -1, dtype=np.int32)
    place[chosen] = np.arange(len(chosen))
    return pa.table({"x": r * np.cos(phi), "y": r * np.sin(phi), "z": z, "place": place})


def _edges_table(name: str, edges: Int64, true: TrueEdges) -> pa.Table:
    first, second = edges
    columns = {"first": first, "second": second, "true": np.isin(edge_keys(first, second, true.hits), true.key)}
    return pa.table({"system": pa.array([name] * len(first), pa.string()), **columns})
