"""A collision event: its hits, and what is true of them.

Shapes: n hits, C cell features. Lengths in mm, momenta in GeV. Coordinates are the experiments' usual ones: z along the beam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.errors import DataError
from likewise.types import Float32, Int64

CELL_PREFIX = "cell_"  # the names of cell features begin with it, so that a table of hits tells them apart


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """The hits of one event, every field of equal length n; `make_event` checks them.

    What stands beside `particle` is 0 (or False) for noise. `production_radius` is not a number where it is not known,
    `charge` is 0 there.
    """

    name: str
    """The full event id, such as "event000000001"."""
    hit_id: Int64
    """[n], unique within the event."""
    x: Float32
    y: Float32
    z: Float32
    """[n] each: the measured position, in mm."""
    volume: Int64
    layer: Int64
    module: Int64
    """[n] each: the part of the detector, -1 where it is not known. A layer is numbered within its volume."""
    particle: Int64
    """[n]: whose hit it is; 0 is noise."""
    pt: Float32
    """[n]: the particle's transverse momentum where it was made, in GeV."""
    particle_eta: Float32
    """[n]: its pseudorapidity there."""
    production_radius: Float32
    """[n]: how far from the beam axis it was made, in mm."""
    charge: NDArray[np.int8]
    """[n]: its charge, in units of the proton's."""
    primary: NDArray[np.bool_]
    """[n]: whether it comes from the collision itself."""
    hits_of_particle: Int64
    """[n]: how many hits it has in the event as it was read."""
    path: Float32
    """[n]: the hit's order along its trajectory: the distance from where the particle was made in mm, or any other measure
    that grows along it."""
    weight: Float32
    """[n]: how much the hit counts, 0 or more; 1 unless the file says otherwise."""
    cells: Float32
    """[n, C]: what the sensor cells of the hit say; C may be 0."""
    cell_names: tuple[str, ...]
    """The C names, each beginning with "cell_"."""

    def __len__(self) -> int:
        return len(self.hit_id)

    @property
    def r(self) -> Float32:
        """[n]: the hit's distance from the beam axis, in mm."""
        return np.hypot(self.x, self.y)

    @property
    def phi(self) -> Float32:
        """[n]: the hit's azimuth in radians, from -π to π."""
        return np.arctan2(self.y, self.x)

    @property
    def eta(self) -> Float32:
        """[n]: the pseudorapidity of the hit's position, seen from the origin."""
        with np.errstate(divide="ignore", invalid="ignore"):  # a hit on the beam axis: infinite, as it should be
            return np.arcsinh(np.divide(self.z, self.r))

    def take(self, rows: Int64) -> Event:
        """The event of the given hits only, in their order."""
        changed = {name: getattr(self, name)[rows] for name in (*HIT_COLUMNS, "cells")}
        return Event(name=self.name, cell_names=self.cell_names, **changed)


_DTYPES: Mapping[str, type[np.generic]] = {
    "charge": np.int8,
    "primary": np.bool_,
    **dict.fromkeys(("hit_id", "volume", "layer", "module", "particle", "hits_of_particle"), np.int64),
}
HIT_COLUMNS: Mapping[str, type[np.generic]] = {
    field.name: _DTYPES.get(field.name, np.float32)
    for field in fields(Event)
    if field.name not in ("name", "cells", "cell_names")
}
"""The names of an event's columns, in order, and their types."""
_UNKNOWN = ("volume", "layer", "module")


def make_event(
    name: str,
    columns: Mapping[str, NDArray[Any]],
    *,
    file: object,
    cells: NDArray[Any] | None = None,
    cell_names: Sequence[str] = (),
) -> Event:
    """An event of the given columns, cast to their types; what is not given is unknown, or zero.

    Raises DataError, naming `file` and the reason: no hits, columns of different lengths, a hit id that stands twice, a
    number that is not finite.
    """
    assert columns.keys() <= HIT_COLUMNS.keys(), set(columns) - set(HIT_COLUMNS)
    assert all(cell.startswith(CELL_PREFIX) for cell in cell_names), cell_names
    count = len(columns["hit_id"])
    if count == 0:
        raise DataError(f"{file} holds no hits; leave this event out, or write it again.")
    if cells is None:
        cells = np.empty((count, 0), dtype=np.float32)
    filled = {column: columns[column] if column in columns else _missing(column, columns) for column in HIT_COLUMNS}
    for column, values in [*filled.items(), ("cells", cells)]:
        if len(values) != count:
            raise DataError(
                f"{file} has {count} hits, but {len(values)} values of {column}; write the event again, every hit with each."
            )
    cast = {column: _as(filled[column], kind) for column, kind in HIT_COLUMNS.items()}
    event = Event(name=name, cells=_as(cells, np.float32), cell_names=tuple(cell_names), **cast)
    _check_numbers(event, file)
    _check_ids(event, file)
    return event


def _as(values: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
        return np.ascontiguousarray(values, dtype=kind)


def _missing(column: str, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    count = len(columns["hit_id"])
    if column in _UNKNOWN:
        return np.full(count, -1, dtype=np.int64)
    if column == "weight":
        return np.ones(count, dtype=np.float32)
    if column == "hits_of_particle" and "particle" in columns:
        return hits_of(columns["particle"])
    return np.zeros(count, dtype=np.int64)


def hits_of(particle: NDArray[Any]) -> Int64:
    """How many hits each hit's particle has [n]; 0 for noise."""
    _, inverse, counts = np.unique(particle, return_inverse=True, return_counts=True)
    return np.where(particle == 0, 0, counts[inverse]).astype(np.int64)


def _check_numbers(event: Event, file: object) -> None:
    for column, kind in HIT_COLUMNS.items():
        if kind is not np.float32:
            continue
        values = getattr(event, column)
        may_be_unknown = column == "production_radius"
        _refuse(np.isinf(values) if may_be_unknown else ~np.isfinite(values), event, column, file)
    _refuse(~np.isfinite(event.cells).all(axis=1), event, "a cell feature", file)
    if (event.weight < 0).any():
        hit = event.hit_id[np.argmin(event.weight)]
        raise DataError(f"{file}: hit {hit} has the weight {event.weight.min():g}; weights are 0 or more.")


def _refuse(bad: Any, event: Event, column: str, file: object) -> None:
    if bad.any():
        raise DataError(
            f"{file}: hit {event.hit_id[np.argmax(bad)]} has no finite value of {column}; correct it, or leave this event out."
        )


def _check_ids(event: Event, file: object) -> None:
    ids, counts = np.unique(event.hit_id, return_counts=True)
    if len(ids) != len(event):
        raise DataError(f"{file}: hit id {ids[counts > 1][0]} stands there more than once; number the hits of an event anew.")
