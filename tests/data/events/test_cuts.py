from __future__ import annotations

import numpy as np
import pytest

from data.events.small_events import small_event
from likewise.data.events.cuts import keep, signal
from likewise.data.events.edges import all_pairs, consecutive_edges
from likewise.data.events.options import CutOptions

EVENT = small_event(
    [1, 2, 0, 1, 2, 3, 1, 0, 3, 2],
    pt=[2.0, 0.5, 0, 2.0, 0.5, 3.0, 2.0, 0, 3.0, 0.5],
    primary=[True, True, False, True, True, False, True, False, False, True],
)


@pytest.mark.parametrize(
    ("cuts", "particles"),
    [
        (CutOptions(pt_signal_min=1, min_hits=0), {1, 3}),
        (CutOptions(pt_signal_min=0, min_hits=0), {1, 2, 3}),
        (CutOptions(pt_signal_min=0, min_hits=3), {1, 2}),
        (CutOptions(pt_signal_min=0, min_hits=0, primaries_only=True), {1, 2}),
        (CutOptions(pt_signal_min=2.5, min_hits=3), set()),
    ],
)
def test_signal_edges_are_of_the_particles_that_pass(cuts: CutOptions, particles: set[int]) -> None:
    edges = all_pairs(EVENT)
    chosen = signal(EVENT, edges, cuts)
    assert set(EVENT.particle[edges[0][chosen]].tolist()) == particles
    assert not set(EVENT.particle[edges[0][~chosen]].tolist()) & particles


def test_an_edge_of_two_particles_is_no_signal() -> None:
    assert not signal(EVENT, np.array([[0, 0, 2], [5, 2, 7]]), CutOptions(min_hits=0, pt_signal_min=0)).any()


@pytest.mark.parametrize(
    ("cuts", "particles"),
    [
        (CutOptions(), {0, 1, 2, 3}),
        (CutOptions(keep_noise=False), {1, 2, 3}),
        (CutOptions(pt_background_min=1), {0, 1, 3}),
        (CutOptions(pt_background_min=0.5), {0, 1, 2, 3}),
        (CutOptions(background_min_hits=3, keep_noise=False), {1, 2}),
    ],
)
def test_background_cuts_remove_hits_and_move_edges(cuts: CutOptions, particles: set[int]) -> None:
    kept = keep(EVENT, cuts)
    assert set(kept.particle.tolist()) == particles
    whole = EVENT.hit_id[consecutive_edges(EVENT, "path")]
    between = np.isin(whole, kept.hit_id).all(axis=0)
    np.testing.assert_array_equal(kept.hit_id[consecutive_edges(kept, "path")], whole[:, between])
