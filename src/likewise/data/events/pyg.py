"""Events as PyTorch Geometric wrote them: a `Data` of tensors in a .pt or .pyg file, with the names that acorn gives them.

The files are pickles. They are read with `torch.load(weights_only=True)`, which runs no code of theirs: the few classes that
torch_geometric writes are replaced by empty ones, and any other is refused. torch_geometric itself is not needed.

Names begin with `hit_` (one value per hit) or `track_` (one value per true edge of `track_edges` [2, E]); files from before
acorn had prefixes are understood too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.event import CELL_PREFIX, Event, make_event
from likewise.errors import DataError
from likewise.types import Int64

MomentumUnit = Literal["MeV", "GeV"]
_IN_GEV: Mapping[MomentumUnit, float] = {"MeV": 1e-3, "GeV": 1.0}

_STAND_INS = (
    "torch_geometric.data.data.Data",
    "torch_geometric.data.data.DataEdgeAttr",
    "torch_geometric.data.data.DataTensorAttr",
    "torch_geometric.data.storage.GlobalStorage",
)
_WITHOUT_PREFIX = {  # what acorn called them before
    **{name: f"hit_{name}" for name in ("x", "y", "z", "r", "phi", "volume_id", "layer_id", "module_id")},
    **{name: f"track_particle_{name}" for name in ("pt", "radius", "primary", "nhits")},
    "particle_id": "track_particle_id",
    "eta_particle": "track_particle_eta",
}
_PLACES = {"hit_volume_id": "volume", "hit_layer_id": "layer", "hit_module_id": "module"}
_OF_PARTICLE = {"pt": "pt", "eta": "particle_eta", "radius": "production_radius", "primary": "primary"}
_CELL_FEATURES = ("cell_count", "cell_val", "leta", "lphi", "lx", "ly", "lz", "geta", "gphi")

Attributes = dict[str, NDArray[Any]]


def read_pyg(path: Path, momentum_unit: MomentumUnit = "MeV", weight: str | None = None) -> Event:
    """The event of a file, named as the file is; acorn writes transverse momenta in MeV, other people may not.

    Positions are `hit_x`, `hit_y`, `hit_z`, or `hit_r`, `hit_phi`, `hit_z`. The particle of a hit is `hit_particle_id`, else
    the `track_particle_id` of a true edge that touches it; the particle's properties are `hit_particle_…` or
    `track_particle_…`. `path` is `hit_path` if there is one, else the number of true edges from the particle's first hit.
    A particle that no true edge touches has no known momentum: it is 0. `weight` names the tensor `hit_…` of weights. Raises
    DataError, naming file and reason.
    """
    found = _prefixed(_attributes(path))
    edges = _edges(found, path)
    position = _positions(found, path)
    count = len(position["x"])
    columns: Attributes = {"hit_id": found.get("hit_id", np.arange(count)), **position}
    columns |= {name: found[key] for key, name in _PLACES.items() if key in found}
    columns["particle"] = _of_hits(found, "id", edges, count, missing=0)
    for key, name in _OF_PARTICLE.items():
        columns[name] = _of_hits(found, key, edges, count, missing=np.nan if key == "radius" else 0, particle=columns["particle"])
    columns["pt"] = columns["pt"] * _IN_GEV[momentum_unit]
    columns["path"] = found["hit_path"] if "hit_path" in found else _depth(edges, count, path)
    noise = columns["particle"] == 0
    for name in (*_OF_PARTICLE.values(), "path"):
        columns[name] = np.where(noise, 0, columns[name])
    if weight is not None:
        name = _with_prefix(weight)
        if name not in found:
            raise DataError(f"{path} has no {name}; write it, or leave out [ingest] weight_column.")
        columns["weight"] = found[name]
    cells = {key: found[f"hit_{key}"] for key in _CELL_FEATURES if f"hit_{key}" in found}
    matrix = np.stack(list(cells.values()), axis=1) if cells else None
    names = [CELL_PREFIX + key.removeprefix(CELL_PREFIX) for key in cells]
    return make_event(path.stem, columns, file=path, cells=matrix, cell_names=names)


def _attributes(path: Path) -> Attributes:
    """The tensors of a `Data`, or of a plain dictionary, by name; what is no tensor is passed over."""
    import torch

    stand_ins: list[Any] = [(type(name.rpartition(".")[2], (), {}), name) for name in _STAND_INS]
    try:
        with torch.serialization.safe_globals(stand_ins):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may fail in any way
        raise DataError(f"{path} cannot be read ({_reason(error)}); write it again, or leave this event out.") from error
    store = getattr(loaded, "_store", loaded)
    mapping = getattr(store, "_mapping", store if isinstance(store, dict) else vars(store))
    return {name: value.numpy() for name, value in mapping.items() if isinstance(value, torch.Tensor) and not value.is_sparse}


def _reason(error: Exception) -> str:
    """What torch says; of a refused class, the line that names it."""
    lines = str(error).strip().splitlines()
    return next((line for line in lines if "GLOBAL" in line), lines[0] if lines else type(error).__name__).strip().rstrip(".")


def _prefixed(found: Attributes) -> Attributes:
    if any(key.startswith("hit_") and key != "hit_id" for key in found):
        return found
    return {_with_prefix(key): values for key, values in found.items()}


def _with_prefix(key: str) -> str:
    if key.startswith(("hit_", "track_")):
        return key
    return _WITHOUT_PREFIX.get(key, f"hit_{key}")


def _positions(found: Attributes, path: Path) -> Attributes:
    if {"hit_x", "hit_y", "hit_z"} <= found.keys():
        position = {name: found[f"hit_{name}"] for name in "xyz"}
    elif {"hit_r", "hit_phi", "hit_z"} <= found.keys():
        r, phi = found["hit_r"], found["hit_phi"]
        position = {"x": r * np.cos(phi), "y": r * np.sin(phi), "z": found["hit_z"]}
    else:
        names = ", ".join(sorted(found)) or "none"
        raise DataError(f"{path} has no hit_x, hit_y, hit_z (or hit_r, hit_phi, hit_z); its tensors are {names}.")
    if any(values.ndim != 1 for values in position.values()):
        raise DataError(f"{path} has positions of more than one number per hit; write hit_x, hit_y and hit_z apart.")
    return position


def _edges(found: Attributes, path: Path) -> Int64:
    edges = found.get("track_edges", np.empty((2, 0), dtype=np.int64))
    if edges.ndim != 2 or len(edges) != 2:
        raise DataError(f"{path} has track_edges of shape {list(edges.shape)}; write them as two rows of hit positions.")
    count = max((len(values) for key, values in found.items() if key.startswith("hit_")), default=0)
    if edges.size and not (edges.min() >= 0 and edges.max() < count):
        raise DataError(f"{path} has track_edges to hit {edges.max()}, but only {count} hits; write the event again.")
    for key, values in found.items():
        if key.startswith("track_particle_") and len(values) != edges.shape[1]:
            raise DataError(f"{path} has {len(values)} values of {key} for {edges.shape[1]} track_edges; write the event again.")
    return edges.astype(np.int64)


def _of_hits(
    found: Attributes, key: str, edges: Int64, count: int, *, missing: float, particle: NDArray[Any] | None = None
) -> NDArray[Any]:
    """A property of each hit's particle: of the hit itself, or of a true edge of that particle that touches it."""
    if f"hit_particle_{key}" in found:
        return found[f"hit_particle_{key}"]
    of_edge = found.get(f"track_particle_{key}")
    if of_edge is None:
        return np.full(count, missing)
    values = np.full(count, missing, dtype=np.result_type(of_edge.dtype, type(missing)))
    owner = found.get("track_particle_id")
    for ends in edges:
        same = slice(None) if particle is None or owner is None else particle[ends] == owner
        values[ends[same]] = of_edge[same]
    return values


def _depth(edges: Int64, count: int, path: Path) -> Int64:
    """How many true edges lead to each hit, at most; edges go from inside outward."""
    inner, outer = edges
    depth = np.zeros(count, dtype=np.int64)
    for _ in range(count + 1):
        deeper = depth.copy()
        np.maximum.at(deeper, outer, depth[inner] + 1)
        if np.array_equal(deeper, depth):
            return depth
        depth = deeper
    raise DataError(f"{path} has track_edges that go round in a circle; write them from inside outward.")
