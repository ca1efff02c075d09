from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.errors import DataError
from likewise.evaluation.binned import binned_efficiency, wilson
from likewise.evaluation.edges import TrueEdges, each_pair_once, found_edges, label_edges
from likewise.evaluation.graphs import count_event
from likewise.evaluation.radius_scan import RadiusScan, radius_for, true_distances
from likewise.neighbors import oracle
from likewise.types import Edges


def event(seed, hits=60):
    random = np.random.default_rng(seed)
    points = np.repeat(random.random((hits // 5, 2)), 5, axis=0) + random.normal(0, 0.04, (hits, 2))
    rows = np.arange(hits).reshape(-1, 5)
    edges = np.stack([rows[:, :-1].ravel(), rows[:, 1:].ravel()])
    signal, weight = random.random(edges.shape[1]) < 0.7, random.random(edges.shape[1])
    return points.astype(np.float32), TrueEdges.of(edges, hits=hits, signal=signal, weight=weight)


def searched(points, radius):
    once = each_pair_once(oracle.within(points, radius), len(points))
    return Edges(once.query, once.point, once.distance.astype(np.float32), once.cut)


def scanned(points, true, radii):
    pairs = np.array([len(searched(points, radius).query) for radius in radii], dtype=np.float64)
    return RadiusScan.of(radii, pairs, true_distances(points, true), true)


@settings(max_examples=30)
@given(st.integers(0, 30), st.lists(st.floats(0.001, 0.5), min_size=1, max_size=8, unique=True))
def test_a_scan_tells_what_a_search_at_every_radius_would(seed, drawn):
    radii = np.sort(np.array(drawn))
    points, true = event(seed)
    scan = scanned(points, true, radii)
    for at, radius in enumerate(radii):
        alone = count_event(searched(points, radius), true)
        told = scan.counts(radius)
        assert told.signal_weight_found == pytest.approx(alone.signal_weight_found)
        assert replace(told, signal_weight_found=0) == replace(alone, signal_weight_found=0)
        for metric in ("efficiency", "purity", "signal_efficiency", "signal_purity", "neighbors"):
            np.testing.assert_equal(getattr(scan, metric)[at], alone.value(metric))


def test_scans_of_events_add_up():
    radii = np.linspace(0.01, 0.3, 7)
    scans, counts = [], []
    for seed in range(3):
        points, true = event(seed)
        scans.append(scanned(points, true, radii))
        counts.append(count_event(searched(points, 0.3), true))
    total = scans[0] + scans[1] + scans[2]
    assert total.signal_efficiency[-1] == sum(c.signal_found for c in counts) / sum(c.signal for c in counts)
    assert (np.diff(total.signal_efficiency) >= 0).all()
    assert total.weight == pytest.approx(sum(c.signal_weight for c in counts))
    assert (np.diff(total.weight_found) >= 0).all()


def test_an_estimate_is_never_fewer_edges_than_were_found():
    points, true = event(0)
    radii = np.array([0.1, 0.5])
    scan = RadiusScan.of(radii, np.zeros(2), true_distances(points, true), true)
    np.testing.assert_array_equal(scan.edges, scan.true_found)


DISTANCES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.7]) | st.floats(0, 2), min_size=1, max_size=25)


@given(
    st.lists(DISTANCES, min_size=1, max_size=4),
    st.floats(0.001, 1) | st.sampled_from([0.07, 0.5, 0.98, 1.0]),
    st.booleans(),
    st.integers(0, 9),
)
def test_the_radius_is_the_smallest_that_reaches_the_efficiency(events, efficiency, weighted, seed):
    distances = [np.array(each) for each in events]
    random = np.random.default_rng(seed)
    weights = [random.integers(0, 4, len(each)).astype(np.float64) for each in distances] if weighted else None
    flat = np.concatenate(distances)
    weigh = np.concatenate(weights) if weights else np.ones(len(flat))
    if not weigh.sum():
        with pytest.raises(DataError, match="weight above 0"):
            radius_for(efficiency, distances, weights)
        return

    def reached(radius):
        return weigh[flat <= radius].sum() / weigh.sum()

    exact = min(radius for radius in flat if reached(radius) >= efficiency)  # brute force: only at a distance does it rise
    found = radius_for(efficiency, distances, weights)
    assert found == np.float32(found)
    assert reached(found) >= efficiency
    assert exact <= found
    below = float(np.nextafter(np.float32(found), np.float32(-1)))
    assert below < exact, "a smaller float32 would do"


