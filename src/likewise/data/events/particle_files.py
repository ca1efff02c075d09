"""Tables of particles, as TrackML and ACTS write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.columns import IDENTIFIER, NUMBER, read_columns
from likewise.data.events.truth import Particles
from likewise.types import Int64

_COLUMNS = {"particle_id": IDENTIFIER, **dict.fromkeys(("vx", "vy", "vz", "px", "py", "pz", "q"), NUMBER)}


def read_particles(path: Path, made_in_collision: Callable[[Int64], NDArray[np.bool_]]) -> Particles:
    """The particles of a CSV file; `made_in_collision` tells from their ids which are primary."""
    table = read_columns(path, _COLUMNS)
    return Particles(
        id=table["particle_id"],
        vertex=np.stack([table[key] for key in ("vx", "vy", "vz")], axis=1),
        momentum=np.stack([table[key] for key in ("px", "py", "pz")], axis=1),
        charge=np.rint(table["q"]).astype(np.int8),
        primary=made_in_collision(table["particle_id"]),
    )
