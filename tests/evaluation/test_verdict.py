import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.evaluation.digits import signed
from likewise.evaluation.verdict import Rules, against, interval, judge

RULES = Rules(resamples=1000, smallest_units=25, negligible=0.02, seed=1)


def verdict_on(difference, *, rules=RULES, units=None, base=0.5, **named):
    before = np.full(len(difference), base)
    return judge(before, before + difference, metric="ndcg@10", rules=rules, units=units, **named)


def test_words():
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.05, 400)
    noise -= noise.mean()
    assert verdict_on(noise + 0.03).verdict == "better"
    assert verdict_on(noise - 0.03).verdict == "worse"
    assert verdict_on(noise).verdict == "no difference shown"
    assert verdict_on(noise * 10).verdict == "too few to tell"
    assert verdict_on(noise[:24] + 0.5).verdict == "too few to tell"
    assert verdict_on(np.zeros(30)).verdict == "no difference shown"


def test_numbers_and_sentence():
    difference = np.repeat([0.1, -0.05, 0.0], [60, 20, 20])
    verdict = verdict_on(difference, base=0.649)
    assert (verdict.units, verdict.wins, verdict.losses) == (100, 60, 20)
    assert verdict.difference == pytest.approx(0.05)
    low, high = verdict.interval_95
    assert verdict.needed is None
    assert verdict.sentence == (
        "better: nDCG@10 rises from 0.649 to 0.699 "
        f"(+0.050, 95% interval {signed(low)} to {signed(high)}, 100 queries; 60 won, 20 lost)."
    )


def test_enough_units_are_enough():
    """The number it asks for would have given an interval that tells."""
    random = np.random.default_rng(3)
    few = random.normal(0, 0.3, 60)
    few -= few.mean()
    verdict = verdict_on(few)
    assert verdict.verdict == "too few to tell"
    assert f"about {verdict.needed:,} queries would do" in verdict.sentence
    many = np.resize(few, verdict.needed)
    many = many - many.mean()
    low, high = verdict_on(many, rules=Rules(resamples=4000, seed=2)).interval_95
    assert high - low == pytest.approx(2 * 0.02, rel=0.1)


def test_fewer_than_the_smallest_number_asks_for_at_least_that():
    assert verdict_on(np.full(5, 0.1)).needed == 25
    assert verdict_on(np.full(1, 0.1)).needed == 25


def test_the_start_was_kept():
    verdict = verdict_on(np.zeros(300), base=0.649, chosen="start")
    assert (verdict.verdict, verdict.chosen, verdict.interval_95) == ("no difference shown", "start", (0.0, 0.0))
    assert "no trained checkpoint was better on validation" in verdict.sentence
    assert "0.649" in verdict.sentence


def test_a_baseline_that_wins_is_named():
    behind = verdict_on(np.random.default_rng(0).normal(-0.05, 0.02, 100), base=0.7)
    assert against(behind, "BM25", 100).startswith("BM25 wins: the model handed over has nDCG@10 0.65")
    assert against(verdict_on(np.full(50, 0.01)), "BM25", 50).startswith("better than BM25: ")
    assert against(verdict_on(np.zeros(50)), "BM25", 50).startswith("no difference from BM25 shown: ")
    assert against(verdict_on(np.zeros(3)), "BM25", 3).endswith("; about 25 queries would do.")


def test_units_are_drawn_together():
    """Ten copies of each query say no more than one."""
    random = np.random.default_rng(5)
    single = random.normal(0.01, 0.1, 50)
    together = verdict_on(np.repeat(single, 10), units=np.repeat(np.arange(50) * 7 + 3, 10), unit="module")
    alone = verdict_on(single)
    apart = verdict_on(np.repeat(single, 10))
    assert together.units == 50
    assert together.interval_95 == pytest.approx(alone.interval_95)
    assert (together.wins, together.losses) == (alone.wins, alone.losses)
    assert np.ptp(apart.interval_95) < 0.5 * np.ptp(together.interval_95)
    assert "500 queries in 50 modules" in together.sentence


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.floats(-1, 1)), min_size=1, max_size=30), st.integers(0, 1000))
def test_means_are_over_queries_and_the_interval_over_units(cases, seed):
    units, difference = (np.array(column) for column in zip(*cases, strict=True))
    rules = Rules(resamples=300, smallest_units=2, seed=seed)
    verdict = verdict_on(difference, rules=rules, units=units)
    assert verdict.difference == pytest.approx(difference.mean(), abs=1e-12)
    means = {unit: difference[units == unit].mean() for unit in set(units.tolist())}
    assert verdict.wins == sum(mean > 1e-12 for mean in means.values())
    low, high = verdict.interval_95
    assert low <= high
    assert min(means.values()) - 1e-9 <= low
    assert high <= max(means.values()) + 1e-9
    again = verdict_on(difference, rules=rules, units=units)
    assert again == verdict
    mirrored = verdict_on(-difference, rules=rules, units=units)
    assert mirrored.interval_95 == pytest.approx((-high, -low), abs=1e-9)


def test_the_interval_equals_a_loop(monkeypatch):
    random = np.random.default_rng(7)
    sums, counts = random.normal(size=12), random.integers(1, 5, 12).astype(float)
    drawn = np.random.default_rng(9).integers(0, 12, size=(500, 12))
    means = [sum(sums[unit] for unit in row) / sum(counts[unit] for unit in row) for row in drawn]
    expected = tuple(np.percentile(means, [2.5, 97.5]))
    assert interval(sums, counts, resamples=500, seed=9) == pytest.approx(expected)
    monkeypatch.setattr("likewise.evaluation.verdict.CHUNK", 12 * 7)
    assert interval(sums, counts, resamples=500, seed=9) == pytest.approx(expected)


def test_the_interval_covers_the_truth():
    """95% intervals of skewed, mostly zero differences in clusters hold the true mean about 95 times in 100."""
    random = np.random.default_rng(11)
    runs, held = 300, 0
    for run in range(runs):
        counts = random.integers(1, 6, 80)
        shared = np.repeat(random.normal(0, 0.1, 80), counts)
        difference = np.where(random.random(len(shared)) < 0.5, 0, random.exponential(0.2, len(shared)) - 0.1) + shared
        sums = np.bincount(np.repeat(np.arange(80), counts), weights=difference)
        low, high = interval(sums, counts.astype(float), resamples=400, seed=run)
        held += low <= 0.05 <= high
    assert 0.90 <= held / runs <= 0.985
