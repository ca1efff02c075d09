import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.evaluation.pairs import pair_metrics


def reference(scores, labels):
    positives = [s for s, label in zip(scores, labels, strict=True) if label == 1]
    negatives = [s for s, label in zip(scores, labels, strict=True) if label == 0]
    auc = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives) / (len(positives) * len(negatives))
    precision = 0.0
    for p in positives:  # the precision of everything that scores at least as high
        above = [label for s, label in zip(scores, labels, strict=True) if s >= p]
        precision += sum(above) / len(above)
    return auc, precision / len(positives), np.mean(positives) - np.mean(negatives)


@given(st.lists(st.tuples(st.sampled_from([-1.0, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0]), st.integers(0, 1)), min_size=2, max_size=30))
def test_metrics_equal_loops_with_ties(cases):
    scores, labels = (np.array(column) for column in zip(*cases, strict=True))
    if len(set(labels.tolist())) < 2:
        with pytest.raises(ValueError, match="both are needed"):
            pair_metrics(scores, labels)
        return
    found = pair_metrics(scores.astype(np.float32), labels.astype(np.int8))
    auc, precision, gap = reference(scores.tolist(), labels.tolist())
    assert found.auc == pytest.approx(auc, abs=1e-12)
    assert found.average_precision == pytest.approx(precision, abs=1e-12)
    assert found.gap == pytest.approx(gap, abs=1e-12)
    assert (found.alike, found.not_alike) == (labels.sum(), (1 - labels).sum())


def test_scaling_the_scores_changes_neither_auc_nor_precision():
    random = np.random.default_rng(0)
    scores, labels = random.normal(size=200).round(1), random.integers(0, 2, 200)
    plain, scaled = pair_metrics(scores, labels), pair_metrics(scores * 4 - 1, labels)
    assert (plain.auc, plain.average_precision) == (scaled.auc, scaled.average_precision)
    assert scaled.gap == pytest.approx(4 * plain.gap)
