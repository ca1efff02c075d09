"""Cosine embedding loss on listed pairs: 1 − s for alike, max(0, s − margin) for not alike, s the cosine.

The loss is the mean over the listed pairs by their weights; pairs that are not listed, and masked ones, do not count. Source:
`torch.nn.CosineEmbeddingLoss`, with weights; Hadsell, Chopra, LeCun 2006, "Dimensionality reduction by learning an invariant
mapping", is its ancestor with distances.

Shapes: R rows, C columns, D dimensions, P listed pairs. Memory is P × D.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from likewise.losses.options import CosineOptions
from likewise.losses.scores import full_precision, weighted_mean
from likewise.types import LossResult, Pairs


class Cosine:
    """`cosine` with the options of a recipe."""

    Options = CosineOptions

    def __init__(self, options: CosineOptions) -> None:
        self.options = options

    def __call__(self, rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> LossResult:
        """The loss of one batch; see `cosine`."""
        return cosine(rows, columns, pairs, margin=self.options.margin)


def cosine(rows: Tensor, columns: Tensor, pairs: Pairs[Tensor], *, margin: float = 0.3) -> LossResult:
    """Cosine embedding loss of the listed pairs of rows [R, D] and columns [C, D].

    `active` is the share of the pairs with a term above 0. No pairs: loss 0, active 0.
    """
    with full_precision(rows, columns) as (rows, columns):
        listed = pairs.weight > 0
        a, b, alike = pairs.a[listed], pairs.b[listed], pairs.label[listed] == 1
        scores = (functional.normalize(rows, dim=-1)[a] * functional.normalize(columns, dim=-1)[b]).sum(dim=-1)
        terms = torch.where(alike, 1 - scores, (scores - margin).clamp(min=0))
        loss = weighted_mean(terms, pairs.weight[listed], rows, columns)
        return LossResult(loss, float((terms > 0).float().mean()) if len(terms) else 0.0)