@pytest.mark.parametrize("efficiency", [0.5, 0.9, 0.98, 1.0])
def test_a_search_at_the_solved_radius_has_the_efficiency(efficiency):
    events = [event(seed) for seed in range(4)]
    distances = [true_distances(points, true)[true.signal] for points, true in events]
    radius = radius_for(efficiency, distances)
    counts = [count_event(searched(points, radius), true) for points, true in events]
    signal = sum(each.signal for each in counts)
    found = sum(each.signal_found for each in counts)
    assert found / signal >= efficiency
    assert found == np.ceil(efficiency * signal - 1e-9)  # not one more than needed


@pytest.mark.parametrize("efficiency", [0.0, -1.0, 1.1, float("nan")])
def test_efficiencies_that_cannot_be_are_refused(efficiency):
    with pytest.raises(DataError, match="cannot be reached"):
        radius_for(efficiency, [np.ones(3)])


def test_no_true_edge_has_no_radius():
    with pytest.raises(DataError, match="No signal edge"):
        radius_for(0.9, [np.empty(0)])
    with pytest.raises(DataError, match="No signal edge"):
        radius_for(0.9, [])


def test_true_distances_are_euclidean(monkeypatch):
    monkeypatch.setattr("likewise.evaluation.radius_scan.CHUNK", 7)
    points, true = event(1)
    a, b = true.pairs
    expected = [np.sqrt(((points[i].astype(float) - points[j].astype(float)) ** 2).sum()) for i, j in zip(a, b, strict=True)]
    np.testing.assert_allclose(true_distances(points, true), expected, rtol=1e-15)


@given(st.lists(st.tuples(st.floats(-1, 12) | st.just(float("nan")), st.booleans()), max_size=60))
def test_bins_count_what_is_in_them(rows):
    values, found = np.array([v for v, _ in rows], dtype=float), np.array([f for _, f in rows], dtype=bool)
    limits = [0.0, 1.0, 2.5, 10.0]
    told = binned_efficiency(values, found, limits)
    inside = [[f for v, f in rows if low <= v < high or v == high == 10.0] for low, high in pairwise(limits)]
    assert told.total.tolist() == [len(each) for each in inside]
    assert told.found.tolist() == [sum(each) for each in inside]
    assert told.outside == len(rows) - sum(len(each) for each in inside)
    twice = told + told
    np.testing.assert_array_equal(twice.efficiency, told.efficiency)
    low, high = told.interval_95
    some = told.total > 0
    assert np.isnan(told.efficiency[~some]).all()
    assert np.isnan(low[~some]).all()
    assert (low[some] <= told.efficiency[some]).all()
    assert (told.efficiency[some] <= high[some]).all()


def test_wilson_solves_the_score_equation():
    found, total = np.array([0, 1, 5, 98, 100, 3]), np.array([10, 1, 9, 100, 100, 1000])
    share = found / total
    for limit in wilson(found, total):
        inner = (limit > 0) & (limit < 1)
        score = np.abs(share - limit)[inner] / np.sqrt(limit * (1 - limit) / total)[inner]
        np.testing.assert_allclose(score, 1.959963984540054, rtol=1e-9)
    low, high = wilson(found, total)
    assert low[0] == 0
    assert high[4] == pytest.approx(1)


def test_signal_efficiency_in_bins_of_a_column_of_the_true_edges():
    points, _ = event(2)
    edges = np.array([[5, 1, 0], [6, 2, 1]])
    pt = np.array([0.3, 2.0, 5.0])  # in the order of what was given
    true = TrueEdges.of(edges, hits=len(points), signal=np.array([False, True, True]))
    candidates = Edges(np.array([0]), np.array([1]), np.array([0.1], np.float32), 0)
    found = found_edges(label_edges(candidates, true)[1], true)
    told = binned_efficiency(pt[true.row][true.signal], found[true.signal], np.array([0.0, 1, 3, 10]))
    assert told.total.tolist() == [0, 1, 1]
    assert told.found.tolist() == [0, 0, 1]
