"""ACTS events: measurements, what they measure, and the simulation's truth, in CSV files (plain or .gz).

An event's files may carry a prefix that says how it was digitised: "exact_" or "geometric_". A geometry id holds the volume in
bits 56 to 63, the layer in 36 to 47 and the sensor in 8 to 27; a particle id the collision in bits 52 to 63, the decay in 40 to
51, the particle in 24 to 39 and the generation in 16 to 23 (ACTS: GeometryIdentifier and Barcode).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.cells import CELL_NAMES, cell_features
from likewise.data.events.columns import IDENTIFIER, INTEGER, NUMBER, Columns, read_columns, weights_of
from likewise.data.events.event import Event, make_event
from likewise.data.events.identifiers import bits
from likewise.data.events.lookup import find_rows
from likewise.data.events.particle_files import read_particles
from likewise.data.events.surfaces import read_surfaces
from likewise.data.events.truth import Particles, truth_columns
from likewise.errors import DataError
from likewise.types import Float32, Float64, Int64

MAP = "measurement-simhit-map"
KINDS = ("measurements", MAP, "hits", "particles", "cells")
PARTICLE_FILES = ("particles_initial", "particles", "particles_simulated")  # as different versions of ACTS name them

_MEASUREMENTS = {"measurement_id": INTEGER, "geometry_id": IDENTIFIER, "local0": NUMBER, "local1": NUMBER}
_MAP = {"measurement_id": INTEGER, "hit_id": INTEGER}
_HITS = {"particle_id": IDENTIFIER, "tx": NUMBER, "ty": NUMBER, "tz": NUMBER}
_ORDER = {"index": INTEGER, "tt": NUMBER}
_CELLS = {"channel0": INTEGER, "channel1": INTEGER, "value": NUMBER}


def read_acts(name: str, files: Mapping[str, Path], weight: str | None = None) -> Event:
    """The event whose files are given by kind: KINDS (cells may be missing), and "detectors" beside an event not "exact_".

    A hit of the event is a measurement. Where several simulated hits were merged into one, it belongs to the first of them;
    where none made it, it is noise. A particle may leave several measurements on one layer: all are its hits. Positions are
    the simulated ones if the name begins with "exact_", else the local ones placed by the sensors of detectors.csv. `path` is
    the number of the simulated hit along its particle (or its time, where the file has no numbers). `weight` names the column of
    the measurements that holds their weights. Raises DataError.
    """
    for kind in (*KINDS[:4], *(() if is_exact(name) else ("detectors",))):
        if kind not in files:
            raise DataError(f"{files['measurements']} stands without the event's {kind} file; put it into the same folder.")
    measured = read_columns(files["measurements"], _MEASUREMENTS)
    simulated = _simulated(files["hits"])
    rows = _simulated_rows(files, measured["measurement_id"], len(simulated["tx"]))
    position = _positions(simulated, rows) if is_exact(name) else read_surfaces(files["detectors"]).positions(measured)
    columns = dict(zip("xyz", position.T, strict=True))
    columns |= _places(measured["geometry_id"])
    columns |= _truth(simulated, rows, read_particles(files["particles"], made_in_collision), files["particles"])
    cells = _cells(files["cells"], measured["measurement_id"]) if "cells" in files else None
    columns["hit_id"] = measured["measurement_id"]
    if weight is not None:
        columns["weight"] = weights_of(weight, [files["measurements"]], "measurement_id", measured["measurement_id"])
    return make_event(name, columns, file=files["measurements"], cells=cells, cell_names=() if cells is None else CELL_NAMES)


def is_exact(name: str) -> bool:
    """Whether an event's measurements are the simulated hits themselves."""
    return name.startswith("exact_")


def _simulated(path: Path) -> Columns:
    table = read_columns(path, _HITS, _ORDER)
    if len(table["tx"]) == 0:
        raise DataError(f"{path} holds no hits; leave this event out, or write it again.")
    if not table.keys() & _ORDER.keys():
        raise DataError(f"{path} has neither a column index nor a column tt; write one, so that hits can be ordered.")
    return table


def _simulated_rows(files: Mapping[str, Path], measurement: Int64, simulated: int) -> Int64:
    """For each measurement the row of its first simulated hit, -1 for none; in the map a hit is named by its row."""
    table = read_columns(files[MAP], _MAP)
    outside = (table["hit_id"] < 0) | (table["hit_id"] >= simulated)
    if outside.any():
        raise DataError(
            f"{files[MAP]} names hit {table['hit_id'][np.argmax(outside)]}, but {files['hits']} has {simulated}; "
            "put files of one event together."
        )
    place = find_rows(table["measurement_id"], measurement)
    return np.where(place < 0, -1, table["hit_id"][np.maximum(place, 0)]) if len(table["hit_id"]) else place


def _positions(simulated: Columns, rows: Int64) -> Float64:
    """Simulated positions [n, 3]; not a number for a measurement that no simulated hit made."""
    position = np.stack([simulated[key] for key in ("tx", "ty", "tz")], axis=1)
    return np.where((rows >= 0)[:, None], position[rows], np.nan)


def _places(geometry: Int64) -> Columns:
    return {"volume": bits(geometry, 56, 8), "layer": bits(geometry, 36, 12), "module": bits(geometry, 8, 20)}


def made_in_collision(particle: Int64) -> NDArray[np.bool_]:
    """Whether particles come from the collision: neither from a decay nor made in the detector."""
    return np.equal(bits(particle, 40, 12), 0) & np.equal(bits(particle, 16, 8), 0)


def _truth(simulated: Columns, rows: Int64, particles: Particles, file: Path) -> Columns:
    real = rows >= 0
    particle = np.where(real, simulated["particle_id"][rows], 0)
    position = np.where(real[:, None], _positions(simulated, rows), 0.0)
    order = simulated["index"] if "index" in simulated else simulated["tt"]
    path = np.where(real & (particle != 0), order[rows], 0)
    return {**truth_columns(particle, position, particles, file=file), "path": path}


def _cells(path: Path, measurement: Int64) -> Float32:
    """A cell names its measurement; the column is called hit_id in files of older versions."""
    table = read_columns(path, _CELLS, {"measurement_id": INTEGER, "hit_id": INTEGER})
    owner = table.get("measurement_id", table.get("hit_id"))
    if owner is None:
        raise DataError(f"{path} has neither a column measurement_id nor a column hit_id; write it again with one.")
    rows = find_rows(measurement, owner)
    if (rows < 0).any():
        raise DataError(
            f"{path} has a cell of measurement {owner[np.argmin(rows)]}, which is not known; put files of one event together."
        )
    return cell_features(rows, np.stack([table["channel0"], table["channel1"]], axis=1), table["value"], len(measurement))
