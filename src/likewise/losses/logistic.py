"""Cross-entropy on distance: the probability that a pair is alike is σ(scale · (margin − d)), the two classes balanced.

As the hinge, with the logistic function in its place: pairs not alike keep a gradient beyond the margin, pairs alike lose theirs
within it. Source: the binary cross-entropy of a logistic model of the distance (Guillaumin, Verbeek, Schmid 2009, "Is that you?
Metric learning approaches for face identification", eq. 5, with d instead of d²).

Shapes: R rows, C columns, D dimensions, P listed pairs. Memory is P × D.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from likewise.losses.options import LogisticOptions
from likewise.losses.scores import balanced, distances, full_precision
from likewise.types import LossResult, Pairs


class Logistic:
    """`logistic` with the options of a recipe."""

    Options = LogisticOptions

    def __init__(self, options: LogisticOptions) -> None:
        self.options = options

    def __call__(self, rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> LossResult:
        """The loss of one batch; see `logistic`."""
        options = self.options
        return logistic(rows, columns, pairs, margin=options.margin, scale=options.scale, positive_weight=options.positive_weight)


def logistic(
    rows: Tensor,
    columns: Tensor,
    pairs: Pairs[Tensor],
    *,
    margin: float = 1.0,
    scale: float = 10.0,
    positive_weight: float = 1.0,
) -> LossResult:
    """Cross-entropy of the listed pairs of rows [R, D] and columns [C, D]; distances are Euclidean.

    `active` is the share of the pairs with a term above 0: all but those so far on their side that float32 tells no term;
    `parts` holds the means of both classes. No pairs: loss 0, active 0.
    """
    with full_precision(rows, columns) as (rows, columns):
        apart, alike, weight = distances(rows, columns, pairs)
        nearness = scale * (margin - apart)
        terms = functional.softplus(torch.where(alike, -nearness, nearness))
        return balanced(terms, alike, weight, positive_weight, rows, columns)
