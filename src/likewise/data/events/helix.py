"""Helices in a field along z, and where they meet cylinders around z and planes across it.

N helices, L layers. In the transverse plane a helix is a circle, run through by the turning angle t ≥ 0 from where the particle
is; z grows in proportion to t. Half-angle forms are used throughout: a stiff track's circle is many metres large, and differences
of its coordinates would lose the micrometres that count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likewise.types import Float64

MM_PER_GEV_TESLA = 1000 / 0.3  # the radius of a circle is pt / (0.3 B) in metres, for unit charge, pt in GeV and B in tesla
TOUCHING = 1e-6  # mm: crossings nearer than this along the circle are the place where the particle stands


@dataclass(frozen=True, slots=True, eq=False)
class Helices:
    """[N] each: a place in mm, the azimuth of the direction there, the circle's radius in mm, slope and sense of rotation."""

    x: Float64
    y: Float64
    z: Float64
    phi: Float64
    radius: Float64
    slope: Float64
    """pz / pt."""
    sense: Float64
    """+1 where the azimuth grows with t, as it does for negative charge in a field along +z; -1 where it falls."""

    def at(self, t: Float64) -> tuple[Float64, Float64, Float64, Float64]:
        """x, y, z and the direction's azimuth after turning by `t` [N]."""
        chord = 2 * self.radius * np.sin(t / 2)
        middle = self.phi + self.sense * t / 2
        z = self.z + self.radius * self.slope * t
        return self.x + chord * np.cos(middle), self.y + chord * np.sin(middle), z, self.phi + self.sense * t

    def distance_from_beam(self, t: Float64) -> Float64:
        """The distance from the z axis [N, L] after turning by `t` [N, L]."""
        nearest, reach, beta = self._circle()
        distance: Float64 = np.sqrt(nearest**2 + reach * np.sin((beta + t) / 2) ** 2)
        return distance

    def to_cylinders(self, radii: Float64) -> tuple[Float64, Float64]:
        """The turning angles [N, L] at which cylinders of `radii` [L] are left outward, and entered inward; inf for never.

        Angles are below a full turn, and beyond where the particle stands.
        """
        nearest, reach, beta = self._circle()
        squared_sine = (radii - nearest) * (radii + nearest) / reach
        met = (squared_sine >= 0) & (squared_sine <= 1)
        half_opening = np.arcsin(np.sqrt(np.where(met, squared_sine, 0.0)))
        return self._ahead(2 * half_opening - beta, met), self._ahead(-2 * half_opening - beta, met)

    def to_planes(self, places: Float64) -> Float64:
        """The turning angles [N, L] at which planes at z = `places` [L] are met; inf for never."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (places - self.z[:, None]) / (self.radius * self.slope)[:, None]
        return np.where(t * self.radius[:, None] > TOUCHING, t, np.inf)

    def _ahead(self, t: Float64, met: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Float64:
        t = np.where(t * self.radius[:, None] > TOUCHING, t, t + 2 * np.pi)
        return np.where(met, t, np.inf)

    def _circle(self) -> tuple[Float64, Float64, Float64]:
        """[N, 1] each: the circle's signed least distance from the axis, 4 d R, and the angle since it was there.

        With d the distance of the center from the axis, the distance ρ of a point from the axis, an angle β after the point
        nearest to the axis, obeys ρ² = (d - R)² + 4 d R sin²(β / 2).
        """
        sine, cosine = np.sin(self.phi), np.cos(self.phi)
        center_x, center_y = self.x - self.sense * self.radius * sine, self.y + self.sense * self.radius * cosine
        d = np.hypot(center_x, center_y)
        along = self.y * cosine - self.x * sine
        nearest = (self.x**2 + self.y**2 + 2 * self.sense * self.radius * along) / (d + self.radius)  # d - R without cancellation
        to_axis_x, to_axis_y = -center_x / d, -center_y / d
        beta = np.arctan2(to_axis_x * self.y - to_axis_y * self.x, self.x * to_axis_x + self.y * to_axis_y + d)
        return nearest[:, None], (4 * d * self.radius)[:, None], (self.sense * beta)[:, None]
