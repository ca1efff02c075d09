from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.events.small_events import assert_equal_events
from likewise.data.events.detector import DETECTOR, PIXELS, build_detector
from likewise.data.events.event import HIT_COLUMNS, Event
from likewise.data.events.generate import Simulation, generate, simulate
from likewise.data.events.measurement import draw_noise
from likewise.data.events.options import GeneratorOptions
from likewise.data.events.propagation import propagate
from likewise.data.events.reading import read
from likewise.data.events.trackml_writing import write_trackml
from likewise.data.events.truth import Particles
from likewise.data.events.wedge import may_reach
from likewise.types import Float64, Int64

EXACT = GeneratorOptions(particles=1000, scattering=False, smearing=False, secondaries=0.3)
USUAL = GeneratorOptions(particles=2000)


def rows_of(simulation: Simulation) -> tuple[Int64, Int64]:
    """Rows of the hits that are no noise, and of their particles."""
    hits = np.flatnonzero(simulation.event.particle)
    order = np.argsort(simulation.particles.id)
    return hits, order[np.searchsorted(simulation.particles.id[order], simulation.event.particle[hits])]


def bytes_of(event: Event) -> bytes:
    return b"".join(getattr(event, name).tobytes() for name in HIT_COLUMNS)


def test_exact_hits_lie_on_the_circle_and_z_is_linear_in_the_turning_angle() -> None:
    simulation = simulate(EXACT, 0, 0)
    hits, rows = rows_of(simulation)
    made = simulation.particles.take(rows)
    x, y, z = (simulation.position[hits] - made.vertex).T
    px, py, pz = made.momentum.T
    radius = made.pt / (0.3 * 2) * 1000
    # the center lies to the right of a positive particle's direction
    center_x, center_y = made.charge * radius * py / made.pt, -made.charge * radius * px / made.pt
    assert np.abs(np.hypot(x - center_x, y - center_y) - radius).max() < 1e-9
    turning = simulation.turning[hits]
    assert np.abs(z - radius * pz / made.pt * turning).max() < 1e-9
    # and the angle is that of the circle
    around = np.arctan2(y - center_y, x - center_x) - np.arctan2(-center_y, -center_x)
    np.testing.assert_allclose(np.cos(around), np.cos(turning), atol=1e-6)
    assert (turning > 0).all()
    assert (turning <= np.pi).all()


def test_exact_hits_lie_on_the_layers() -> None:
    simulation = simulate(EXACT, 1, 0)
    for volume in np.unique(DETECTOR.volume):
        for row in np.flatnonzero(DETECTOR.volume == volume):
            hits = (simulation.event.volume == volume) & (simulation.event.layer == DETECTOR.layer[row])
            x, y, z = simulation.position[hits].T
            place, along = (np.hypot(x, y), z) if DETECTOR.barrel[row] else (z, np.hypot(x, y))
            assert np.abs(place - DETECTOR.place[row]).max(initial=0) < 1e-6
            assert (along >= DETECTOR.low[row] - 1e-6).all()
            assert (along <= DETECTOR.high[row] + 1e-6).all()


def test_flipping_the_charge_mirrors() -> None:
    random = np.random.default_rng(0)
    count = 200
    pt, slope = random.uniform(0.2, 5, count), random.normal(0, 1, count)
    momentum = np.stack([pt, np.zeros(count), pt * slope], axis=1)  # along x: the mirror is y = 0
    plus = Particles(np.arange(1, count + 1), np.zeros((count, 3)), momentum, np.ones(count, np.int8), np.ones(count, bool))
    minus = Particles(plus.id, plus.vertex, momentum, -plus.charge, plus.primary)
    one, other = (propagate(each, DETECTOR, EXACT, np.random.default_rng(1), np.arange(count)) for each in (plus, minus))
    np.testing.assert_array_equal(one.layer, other.layer)
    np.testing.assert_allclose(one.position, other.position * [1, -1, 1], atol=1e-9)
    assert (one.position[:, 1] < 0).all()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    events = [generate(GeneratorOptions(particles=200), number, 5) for number in (3, 1, 3)]
    assert bytes_of(events[0]) == bytes_of(events[2])
    assert bytes_of(events[0]) != bytes_of(events[1])
    assert bytes_of(events[0]) != bytes_of(generate(GeneratorOptions(particles=200), 3, 6))
    assert [event.name for event in events] == ["event000000003", "event000000001", "event000000003"]


