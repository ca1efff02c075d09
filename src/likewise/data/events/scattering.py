"""Multiple scattering: many small deflections in the material of a layer change the direction, not the momentum."""

from __future__ import annotations

import numpy as np

from likewise.types import Float64

PION_MASS = 0.13957  # GeV; most charged particles of a collision are pions


def highland_width(momentum: Float64, thickness: Float64) -> Float64:
    """The width [N] in radians of the angle projected on a plane, for pions of `momentum` GeV in `thickness` radiation lengths.

    θ₀ = 13.6 MeV / (β p) · √(x / X₀) · (1 + 0.038 ln(x / (X₀ β²))), for unit charge (Highland; Review of Particle Physics 2022,
    eq. 34.16).
    """
    beta = momentum / np.hypot(momentum, PION_MASS)
    width: Float64 = 0.0136 / (beta * momentum) * np.sqrt(thickness) * (1 + 0.038 * np.log(thickness / beta**2))
    return width


def deflect(phi: Float64, slope: Float64, angles: Float64) -> tuple[Float64, Float64]:
    """A direction's azimuth and pz / pt [N], turned by `angles` [N, 2] in the planes of the polar angle and of the azimuth."""
    transverse = 1 / np.hypot(1, slope)  # the sine of the polar angle
    polar, azimuthal = np.tan(angles.T)
    along = transverse + polar * transverse * slope  # in the transverse plane, along and across the old azimuth
    z = transverse * slope - polar * transverse
    return phi + np.arctan2(azimuthal, along), z / np.hypot(along, azimuthal)
