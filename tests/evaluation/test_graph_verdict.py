import re

import numpy as np
import pytest

from likewise.evaluation.graph_verdict import Wording, against, graph_verdict, sentence
from likewise.evaluation.graphs import EventCounts
from likewise.evaluation.verdict import Rules

RULES = Rules(resamples=500, smallest_units=5)


def events(purity, count=10, seed=0):
    """Events whose signal purity is about so much: 500 signal edges, all of them found."""
    false = np.random.default_rng(seed).normal(500 / purity, 20 / purity, count).astype(int)
    return [
        EventCounts(hits=7000, edges=500 + int(each), true=500, true_found=500, signal=500, signal_found=500) for each in false
    ]


def verdict(before, after, count=10, chosen="trained"):
    return graph_verdict(events(before, count), events(after, count, 1), metric="signal_purity", rules=RULES, chosen=chosen)


def test_small_purities_are_told_with_digits_that_count():
    told = verdict(0.000193, 0.00183).sentence
    assert re.fullmatch(
        r"better: signal purity from 0\.00019 to 0\.0018 \(\+0\.001\d, 95% interval \+0\.001\d to \+0\.001\d, "
        r"10 events; 10 won, 0 lost\)\.",
        told,
    )


def test_larger_ones_have_three_decimals():
    assert re.match(r"better: signal purity from 0\.\d{3} to 0\.\d{3} \(\+0\.\d{3}, ", verdict(0.02, 0.3).sentence)


def test_the_wording_says_which_events():
    found = verdict(0.0002, 0.002)
    held_out = sentence(found, Wording("signal purity at 98% efficiency", kind="held-out"))
    assert "signal purity at 98% efficiency from" in held_out
    assert "10 held-out events; 10 won" in held_out
    trained_on = sentence(found, Wording("purity", which="that it was trained on"))
    assert "10 events that it was trained on; 10 won" in trained_on


def test_one_event_has_no_interval():
    told = sentence(verdict(0.0002, 0.002, count=1), Wording("purity", which="that it was trained on"))
    assert told.startswith("too few to tell: purity from 0.0002")
    assert "1 event that it was trained on)" in told
    assert "interval" not in told
    assert "won" not in told
    assert told.endswith("; about 5 events would do.")


def test_a_start_that_is_kept_is_told_with_its_digits():
    found = verdict(0.0002, 0.0002, chosen="start")
    assert "the model you began with is kept (signal purity 0.00020, 10 events)." in found.sentence


@pytest.mark.parametrize(
    ("before", "after", "count", "told"),
    [
        (0.0002, 0.002, 10, "better than raw features: purity 0.00"),
        (0.002, 0.0002, 10, "raw features win: the model handed over has purity 0.000"),
        (0.002, 0.002, 10, "no difference from raw features shown: purity 0.00"),
        (0.0002, 0.002, 3, "too few to tell against raw features: purity 0.00"),
    ],
)
def test_against_a_baseline(before, after, count, told):
    found = against(verdict(before, after, count), "raw features", Wording("purity"))
    assert found.startswith(told)
    assert f"({'−' if after < before else ''}" in found
    assert found.endswith(".")
