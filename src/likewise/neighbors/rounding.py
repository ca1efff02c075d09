"""How far a float32 score may stand from exact arithmetic.

u = 2^-24 is the rounding unit and γ(n) = n u / (1 - n u). A dot product of D terms, summed in any order, with or without fused
multiply-add, differs from the exact one by at most γ(D) Σ|aᵢbᵢ| ≤ γ(D) ‖a‖ ‖b‖ (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., §3.1). What is added for scaling, centring, square roots and conversions is a few u more: the 8 in γ(D + 8).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from likewise.types import Distance

UNIT = 2.0**-24
SMALLEST = 2.0**-126  # below it a product may be flushed to zero: lost D times in one sum


def gamma(dimension: int) -> float:
    """γ(D + 8)."""
    n = (dimension + 8) * UNIT
    assert n < 0.5, "float32 sums of so many terms have no useful bound"
    return float(n / (1 - n))


def score_error(distance: Distance, dimension: int, size: float) -> float:
    """The most a returned score may differ from exact arithmetic.

    `size` is the greatest ‖q‖ ‖b‖ for dot products, the greatest distance returned for Euclidean ones; unused for cosines.

    - cosine = q·b / (‖q‖ ‖b‖): γ(D) by the dot product and as much by the two lengths together.
    - dot: γ(D) ‖q‖ ‖b‖.
    - euclidean: differences are rounded first and then squared, so the squared distance has a *relative* error of γ(D + 2),
      and its root half of that.
    """
    if distance == "cosine":
        return 2 * gamma(dimension)
    if distance == "dot":
        return gamma(dimension) * size + dimension * SMALLEST
    return gamma(dimension) / 2 * size + math.sqrt(dimension * SMALLEST)


def first_pass_error(distance: Distance, dimension: int, reach: Tensor, deviation: float) -> Tensor:
    """The most that a first-pass score and the final one of the same pair may differ (Euclidean: as squared distances).

    `reach` is ‖q‖ · max‖b‖ for dot products and ‖q'‖ + ‖b'‖ of the centred vectors for Euclidean distances, whose first pass
    ‖q'‖² + ‖b'‖² - 2 q'·b' cancels: its error is γ(D) (‖q'‖ + ‖b'‖)², which is why vectors are centred. `deviation` is how far
    base vectors taken as unit vectors may be from it.
    """
    if distance == "cosine":
        return torch.full_like(reach, 4 * gamma(dimension) + 2 * deviation)
    if distance == "dot":
        return 2 * gamma(dimension) * reach + 2 * dimension * SMALLEST
    return 2 * gamma(dimension) * reach * reach + 2 * dimension * SMALLEST
