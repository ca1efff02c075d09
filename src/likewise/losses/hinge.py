"""Squared hinge on distance: d² for pairs alike, max(0, margin − d)² for pairs not alike, the two classes balanced.

The loss is the weighted mean over the pairs not alike, plus `positive_weight` times the weighted mean over those alike, so that
it does not depend on how many candidates of either kind a search has found. Pairs that are not listed, and masked ones, do not
count. Source: Hadsell, Chopra, LeCun 2006, "Dimensionality reduction by learning an invariant mapping", eq. 4, with means per
class as for the candidate graphs of charged particles (Ju et al. 2021, "Performance of a geometric deep learning pipeline for
HL-LHC particle tracking", §4.1).

Shapes: R rows, C columns, D dimensions, P listed pairs. Memory is P × D.
"""

from __future__ import annotations

import torch
from torch import Tensor

from likewise.losses.options import HingeOptions
from likewise.losses.scores import balanced, distances, full_precision
from likewise.types import LossResult, Pairs


class Hinge:
    """`hinge` with the options of a recipe."""

    Options = HingeOptions

    def __init__(self, options: HingeOptions) -> None:
        self.options = options

    def __call__(self, rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> LossResult:
        """The loss of one batch; see `hinge`."""
        return hinge(rows, columns, pairs, margin=self.options.margin, positive_weight=self.options.positive_weight)


def hinge(
    rows: Tensor, columns: Tensor, pairs: Pairs[Tensor], *, margin: float = 1.0, positive_weight: float = 1.0
) -> LossResult:
    """Squared hinge of the listed pairs of rows [R, D] and columns [C, D]; distances are Euclidean, as is `margin`.

    `active` is the share of the pairs with a term above 0; `parts` holds the means of both classes. No pairs: loss 0, active 0.
    """
    with full_precision(rows, columns) as (rows, columns):
        apart, alike, weight = distances(rows, columns, pairs)
        terms = torch.where(alike, apart, (margin - apart).clamp(min=0)).square()
        return balanced(terms, alike, weight, positive_weight, rows, columns)
