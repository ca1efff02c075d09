"""Where the sensors of an ACTS detector are, from detectors.csv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likewise.data.events.columns import IDENTIFIER, INTEGER, NUMBER, Columns, read_columns
from likewise.data.events.lookup import find_rows
from likewise.errors import DataError
from likewise.types import Float64, Int64

FLAT = (6, 7)  # ACTS numbers the kinds of bounds: a rectangle, a trapezoid; their local coordinates are Cartesian

_CENTER = ("cx", "cy", "cz")
_ROTATION = ("rot_xu", "rot_xv", "rot_yu", "rot_yv", "rot_zu", "rot_zv")


@dataclass(frozen=True, slots=True, eq=False)
class Surfaces:
    """S sensors: `geometry` [S] ids, `center` [S, 3] mm, `axes` [S, 3, 2] local directions in the laboratory, `flat` [S]."""

    path: Path
    geometry: Int64
    center: Float64
    axes: Float64
    flat: Int64

    def positions(self, measured: Columns) -> Float64:
        """Laboratory positions [n, 3] of measurements with columns geometry_id, local0 and local1 (mm): center + axes · local.

        DataError for a sensor that is not known, or not flat.
        """
        rows = find_rows(self.geometry, measured["geometry_id"])
        bad = (rows < 0) | (self.flat[rows] == 0)
        if bad.any():
            identifier = int(measured["geometry_id"][np.argmax(bad)]) % 2**64  # the unsigned number of the file
            raise DataError(f"{self.path} has no flat sensor {identifier}; use the detectors file that belongs to these events.")
        local = np.stack([measured["local0"], measured["local1"]], axis=1)
        placed: Float64 = self.center[rows] + np.einsum("nij,nj->ni", self.axes[rows], local)
        return placed


def read_surfaces(path: Path) -> Surfaces:
    """The sensors of a detectors.csv; files without a column bounds_type hold flat ones only."""
    wanted = {"geometry_id": IDENTIFIER, **dict.fromkeys((*_CENTER, *_ROTATION), NUMBER)}
    table = read_columns(path, wanted, {"bounds_type": INTEGER})
    bounds = table.get("bounds_type", np.full(len(table["cx"]), FLAT[0]))
    return Surfaces(
        path=path,
        geometry=table["geometry_id"],
        center=np.stack([table[key] for key in _CENTER], axis=1),
        axes=np.stack([table[key] for key in _ROTATION], axis=1).reshape(-1, 3, 2),
        flat=np.isin(bounds, FLAT).astype(np.int64),
    )
