from __future__ import annotations

import math

import numpy as np
import pytest

from likewise.data.events.scattering import deflect, highland_width


@pytest.mark.parametrize(("momentum", "thickness"), [(0.2, 0.02), (1.0, 0.02), (10.0, 0.1)])
def test_the_width_is_highlands(momentum: float, thickness: float) -> None:
    energy = math.sqrt(momentum**2 + 0.13957**2)
    beta = momentum / energy
    expected = 0.0136 / (beta * momentum) * math.sqrt(thickness) * (1 + 0.038 * math.log(thickness / beta**2))
    assert highland_width(np.array([momentum]), np.array([thickness]))[0] == pytest.approx(expected, rel=1e-12)


def test_projected_angles_of_deflected_directions_have_that_width() -> None:
    count = 20_000
    width = highland_width(np.full(count, 0.5), np.full(count, 0.03))
    slope = 1.3
    angles = np.random.default_rng(0).standard_normal((count, 2)) * width[:, None]
    phi, slopes = deflect(np.full(count, 0.4), np.full(count, slope), angles)
    new = np.stack([np.cos(phi), np.sin(phi), slopes], axis=1)
    polar = math.atan2(1, slope)
    along = np.array([math.cos(0.4) * math.sin(polar), math.sin(0.4) * math.sin(polar), math.cos(polar)])
    by_polar = np.array([math.cos(0.4) * math.cos(polar), math.sin(0.4) * math.cos(polar), -math.sin(polar)])
    by_azimuth = np.array([-math.sin(0.4), math.cos(0.4), 0])
    projected = np.stack([np.arctan2(new @ by_polar, new @ along), np.arctan2(new @ by_azimuth, new @ along)], axis=1)
    np.testing.assert_allclose(projected, angles, atol=1e-12)
    error = width[0] / math.sqrt(2 * count)
    assert np.abs(projected.std(axis=0) - width[0]).max() < 4 * error


def test_no_angle_no_change() -> None:
    phi, slope = deflect(np.array([0.3, -2.0]), np.array([-4.0, 0.0]), np.zeros((2, 2)))
    np.testing.assert_allclose(phi, [0.3, -2.0], rtol=1e-14)
    np.testing.assert_allclose(slope, [-4.0, 0.0], rtol=1e-14)