def test_efficiency_is_as_asked() -> None:
    everything, most = (simulate(USUAL.model_copy(update={"efficiency": share, "noise": 0}), 0, 0) for share in (1.0, 0.98))
    crossings, hits = len(everything.event), len(most.event)
    assert abs(hits - 0.98 * crossings) < 4 * np.sqrt(0.98 * 0.02 * crossings)


@pytest.mark.parametrize("wedge", [1.0, 0.25])
def test_noise_is_as_asked_and_even_over_the_area(wedge: float) -> None:
    events = [generate(USUAL.model_copy(update={"wedge": wedge}), number, 0) for number in range(4)]
    noise = np.concatenate([event.particle == 0 for event in events])
    assert abs(noise.mean() - 0.15) < 4 * np.sqrt(0.15 * 0.85 / len(noise))
    volume = np.concatenate([event.volume for event in events])[noise]
    for each in np.unique(DETECTOR.volume):
        share = DETECTOR.area[DETECTOR.volume == each].sum() / DETECTOR.area.sum()
        assert abs((volume == each).mean() - share) < 4 * np.sqrt(share * (1 - share) / len(volume))
    phi = np.concatenate([event.phi for event in events])[noise]
    assert np.abs(phi).max() <= np.pi * wedge + 1e-6
    counts, _ = np.histogram(phi, bins=8, range=(-np.pi * wedge, np.pi * wedge))
    assert np.abs(counts - len(phi) / 8).max() < 4 * np.sqrt(len(phi) / 8)


def test_areas_and_noise_within_a_layer() -> None:
    areas = dict(zip(zip(DETECTOR.volume.tolist(), DETECTOR.layer.tolist(), strict=True), DETECTOR.area, strict=True))
    assert areas[8, 2] == pytest.approx(2 * np.pi * 32 * 980)
    assert areas[14, 12] == pytest.approx(np.pi * (702**2 - 240**2))
    layer, position = draw_noise(50_000, DETECTOR, 1.0, np.random.default_rng(0))
    x, y, z = position[(DETECTOR.volume == 14)[layer]].T
    inner = (np.hypot(x, y) < 471).mean()  # half-way between the radii, by less than half of the area
    share = (471**2 - 240**2) / (702**2 - 240**2)
    assert abs(inner - share) < 4 * np.sqrt(share * (1 - share) / len(x))
    z = position[(DETECTOR.volume == 17)[layer], 2]
    counts, _ = np.histogram(z, bins=8, range=(-1080, 1080))
    assert np.abs(counts - len(z) / 8).max() < 4 * np.sqrt(len(z) / 8)


def test_no_noise_if_none_is_asked() -> None:
    assert generate(USUAL.model_copy(update={"noise": 0}), 0, 0).particle.all()


def test_measured_positions_are_off_by_the_resolution_of_their_layer() -> None:
    simulation = simulate(USUAL, 0, 0)
    hits, _ = rows_of(simulation)
    measured, true = simulation.position[hits], simulation.true_position[hits]
    volume = simulation.event.volume[hits]
    r, true_r = np.hypot(*measured.T[:2]), np.hypot(*true.T[:2])
    turned = np.arctan2(measured[:, 1], measured[:, 0]) - np.arctan2(true[:, 1], true[:, 0])
    across = ((turned + np.pi) % (2 * np.pi) - np.pi) * true_r
    for each in np.unique(DETECTOR.volume):
        row = np.flatnonzero(DETECTOR.volume == each)[0]
        chosen = volume == each
        error = 4 / np.sqrt(2 * np.count_nonzero(chosen))
        along, still = (
            (measured[:, 2] - true[:, 2], r - true_r) if DETECTOR.barrel[row] else (r - true_r, measured[:, 2] - true[:, 2])
        )
        assert abs(across[chosen].std() / DETECTOR.across[row] - 1) < error
        assert abs(along[chosen].std() / DETECTOR.along[row] - 1) < error
        assert np.abs(still[chosen]).max() < 1e-9


