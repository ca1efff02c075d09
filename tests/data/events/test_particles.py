from __future__ import annotations

import numpy as np

from likewise.data.events.options import GeneratorOptions
from likewise.data.events.particles import KAON_MASS, draw_particles
from likewise.data.events.scattering import PION_MASS
from likewise.data.events.trackml import made_in_collision

OPTIONS = GeneratorOptions(particles=20_000, secondaries=0.2)
PARTICLES = draw_particles(OPTIONS, np.random.default_rng(0))
PAIRS = 2_000


def test_ids_are_unique_and_tell_primaries() -> None:
    assert len(np.unique(PARTICLES.id)) == len(PARTICLES) == 20_000
    assert (PARTICLES.id > 0).all()
    np.testing.assert_array_equal(made_in_collision(PARTICLES.id), PARTICLES.primary)
    assert np.count_nonzero(~PARTICLES.primary) == 2 * PAIRS


def test_the_spectrum_is_a_power_law_and_eta_is_flat() -> None:
    pt, eta = PARTICLES.pt[PARTICLES.primary], PARTICLES.eta[PARTICLES.primary]
    assert pt.min() >= OPTIONS.pt_min
    for above in (0.3, 0.5, 1.0, 3.0):
        share = (above**-1.5 - 100**-1.5) / (0.2**-1.5 - 100**-1.5)
        error = np.sqrt(share * (1 - share) / len(pt))
        assert abs((pt > above).mean() - share) < 4 * error
    counts, _ = np.histogram(eta, bins=12, range=(-3, 3))
    assert counts.sum() == len(eta)
    assert np.abs(counts - len(eta) / 12).max() < 4 * np.sqrt(len(eta) / 12)


def test_primaries_start_at_a_few_vertices_of_the_beam_spot() -> None:
    vertices = np.unique(PARTICLES.vertex[PARTICLES.primary], axis=0)
    assert len(vertices) == OPTIONS.vertices
    assert np.abs(vertices.std(axis=0) / [0.015, 0.015, 50] - 1).max() < 0.25


def test_secondaries_come_in_pairs_of_a_kaon_from_a_displaced_vertex() -> None:
    first, second = PARTICLES.take(np.arange(-2 * PAIRS, -PAIRS)), PARTICLES.take(np.arange(-PAIRS, 0))
    np.testing.assert_array_equal(first.vertex, second.vertex)
    np.testing.assert_array_equal(first.charge, -second.charge)
    assert np.median(np.hypot(first.vertex[:, 0], first.vertex[:, 1])) > 5
    energy = sum(np.sqrt((pion.momentum**2).sum(axis=1) + PION_MASS**2) for pion in (first, second))
    total = first.momentum + second.momentum
    np.testing.assert_allclose(np.sqrt(energy**2 - (total**2).sum(axis=1)), KAON_MASS, rtol=1e-6)
    assert np.hypot(total[:, 0], total[:, 1]).min() >= 2 * OPTIONS.pt_min - 1e-9
