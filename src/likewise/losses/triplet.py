"""Triplet loss over all triplets of a batch.

A triplet is a listed positive (r, p) and a negative n of its row: any column that is neither a positive of r nor masked
for it. Its term is max(0, margin + d(r, p) − d(r, n)), weighted by the positive's weight. The loss is the weighted mean
over the *active* triplets, those with a term above 0, so that it does not fade as most triplets become easy. Sources: Schroff,
Kalenichenko, Philbin 2015, "FaceNet", eq. 1; Hermans, Beyer, Leibe 2017, "In defense of the triplet loss", §2 (batch all,
mean over the non-zero terms, as in sentence-transformers' BatchAllTripletLoss and pytorch-metric-learning's
AvgNonZeroReducer).

Shapes: R rows, C columns, D dimensions, P listed positives. Memory is P × C.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from likewise.losses.options import TripletOptions
from likewise.losses.scores import cosines, full_precision, negatives_mask, positives_of, weighted_mean
from likewise.types import LossResult, Pairs


class Triplet:
    """`triplet` with the options of a recipe."""

    Options = TripletOptions

    def __init__(self, options: TripletOptions) -> None:
        self.options = options

    def __call__(self, rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> LossResult:
        """The loss of one batch; see `triplet`."""
        options = self.options
        return triplet(rows, columns, pairs, margin=options.margin, distance=options.distance, hardest=options.hardest)


def triplet(
    rows: Tensor,
    columns: Tensor,
    pairs: Pairs[Tensor],
    *,
    margin: float = 0.2,
    distance: Literal["cosine", "euclidean"] = "cosine",
    hardest: bool = False,
) -> LossResult:
    """Triplet loss of rows [R, D] and columns [C, D]; `hardest` keeps only the nearest negative of each positive.

    `distance` is 1 − cosine, or Euclidean (of the vectors as they are). `active` is the share of the triplets with a term
    above 0. No triplets: loss 0, active 0.
    """
    with full_precision(rows, columns) as (rows, columns):
        apart = 1 - cosines(rows, columns) if distance == "cosine" else _euclidean(rows, columns)
        negative = negatives_mask(pairs, len(rows), len(columns))
        row, column, weight = positives_of(pairs)
        usable = negative[row]
        if hardest:
            # argmin refuses an empty dimension, which a batch without columns has; it has no positives either.
            nearest = apart.detach()[row].masked_fill(~usable, torch.inf).argmin(1, keepdim=True) if len(row) else row[:, None]
            terms = apart[row, column, None] - apart[row].gather(1, nearest) + margin
            usable = usable.any(dim=1, keepdim=True)
        else:
            terms = apart[row, column, None] - apart[row] + margin
        active = usable & (terms > 0)
        loss = weighted_mean(terms[active], weight[:, None].expand_as(terms)[active], rows, columns)
        triplets = int(usable.sum())
        return LossResult(loss, int(active.sum()) / triplets if triplets else 0.0)


def _euclidean(rows: Tensor, columns: Tensor) -> Tensor:
    """Distances [R, C] from differences, not from products: exact for near points; the gradient of a distance of 0 is 0."""
    return torch.cdist(rows, columns, compute_mode="donot_use_mm_for_euclid_dist")
