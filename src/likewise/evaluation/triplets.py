"""Triplets: is the positive nearer than the negative, and what do both kinds of similarity look like?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True, slots=True)
class Similarities:
    """The distribution of some similarities; `percentiles` at 5, 25, 50, 75 and 95%."""

    count: int
    mean: float
    deviation: float
    percentiles: tuple[float, float, float, float, float]

    @classmethod
    def of(cls, values: NDArray[np.floating]) -> Similarities:
        """Describe similarities [n], n at least 1."""
        assert len(values), "nothing to describe"
        wide = np.asarray(values, dtype=np.float64)
        low, lower, middle, upper, high = (float(value) for value in np.percentile(wide, PERCENTILES))
        return cls(len(wide), float(wide.mean()), float(wide.std()), (low, lower, middle, upper, high))


@dataclass(frozen=True, slots=True)
class TripletMetrics:
    """How often the positive is nearer than the negative (a tie is not), and the similarities of both.

    `gap` is the mean of the differences positive − negative.
    """

    accuracy: float
    gap: float
    positive: Similarities
    negative: Similarities


def triplet_metrics(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> TripletMetrics:
    """Similarities of each triplet's anchor to its positive [T] and to its negative [T]; T at least 1."""
    assert positive.shape == negative.shape, "a triplet has one positive and one negative"
    difference = np.asarray(positive, dtype=np.float64) - np.asarray(negative, dtype=np.float64)
    return TripletMetrics(
        accuracy=float((difference > 0).mean()),
        gap=float(difference.mean()),
        positive=Similarities.of(positive),
        negative=Similarities.of(negative),
    )
