"""Labelled pairs: how well one score tells the alike from the not alike. Exact, with ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.types import Float64


@dataclass(frozen=True, slots=True)
class PairMetrics:
    """How a score separates the labelled pairs.

    `auc` is the chance that an alike pair scores above one that is not, ties counting half; `average_precision` the mean
    precision over the alike pairs, equal scores taken together; `gap` the difference of the mean scores.
    """

    alike: int
    not_alike: int
    auc: float
    average_precision: float
    gap: float


def pair_metrics(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> PairMetrics:
    """Scores [P] with labels [P], 1 alike and 0 not; both must occur (ValueError), as nothing can be told otherwise."""
    scores = np.asarray(scores, dtype=np.float64)
    alike = np.asarray(labels) == 1
    positives, negatives = int(alike.sum()), int((~alike).sum())
    if not positives or not negatives:
        raise ValueError(f"there are {positives} alike and {negatives} not alike pairs; both are needed to tell them apart.")
    assert np.isfinite(scores).all(), "scores must be finite"
    distinct, inverse = np.unique(-scores, return_inverse=True)  # groups of equal scores, highest first
    hits = np.bincount(inverse, weights=alike, minlength=len(distinct))
    misses = np.bincount(inverse, weights=~alike, minlength=len(distinct))
    found, wrong = np.cumsum(hits), np.cumsum(misses)
    below = negatives - wrong
    auc = float((hits * (below + misses / 2)).sum() / (positives * negatives))
    average_precision = float((hits * found / (found + wrong)).sum() / positives)
    gap = float(_mean(scores[alike]) - _mean(scores[~alike]))
    return PairMetrics(positives, negatives, auc, average_precision, gap)


def _mean(values: Float64) -> float:
    return float(values.mean())
