import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.evaluation.degrees import Degrees, degrees, neighbors_per_hit
from likewise.evaluation.edges import TrueEdges, each_pair_once
from likewise.evaluation.graph_verdict import graph_verdict
from likewise.evaluation.graphs import GRAPH_METRICS, EventCounts, count_event, event_values, graph_metrics
from likewise.evaluation.verdict import Rules
from likewise.neighbors import oracle

RULES = Rules(resamples=500, smallest_units=5, seed=1)


def event(seed, *, hits=80, tracks=16, spread=0.05):
    """Points, tracks of five neighboring hits each, and which of those edges are signal."""
    random = np.random.default_rng(seed)
    points = np.repeat(random.random((tracks, 3)), hits // tracks, axis=0) + random.normal(0, spread, (hits, 3))
    rows = np.arange(hits).reshape(tracks, -1)
    edges = np.stack([rows[:, :-1].ravel(), rows[:, 1:].ravel()])
    signal = np.repeat(random.random(tracks) < 0.6, edges.shape[1] // tracks)
    return points, TrueEdges.of(edges, hits=hits, signal=signal, weight=random.random(edges.shape[1]))


def counted(seed, radius=0.2, **named):
    points, true = event(seed, **named)
    return count_event(each_pair_once(oracle.within(points, radius), len(points)), true)


def by_hand(points, true, radius):
    """All the definitions, spelled out on sets of pairs."""
    hits = len(points)
    candidates = {(a, b) for a in range(hits) for b in range(a + 1, hits) if np.linalg.norm(points[a] - points[b]) <= radius}
    known = {tuple(pair): (signal, weight) for pair, signal, weight in zip(true.pairs.T, true.signal, true.weight, strict=True)}
    signal = {pair for pair in known if known[pair][0]}
    false = candidates - set(known)
    weigh = lambda pairs: math.fsum(float(known[pair][1]) for pair in pairs)  # noqa: E731
    efficiency, purity = len(candidates & signal) / len(signal), len(candidates & signal) / len((candidates & signal) | false)
    return {
        "efficiency": len(candidates & set(known)) / len(known),
        "signal_efficiency": efficiency,
        "purity": len(candidates & set(known)) / len(candidates),
        "signal_purity": purity,
        "f1": 2 * efficiency * purity / (efficiency + purity),
        "weighted_efficiency": weigh(candidates & signal) / weigh(signal),
        "weighted_purity": weigh(candidates & signal) / (weigh(candidates & signal) + len(false)),
        "neighbors": sum((a in pair) for pair in candidates for a in range(hits)) / hits,
        "cut": 0,
    }


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_is_what_its_definition_says(seed):
    points, true = event(seed)
    told = counted(seed)
    for metric, value in by_hand(points, true, 0.2).items():
        assert told.value(metric) == pytest.approx(value, rel=1e-6), metric


def test_masked_edges_are_neither_true_nor_false():
    points, true = event(0)
    none = dataclasses.replace(true, signal=np.zeros(len(true), bool))
    edges = each_pair_once(oracle.within(points, 0.2), len(points))
    some, masked = count_event(edges, true), count_event(edges, none)
    assert masked.masked_found == some.true_found
    assert masked.false == some.false
    assert math.isnan(masked.value("signal_efficiency"))
    without = count_event(edges, TrueEdges.of(np.empty((2, 0), np.int64), hits=len(points)))
    assert without.false == some.edges  # had they not been masked, they were false


def test_counts_add_up():
    many = [counted(seed) for seed in range(4)]
    total = sum(many, EventCounts())
    assert total.edges == sum(each.edges for each in many)
    metrics = graph_metrics(many, RULES)
    for metric in GRAPH_METRICS:
        estimate = getattr(metrics, metric)
        assert estimate.micro == pytest.approx(total.value(metric))
        assert estimate.mean == pytest.approx(np.mean(event_values(many, metric)))


def test_intervals_hold_the_value_in_most_experiments():
    """Of 60 experiments with 30 events, about 95% of the intervals hold the value of a great many events."""
    pool = [counted(seed, hits=40, tracks=8) for seed in range(400)]
    whole = graph_metrics(pool, Rules(resamples=100)).signal_purity
    random = np.random.default_rng(0)
    micro = mean = 0
    for _ in range(60):
        told = graph_metrics([pool[at] for at in random.integers(0, 400, 30)], Rules(resamples=400)).signal_purity
        micro += told.micro_interval_95[0] <= whole.micro <= told.micro_interval_95[1]
        mean += told.mean_interval_95[0] <= whole.mean <= told.mean_interval_95[1]
    assert micro >= 51
    assert mean >= 51


def test_one_event_has_no_interval_and_empty_graphs_no_purity():
    alone = graph_metrics([counted(0)], RULES)
    assert alone.efficiency.micro_interval_95 is alone.efficiency.mean_interval_95 is None
    empty = graph_metrics([counted(0, radius=0.0), counted(1, radius=0.0)], RULES)
    assert empty.purity.events == 0
    assert math.isnan(empty.purity.micro)
    assert empty.efficiency.micro == 0
    told = json.loads(json.dumps(empty.as_json(), allow_nan=False))
    assert told["purity"]["micro"] is None
    assert told["counts"]["hits"] == 160


def test_events_without_a_metric_do_not_count_for_it():
    some = [counted(0), EventCounts(hits=10), counted(1)]
    told = graph_metrics(some, RULES)
    assert told.events == 3
    assert told.signal_purity.events == 2
    assert told.neighbors.events == 3
    assert told.signal_purity.mean == pytest.approx(np.nanmean(event_values(some, "signal_purity")))


def test_the_cap_shows_in_the_counts():
    points, true = event(3)
    capped = oracle.within(points, 0.3, max_neighbors=2)
    told = count_event(each_pair_once(capped, len(points)), true)
    assert told.cut == capped.cut > 0
    assert told.value("cut") == capped.cut / len(points)


@given(st.integers(0, 50), st.floats(0, 0.5))
def test_degrees(seed, radius):
    points, _ = event(seed, hits=40, tracks=8)
    once = each_pair_once(oracle.within(points, radius), 40)
    each = neighbors_per_hit(once, 40)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = (distances <= radius).sum(axis=1) - 1
    np.testing.assert_array_equal(each, near)
    told = degrees(once, 40)
    assert told.hits.sum() == 40
    assert told.mean == pytest.approx(near.mean())
    assert told.quantile(0.5) == np.sort(near)[19]
    assert told.quantile(1.0) == near.max()
    np.testing.assert_array_equal((told + Degrees(np.ones(60, np.int64), 2)).hits[:41].sum(), 40 + 41)


def test_the_verdict_is_paired_by_event():
    before = [counted(seed, radius=0.3) for seed in range(12)]
    after = [counted(seed, radius=0.12) for seed in range(12)]
    verdict = graph_verdict(before, after, metric="signal_purity", rules=RULES)
    assert verdict.verdict == "better"
    assert verdict.wins == verdict.units == 12
    assert verdict.unit == "event"
    assert verdict.sentence.startswith(f"better: signal purity from {verdict.before:.3f} to {verdict.after:.3f} (+")
    assert verdict.sentence.endswith("12 events; 12 won, 0 lost).")
    same = graph_verdict(before, before, metric="f1", rules=RULES)
    assert same.verdict == "no difference shown"
    assert "F1" in same.sentence
    kept = graph_verdict(before, before, metric="f1", rules=RULES, chosen="start")
    assert "the model you began with is kept" in kept.sentence
    few = graph_verdict(before[:2], after[:2], metric="signal_purity", rules=RULES)
    assert "too few to tell" in few.sentence
    assert few.sentence.endswith("events would do.")
    assert graph_verdict([EventCounts(hits=3)], [EventCounts(hits=3)], metric="purity", rules=RULES) is None
    with pytest.raises(AssertionError, match="same events"):
        graph_verdict(before[:2], before[1:3] + before[:1], metric="f1", rules=RULES)
