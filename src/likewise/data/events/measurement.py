"""What the detector measures: where particles crossed it, not quite exactly and not every time, and noise."""

from __future__ import annotations

import numpy as np

from likewise.data.events.detector import Layers
from likewise.data.events.propagation import Crossings
from likewise.types import Float64, Int64


def smeared(crossings: Crossings, layers: Layers) -> Float64:
    """Measured positions [M, 3] on the same surfaces, off by each layer's resolution: across, and along z or r."""
    x, y, z = crossings.position.T
    r, phi = np.hypot(x, y), np.arctan2(y, x)
    across, along = crossings.deviation.T * (layers.across[crossings.layer], layers.along[crossings.layer])
    phi = phi + across / r
    barrel = layers.barrel[crossings.layer]
    r, z = np.where(barrel, r, r + along), np.where(barrel, z + along, z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)


def draw_noise(count: int, layers: Layers, wedge: float, random: np.random.Generator) -> tuple[Int64, Float64]:
    """Layers [count] and positions [count, 3] of noise, even over the sensitive area within the wedge."""
    layer = random.choice(len(layers), size=count, p=layers.area / layers.area.sum())
    phi = random.uniform(-np.pi * wedge, np.pi * wedge, count)
    place = random.random(count)
    low, high, barrel = layers.low[layer], layers.high[layer], layers.barrel[layer]
    on_disc = np.sqrt(low**2 + place * (high**2 - low**2))  # even in area is even in the square of the radius
    r = np.where(barrel, layers.place[layer], on_disc)
    z = np.where(barrel, low + place * (high - low), layers.place[layer])
    return layer, np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)
