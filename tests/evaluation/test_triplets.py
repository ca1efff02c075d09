import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.evaluation.triplets import Similarities, triplet_metrics

SIMILARITY = st.floats(-1, 1, width=32)


@given(st.lists(st.tuples(SIMILARITY, SIMILARITY), min_size=1, max_size=20))
def test_metrics_equal_loops(cases):
    positive, negative = (np.array(column, np.float32) for column in zip(*cases, strict=True))
    found = triplet_metrics(positive, negative)
    assert found.accuracy == sum(float(p) > float(n) for p, n in cases) / len(cases)
    assert found.gap == pytest.approx(sum(float(p) - float(n) for p, n in cases) / len(cases), abs=1e-12)
    assert found.positive.mean == pytest.approx(sum(float(p) for p, _ in cases) / len(cases), abs=1e-12)
    assert found.negative.count == len(cases)


def test_a_tie_is_not_a_win():
    same = np.array([0.5, 0.5], np.float32)
    assert triplet_metrics(same, same).accuracy == 0


def test_percentiles_are_ordered_and_known():
    described = Similarities.of(np.linspace(0, 1, 101))
    assert described.percentiles == pytest.approx((0.05, 0.25, 0.5, 0.75, 0.95))
