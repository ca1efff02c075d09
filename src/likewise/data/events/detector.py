"""The generated detector: cylinders around the beam and discs across it, like the one of the TrackML challenge.

Volumes and layers are numbered as there: pixels in volumes 7 to 9, short strips in 12 to 14, long strips in 16 to 18, each the
discs at negative z, the barrel, the discs at positive z; layers 2, 4, 6 … from low z, or from inside. L layers; mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.types import Float64, Int64


@dataclass(frozen=True, slots=True)
class Technology:
    """A kind of sensor and where its layers stand; resolutions are standard deviations in mm."""

    volume: int
    """Of the discs at negative z; the barrel's is the next, and that of the discs at positive z the one after it."""
    radii: tuple[float, ...]
    """Of the cylinders."""
    half_length: float
    """Of the cylinders, along the beam."""
    discs: tuple[float, ...]
    """Distances of the discs from the origin, along the beam."""
    ring: tuple[float, float]
    """The inner and outer radius of the discs."""
    across: float
    """The resolution along the azimuth."""
    along: float
    """The resolution along z in the barrel, along r on the discs."""
    thickness: float
    """In radiation lengths, crossed at a right angle; supports and services included."""
    module: tuple[float, float]
    """The size of a sensor, across and along."""


PIXELS = Technology(
    volume=7,
    radii=(32.0, 72.0, 116.0, 172.0),
    half_length=490.0,
    discs=(600.0, 700.0, 820.0, 960.0, 1100.0, 1300.0, 1500.0),
    ring=(30.0, 176.0),
    across=0.011,
    along=0.016,
    thickness=0.02,
    module=(16.8, 72.0),
)
SHORT_STRIPS = Technology(
    volume=12,
    radii=(260.0, 360.0, 500.0, 660.0),
    half_length=1080.0,
    discs=(1220.0, 1500.0, 1800.0, 2150.0, 2550.0, 2950.0),
    ring=(240.0, 702.0),
    across=0.02,
    along=0.27,
    thickness=0.025,
    module=(48.0, 108.0),
)
LONG_STRIPS = Technology(
    volume=16,
    radii=(820.0, 1020.0),
    half_length=1080.0,
    discs=(1220.0, 1500.0, 1800.0, 2150.0, 2550.0, 2950.0),
    ring=(755.0, 1020.0),
    across=0.028,
    along=3.0,
    thickness=0.03,
    module=(64.0, 108.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """Every layer of a detector, [L] each."""

    barrel: NDArray[np.bool_]
    """Whether it is a cylinder."""
    place: Float64
    """The radius of a cylinder, the z of a disc."""
    low: Float64
    high: Float64
    """The bounds of z on a cylinder, of the radius on a disc."""
    volume: Int64
    layer: Int64
    across: Float64
    along: Float64
    thickness: Float64
    module_across: Float64
    module_along: Float64

    def __len__(self) -> int:
        return len(self.place)

    @property
    def area(self) -> Float64:
        """[L]: the sensitive area, in mm²."""
        cylinders = 2 * np.pi * self.place * (self.high - self.low)
        return np.where(self.barrel, cylinders, np.pi * (self.high**2 - self.low**2))

    @property
    def outer_radius(self) -> float:
        """The largest distance from the beam at which there is a layer."""
        return float(np.where(self.barrel, self.place, self.high).max())

    def module(self, layer: Int64, phi: Float64, along: Float64) -> Int64:
        """The number of the module, from 1, at azimuth `phi` and z (barrel) or r (disc) `along`, each [M], of layers [M]."""
        low, high = self.low[layer], self.high[layer]
        radius = np.where(self.barrel[layer], self.place[layer], high)
        columns = np.ceil(2 * np.pi * radius / self.module_across[layer])
        rows = np.ceil((high - low) / self.module_along[layer])
        column = np.floor((phi / (2 * np.pi) + 0.5) * columns) % columns
        row = np.clip(np.floor((along - low) / (high - low) * rows), 0, rows - 1)  # smearing may leave the sensor's edge
        number: Int64 = (1 + column * rows + row).astype(np.int64)
        return number


def build_detector(*technologies: Technology) -> Layers:
    """The layers of the given technologies."""
    rows = [row for technology in technologies for row in _layers(technology)]
    return Layers(**{name: np.array([row[name] for row in rows]) for name in rows[0]})


def _layers(technology: Technology) -> list[dict[str, Any]]:
    shared = {
        "across": technology.across,
        "along": technology.along,
        "thickness": technology.thickness,
        "module_across": technology.module[0],
        "module_along": technology.module[1],
    }
    length, (inner, outer) = technology.half_length, technology.ring
    barrel = [{"barrel": True, "place": radius, "low": -length, "high": length} for radius in technology.radii]
    ring = {"barrel": False, "low": inner, "high": outer}
    negative = [{**ring, "place": -z} for z in reversed(technology.discs)]
    positive = [{**ring, "place": z} for z in technology.discs]
    return [
        {**row, **shared, "volume": technology.volume + part, "layer": 2 * number}
        for part, rows in enumerate((negative, barrel, positive))
        for number, row in enumerate(rows, start=1)
    ]


DETECTOR = build_detector(PIXELS, SHORT_STRIPS, LONG_STRIPS)