@pytest.mark.parametrize("slope", [0.0, 2.0])
def test_scattering_widens_by_highland(slope: float) -> None:
    """Stiff tracks through two cylinders: where they meet the second spreads by the angle at the first, over the way between."""
    count = 20_000
    momentum = np.tile([30.0, 0.0, 30 * slope], (count, 1))
    particles = Particles(np.arange(1, count + 1), np.zeros((count, 3)), momentum, np.ones(count, np.int8), np.ones(count, bool))
    layers = build_detector(PIXELS)
    crossings = propagate(particles, layers, GeneratorOptions(), np.random.default_rng(0), np.arange(count))
    second = layers.place[crossings.layer] == 72
    slanted = np.hypot(1, slope)  # both the material and the way between are longer by this
    beta = 30 * slanted / np.hypot(30 * slanted, 0.13957)
    width = 0.0136 / (beta * 30 * slanted) * np.sqrt(0.02 * slanted) * (1 + 0.038 * np.log(0.02 * slanted / beta**2))
    across, along = (crossings.position[second, axis].std() for axis in (1, 2))
    expected = width * (72 - 32) * slanted
    assert abs(across / expected - 1) < 4 / np.sqrt(2 * count)
    assert abs(along / (expected * slanted) - 1) < 4 / np.sqrt(2 * count)  # the cylinder cuts the spread at a slant


@pytest.mark.parametrize("wedge", [1 / 16, 0.3])
def test_a_wedge_is_the_cut_of_the_full_event(wedge: float) -> None:
    for number in range(3):
        full, part = (simulate(USUAL.model_copy(update={"wedge": share}), number, 0) for share in (1.0, wedge))
        hits, _ = rows_of(full)
        inside = hits[np.abs(np.arctan2(full.position[hits, 1], full.position[hits, 0])) <= np.pi * wedge]
        found, _ = rows_of(part)
        np.testing.assert_allclose(part.position[found], full.position[inside], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(part.event.particle[found], full.event.particle[inside])


def test_no_particle_is_left_out_of_a_wedge_that_it_reaches() -> None:
    """Every hit of an event, turned to the middle of a wedge of no width: its particle must be among those followed."""
    simulation = simulate(GeneratorOptions(particles=20_000, secondaries=0.3), 0, 0)
    hits, rows = rows_of(simulation)
    angle = -np.arctan2(simulation.position[hits, 1], simulation.position[hits, 0])
    made = simulation.particles.take(rows)
    turned = Particles(made.id, turn(made.vertex, angle), turn(made.momentum, angle), made.charge, made.primary)
    reaching = may_reach(turned, 1e-9, 2.0, DETECTOR.outer_radius)
    assert reaching.all()
    stiff = made.pt > 1
    other = Particles(made.id, made.vertex, turn(made.momentum, 2 + 0 * angle), made.charge, made.primary)
    assert may_reach(other, 1e-9, 2.0, DETECTOR.outer_radius)[stiff].mean() < 0.5


def turn(vectors: Float64, angle: Float64) -> Float64:
    """Vectors [n, 3] turned around the beam."""
    x, y, z = vectors.T
    return np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle), z], axis=1)


def test_the_order_of_hits_tells_nothing_of_particles() -> None:
    event = generate(USUAL, 0, 0)
    same = event.particle[1:] == event.particle[:-1]
    assert (same & (event.particle[1:] != 0)).mean() < 0.02
    assert event.hit_id.tolist() == list(range(1, len(event) + 1))


def test_full_density() -> None:
    event = generate(GeneratorOptions(wedge=1 / 32), 0, 0)
    assert 80_000 < 32 * len(event) < 140_000


def test_trackml_files_are_read_back_equal(tmp_path: Path) -> None:
    simulation = simulate(GeneratorOptions(particles=300), 12, 0)
    write_trackml(simulation, tmp_path)
    assert_equal_events(read(tmp_path, "event000000012"), simulation.event)
    header = (tmp_path / "event000000012-truth.csv").read_text().splitlines()[0]
    assert header.replace('"', "") == "hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight"
