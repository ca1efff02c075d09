"""A slice of the azimuth around φ = 0: part of an event at the density of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.helix import MM_PER_GEV_TESLA
from likewise.data.events.truth import Particles
from likewise.types import Float64

DISPLACED = 1.0  # mm: made farther from the beam, a particle's own azimuth counts beside its direction's
MARGIN = 0.04  # radians: 1 mm seen at the innermost layer, and errors of measurement
SCATTERED = 0.1  # radians · GeV, over pt: 0.06 is the most that scattering added among 60,000 particles


def in_wedge(phi: Float64, wedge: float) -> NDArray[np.bool_]:
    """Whether azimuths in [-π, π] lie in the wedge that is this share of the full turn."""
    return np.abs(phi) <= np.pi * wedge


def may_reach(particles: Particles, wedge: float, field: float, outer_radius: float) -> NDArray[np.bool_]:
    """Whether particles [P] may leave hits in the wedge, within `outer_radius` mm of the beam. Errs on the side of yes.

    After turning by t a particle stands in the direction φ ± t / 2 from where it was made, with 2 R sin(t / 2) between.
    """
    pt = np.maximum(particles.pt, 1e-6)
    x, y = particles.vertex[:, 0], particles.vertex[:, 1]
    made_at = np.hypot(x, y)
    chord = (outer_radius + made_at) * field / (2 * pt * MM_PER_GEV_TESLA)
    phi = np.arctan2(particles.momentum[:, 1], particles.momentum[:, 0])
    turned = -particles.charge * np.arcsin(np.minimum(chord, 1))
    away = np.where(made_at > DISPLACED, _wrapped(np.arctan2(y, x) - phi), 0.0)
    margin = MARGIN + SCATTERED / pt
    low = np.minimum(np.minimum(turned, away), 0) - margin
    high = np.maximum(np.maximum(turned, away), 0) + margin
    nearest = np.abs(_wrapped(phi + (low + high) / 2)) - (high - low) / 2  # of the arc from low to high to φ = 0
    reaches: NDArray[np.bool_] = nearest <= np.pi * wedge
    return reaches


def _wrapped(angle: NDArray[Any]) -> NDArray[Any]:
    return (angle + np.pi) % (2 * np.pi) - np.pi
