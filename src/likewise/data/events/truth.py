"""From a table of particles to what is true of each hit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.lookup import find_rows
from likewise.errors import DataError
from likewise.types import Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Particles:
    """The particles of an event where they were made: P of them."""

    id: Int64
    """[P], never 0."""
    vertex: Float64
    """[P, 3]: where, in mm."""
    momentum: Float64
    """[P, 3]: in GeV."""
    charge: NDArray[np.int8]
    """[P]: in units of the proton's."""
    primary: NDArray[np.bool_]
    """[P]: whether they come from the collision itself."""

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: NDArray[Any]) -> Particles:
        """The given particles only, in their order."""
        return Particles(self.id[rows], self.vertex[rows], self.momentum[rows], self.charge[rows], self.primary[rows])

    @property
    def pt(self) -> Float64:
        """[P]: the transverse momentum in GeV."""
        return np.hypot(self.momentum[:, 0], self.momentum[:, 1])

    @property
    def eta(self) -> Float64:
        """[P]: the pseudorapidity; infinite along the beam."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.arcsinh(self.momentum[:, 2] / self.pt)


def truth_columns(particle: Int64, position: Float64, particles: Particles, *, file: object) -> dict[str, NDArray[Any]]:
    """An event's true columns, from each hit's particle [n] (0 = noise) and its true position [n, 3] in mm.

    `path` is the distance from where the particle was made: within half a turn of a helix it grows along the trajectory.
    DataError for a hit whose particle `file`, the table of particles, does not know.
    """
    real = particle != 0
    rows = find_rows(particles.id, particle[real])
    if (rows < 0).any():
        unknown = particle[real][np.argmin(rows)]
        raise DataError(
            f"{file} lacks the particle {unknown}, which has a hit; complete it, or take the file away to read without."
        )
    vertex = particles.vertex[rows]
    values = {
        "pt": particles.pt[rows],
        "particle_eta": particles.eta[rows],
        "production_radius": np.hypot(vertex[:, 0], vertex[:, 1]),
        "charge": particles.charge[rows],
        "primary": particles.primary[rows],
        "path": np.linalg.norm(position[real] - vertex, axis=1),
    }
    return {"particle": particle, **{name: _spread(column, real) for name, column in values.items()}}


def _spread(values: NDArray[Any], real: NDArray[np.bool_]) -> NDArray[Any]:
    """Values of the real hits among all hits, zero for noise."""
    spread = np.zeros(len(real), dtype=values.dtype)
    spread[real] = values
    return spread
