"""Generated events in the files of the TrackML challenge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from likewise.artifacts.files import replacing
from likewise.data.events.generate import Simulation


def write_trackml(simulation: Simulation, folder: Path) -> dict[str, Path]:
    """Write NAME-hits.csv, NAME-truth.csv and NAME-particles.csv into a folder; their paths by kind.

    Numbers are written so that they are read back equal. Every true hit has the same weight, and noise has none; they sum to 1.
    """
    tables = {"hits": _hits(simulation), "truth": _truth(simulation), "particles": _particles(simulation)}
    paths = {kind: folder / f"{simulation.event.name}-{kind}.csv" for kind in tables}
    for kind, columns in tables.items():
        with replacing(paths[kind]) as temporary:
            pa_csv.write_csv(pa.table({name: np.ascontiguousarray(values) for name, values in columns.items()}), temporary)
    return paths


def _hits(simulation: Simulation) -> Mapping[str, NDArray[Any]]:
    event = simulation.event
    places = {"volume_id": event.volume, "layer_id": event.layer, "module_id": event.module}
    return {"hit_id": event.hit_id, "x": event.x, "y": event.y, "z": event.z, **places}


def _truth(simulation: Simulation) -> Mapping[str, NDArray[Any]]:
    event = simulation.event
    real = event.particle != 0
    position = dict(zip(("tx", "ty", "tz"), simulation.true_position.T, strict=True))
    momentum = dict(zip(("tpx", "tpy", "tpz"), simulation.true_momentum.T, strict=True))
    weight = real / max(np.count_nonzero(real), 1)
    return {"hit_id": event.hit_id, "particle_id": event.particle, **position, **momentum, "weight": weight}


def _particles(simulation: Simulation) -> Mapping[str, NDArray[Any]]:
    particles, event = simulation.particles, simulation.event
    ids, counts = np.unique(event.particle, return_counts=True)
    place = np.minimum(np.searchsorted(ids, particles.id), len(ids) - 1)
    hits = np.where(ids[place] == particles.id, counts[place], 0)
    vertex = dict(zip(("vx", "vy", "vz"), particles.vertex.T, strict=True))
    momentum = dict(zip(("px", "py", "pz"), particles.momentum.T, strict=True))
    kind = 211 * particles.charge.astype(np.int64)  # the Monte Carlo number of a charged pion
    return {"particle_id": particles.id, "particle_type": kind, **vertex, **momentum, "q": particles.charge, "nhits": hits}
