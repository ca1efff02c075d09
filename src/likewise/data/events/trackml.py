"""TrackML events: hits, and where there are any truth, particles and cells, in CSV files (plain or .gz).

Columns and units as in the TrackML challenge (Amrouche et al., arXiv:1904.06778): mm, GeV, and particle ids that encode how a
particle was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.cells import CELL_NAMES, cell_features
from likewise.data.events.columns import IDENTIFIER, INTEGER, NUMBER, Columns, read_columns, weights_of
from likewise.data.events.event import Event, make_event
from likewise.data.events.identifiers import bits
from likewise.data.events.lookup import find_rows
from likewise.data.events.particle_files import read_particles
from likewise.data.events.truth import Particles, truth_columns
from likewise.errors import DataError
from likewise.types import Float32, Int64

KINDS = ("hits", "truth", "particles", "cells")

_HITS = {"hit_id": INTEGER, "x": NUMBER, "y": NUMBER, "z": NUMBER}
_PLACES = {"volume_id": INTEGER, "layer_id": INTEGER, "module_id": INTEGER}
_TRUTH = {"hit_id": INTEGER, "particle_id": IDENTIFIER, **dict.fromkeys(("tx", "ty", "tz", "tpx", "tpy", "tpz"), NUMBER)}
_CELLS = {"hit_id": INTEGER, "ch0": INTEGER, "ch1": INTEGER, "value": NUMBER}


def read_trackml(name: str, files: Mapping[str, Path], weight: str | None = None) -> Event:
    """The event whose CSV files are given by kind: "hits", and if there are any "truth", "particles" and "cells".

    Without truth every hit is noise: such an event can be turned into a graph, not trained on. With truth but without
    particles, the momentum at a particle's innermost hit stands for the momentum where it was made, paths are ordered by
    distance from the origin, and production radius and charge are unknown. `weight` names the column of truth or hits that holds
    the hits' weights. Raises DataError, naming file and reason.
    """
    hits = read_columns(files["hits"], _HITS, _PLACES)
    columns = {key.removesuffix("_id") if key in _PLACES else key: values for key, values in hits.items()}
    if "truth" in files:
        columns |= _truth(files, hits["hit_id"])
    if weight is not None:
        columns["weight"] = weights_of(
            weight, [files[kind] for kind in ("truth", "hits") if kind in files], "hit_id", hits["hit_id"]
        )
    cells = _cells(files["cells"], hits["hit_id"]) if "cells" in files else None
    return make_event(name, columns, file=files["hits"], cells=cells, cell_names=() if cells is None else CELL_NAMES)


def made_in_collision(particle: Int64) -> NDArray[np.bool_]:
    """Whether particles come from the collision, by bits 24 to 35 of their id: the generation, 0 before the detector."""
    return np.equal(bits(particle, 24, 12), 0)


def _truth(files: Mapping[str, Path], hit_id: Int64) -> Columns:
    truth = read_columns(files["truth"], _TRUTH)
    rows = find_rows(truth["hit_id"], hit_id)
    if (rows < 0).any():
        raise DataError(f"{files['truth']} lacks the hit {hit_id[np.argmin(rows)]}; complete it, or take it away.")
    truth = {key: values[rows] for key, values in truth.items()}
    position = np.stack([truth[key] for key in ("tx", "ty", "tz")], axis=1)
    if "particles" not in files:
        return _truth_alone(truth, position, files["truth"])
    return truth_columns(
        truth["particle_id"], position, read_particles(files["particles"], made_in_collision), file=files["particles"]
    )


def _truth_alone(truth: Columns, position: NDArray[Any], file: Path) -> Columns:
    """True columns with the first hit of each particle, seen from the origin, in place of the table of particles."""
    distance = np.linalg.norm(position, axis=1)
    order = np.lexsort((truth["hit_id"], distance, truth["particle_id"]))
    ids, first = np.unique(truth["particle_id"][order], return_index=True)
    rows = order[first][ids != 0]
    momentum = np.stack([truth[key][rows] for key in ("tpx", "tpy", "tpz")], axis=1)
    ids = ids[ids != 0]
    none = np.zeros(len(ids))
    stand_ins = Particles(ids, np.zeros_like(momentum), momentum, none.astype(np.int8), made_in_collision(ids))
    columns = truth_columns(truth["particle_id"], position, stand_ins, file=file)
    return {**columns, "production_radius": np.where(truth["particle_id"] == 0, 0.0, np.nan)}


def _cells(path: Path, hit_id: Int64) -> Float32:
    """Cells of hits that the event does not have are passed over: thinned events leave them in."""
    table = read_columns(path, _CELLS)
    rows = find_rows(hit_id, table["hit_id"])
    known = rows >= 0
    channels = np.stack([table["ch0"], table["ch1"]], axis=1)
    return cell_features(rows[known], channels[known], table["value"][known], len(hit_id))
