"""What an encoder sees of each hit."""

from __future__ import annotations

import numpy as np

from likewise.data.events.event import Event
from likewise.types import Float32


def hit_features(event: Event, cells: bool) -> tuple[Float32, tuple[str, ...]]:
    """Features [n, F] and their names: r in mm, φ in radians, z in mm, and the cell features if asked. Not scaled."""
    features = np.stack([event.r, event.phi, event.z], axis=1)
    if not cells:
        return features, ("r", "phi", "z")
    return np.concatenate([features, event.cells], axis=1), ("r", "phi", "z", *event.cell_names)
