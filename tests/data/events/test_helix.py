"""Crossings against a fine scan along each helix, and the equations of motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.helix import MM_PER_GEV_TESLA, Helices
from likewise.types import Float64

RADII = np.array([32.0, 172.0, 660.0, 1020.0])
PLANES = np.array([-2950.0, -600.0, 600.0, 1500.0])


def draw_helices(count: int, seed: int = 0) -> Helices:
    """Helices of 0.1 to 100 GeV, half of them starting away from the beam."""
    random = np.random.default_rng(seed)
    pt = 10 ** random.uniform(-1, 2, count)
    place = random.standard_normal((3, count)) * np.where(np.arange(count) % 2, 100.0, 0.01)
    return Helices(
        *place,
        random.uniform(-np.pi, np.pi, count),
        pt * MM_PER_GEV_TESLA / 2,
        random.normal(0, 2, count),
        random.choice([-1.0, 1.0], count),
    )


def places(helices: Helices, t: Float64) -> tuple[Float64, Float64]:
    """Distance from the beam and z [N, S] at turning angles [N, S]."""
    found = [helices.at(column) for column in t.T]
    return np.stack([np.hypot(x, y) for x, y, _, _ in found], axis=1), np.stack([z for _, _, z, _ in found], axis=1)


def test_the_motion_turns_with_the_lorentz_force() -> None:
    helices = draw_helices(50)
    step = 1e-4
    t = np.full(50, 0.7)
    before, here, after = (np.stack(helices.at(t + shift)[:3]) for shift in (-step, 0, step))
    velocity = (after - before) / (2 * step)
    force = (after - 2 * here + before) / step**2
    # in a field along z the acceleration of charge q is q v × z, and negative charge has sense +1
    expected = -helices.sense * np.stack([velocity[1], -velocity[0], np.zeros(50)])
    np.testing.assert_allclose(force / helices.radius, expected / helices.radius, atol=1e-3)
    np.testing.assert_allclose(np.hypot(velocity[0], velocity[1]), helices.radius, rtol=1e-6)
    np.testing.assert_allclose(velocity[2], helices.radius * helices.slope, rtol=1e-6)


def test_a_positive_particle_turns_clockwise() -> None:
    one = np.ones(1)
    _, y, _, _ = Helices(0 * one, 0 * one, 0 * one, 0 * one, 100 * one, 0 * one, -one).at(0.5 * one)
    assert y[0] < 0


def test_points_found_on_cylinders_and_planes_lie_there() -> None:
    helices = draw_helices(2000)
    for t in helices.to_cylinders(RADII):
        met = np.isfinite(t)
        assert met.any(axis=0).all()
        r, _ = places(helices, np.where(met, t, 0))
        assert np.abs(r - RADII)[met].max() < 1e-6
    t = helices.to_planes(PLANES)
    met = np.isfinite(t)
    _, z = places(helices, np.where(met, t, 0))
    assert np.abs(z - PLANES)[met].max() < 1e-9


def test_no_crossing_is_missed_or_invented() -> None:
    helices = draw_helices(300)
    last = np.minimum(np.pi, 4000 / helices.radius)  # a scan in steps of a millimetre
    scan = np.linspace(0, 1, 4001) * last[:, None]
    r, z = places(helices, scan)
    for cylinder, radius in enumerate(RADII):
        inside = r <= radius
        leaving, entering = (t[:, cylinder] for t in helices.to_cylinders(RADII))
        assert_first_changes(leaving, scan, inside[:, :-1] & ~inside[:, 1:])
        assert_first_changes(entering, scan, ~inside[:, :-1] & inside[:, 1:])
    for plane, place in enumerate(PLANES):
        assert_first_changes(helices.to_planes(PLANES)[:, plane], scan, (z[:, 1:] > place) != (z[:, :-1] > place))


def assert_first_changes(t: Float64, scan: Float64, changed: NDArray[np.bool_]) -> None:
    """Each angle [N] lies where the scan [N, S] first changes, and beyond the scan where it does not."""
    found = t < scan[:, -1]
    np.testing.assert_array_equal(found, changed.any(axis=1))
    first = np.argmax(changed, axis=1)[:, None]
    low, high = np.take_along_axis(scan, first, 1)[:, 0], np.take_along_axis(scan, first + 1, 1)[:, 0]
    assert (t >= low - 1e-9)[found].all()
    assert (t <= high + 1e-9)[found].all()


def test_distances_from_the_beam() -> None:
    helices = draw_helices(500)
    t = np.random.default_rng(1).uniform(0, np.pi, (500, 7))
    r, _ = places(helices, t)
    np.testing.assert_allclose(helices.distance_from_beam(t), r, atol=1e-7)
