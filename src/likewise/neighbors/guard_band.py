"""Which squared distances in float32 decide, and which must be computed again in float64.

u = 2⁻²⁴ is the rounding unit of float32. A sum S = Σ (xᵢ - yᵢ)² of D terms is computed as t = xᵢ - yᵢ and s = t·t + s, the
second fused, rounded once. Each t carries one rounding and enters squared; the sum so far is rounded at most D times:

    s = Σ (xᵢ - yᵢ)² (1 + δᵢ)² Π(1 + δⱼ)   so   |s - S| ≤ γ S + τ,   γ = (D + 2) u / (1 - (D + 2) u)

(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1). τ = D·2⁻¹²⁶ is what D sums may lose below the
smallest normal number, even where such numbers are flushed to zero. There is no cancellation: all terms are positive. Hence

    s > r² (1 + γ) + τ   is surely farther than r,       s < r² (1 - γ) - τ   is surely within it,

and only what lies between, about one pair in a million, is decided in float64, whose own rounding (below 2⁻⁴⁴ for any D here)
disappears in the two units that D + 4, used instead of D + 2, adds to γ. In the same way a point whose s exceeds
v (1 + 3γ) + 3τ is surely farther than one whose s is v, since (1 + γ) / (1 - γ) < 1 + 3γ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

UNIT = 2.0**-24
SMALLEST = 2.0**-126
LARGEST = float(np.finfo(np.float32).max)


class Band(NamedTuple):
    """The radius, and what a squared distance in float32 is compared with (numpy scalars: compiled code must see float32)."""

    radius: float
    high: np.float32  # above: outside
    low: np.float32  # below: inside
    widening: np.float32  # 3γ
    least: np.float32  # 3τ


def band(radius: float, dimension: int) -> Band:
    """The bounds for one radius; `high` stays finite, so that the padding at distance inf is never within."""
    gamma = (dimension + 4) * UNIT / (1 - (dimension + 4) * UNIT)
    tiny = dimension * SMALLEST
    square = float(radius) * float(radius)
    high = _float32_above(square * (1 + gamma) + tiny)
    low = np.nextafter(np.float32(min(max(square * (1 - gamma) - tiny, 0), LARGEST)), np.float32(0))
    return Band(float(radius), high, low, np.float32(3 * gamma), np.float32(3 * tiny))


def _float32_above(value: float) -> np.float32:
    if value >= LARGEST / 2:
        return np.float32(LARGEST)
    above: np.float32 = np.nextafter(np.float32(value), np.float32(np.inf))
    return above


def largest_coordinate(dimension: int) -> float:
    """Above it a squared distance may exceed float32."""
    return float(np.sqrt(LARGEST / (4 * dimension)) * (1 - 2.0**-10))
