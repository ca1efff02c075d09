"""Triplet loss over all triplets of a batch, or over those of listed pairs.

A triplet is a listed positive (r, p) and a negative n of its row: any column that is neither a positive of r nor masked
for it, or only those listed as not alike. Its term is max(0, margin + d(r, p) − d(r, n)), weighted by the positive's weight. The
loss is the weighted mean over the *active* triplets, those with a term above 0, so that it does not fade as most triplets become
easy. Sources: Schroff, Kalenichenko, Philbin 2015, "FaceNet", eq. 1; Hermans, Beyer, Leibe 2017, "In defense of the triplet
loss", §2 (batch all, mean over the non-zero terms, as in sentence-transformers' BatchAllTripletLoss and
pytorch-metric-learning's AvgNonZeroReducer).

Shapes: R rows, C columns, D dimensions, P listed positives, T triplets. Memory is P × C, or T where negatives are listed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from likewise.losses.options import TripletDistance, TripletOptions
from likewise.losses.scores import cosines, distances, full_precision, negatives_mask, positives_of, weighted_mean
from likewise.types import LossResult, Pairs


class Triplet:
    """`triplet` with the options of a recipe."""

    Options = TripletOptions

    def __init__(self, options: TripletOptions) -> None:
        self.options = options

    def __call__(self, rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> LossResult:
        """The loss of one batch; see `triplet`."""
        options = self.options
        loss = triplet if options.negatives == "batch" else listed_triplet
        return loss(rows, columns, pairs, margin=options.margin, distance=options.distance, hardest=options.hardest)


def triplet(
    rows: Tensor,
    columns: Tensor,
    pairs: Pairs[Tensor],
    *,
    margin: float = 0.2,
    distance: TripletDistance = "cosine",
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
        return _mean_of_active(terms, usable, weight[:, None].expand_as(terms), rows, columns)


def listed_triplet(
    rows: Tensor,
    columns: Tensor,
    pairs: Pairs[Tensor],
    *,
    margin: float = 0.2,
    distance: TripletDistance = "cosine",
    hardest: bool = False,
) -> LossResult:
    """As `triplet`, but a row's negatives are the columns listed with it as not alike: for batches of many thousand rows."""
    with full_precision(rows, columns) as (rows, columns):
        if distance == "cosine":
            rows, columns = functional.normalize(rows, dim=-1), functional.normalize(columns, dim=-1)
        apart, alike, weight = distances(rows, columns, pairs)
        if distance == "cosine":
            apart = apart.square() / 2  # of unit vectors: 1 − cosine
        row = pairs.a[pairs.weight > 0]
        if hardest:
            alike_or_hardest = alike | _nearest_of_row(apart.detach(), row, alike, len(rows))
            apart, alike, weight, row = (part[alike_or_hardest] for part in (apart, alike, weight, row))
        positive, negative = _joined(row[alike], row[~alike])
        terms = apart[alike][positive] - apart[~alike][negative] + margin
        return _mean_of_active(terms, torch.ones_like(terms, dtype=torch.bool), weight[alike][positive], rows, columns)


def _mean_of_active(terms: Tensor, usable: Tensor, weight: Tensor, rows: Tensor, columns: Tensor) -> LossResult:
    """The weighted mean of the terms above 0 among those that are of a triplet (`usable`); all three of one shape."""
    active = usable & (terms > 0)
    loss = weighted_mean(terms[active], weight[active], rows, columns)
    triplets = int(usable.sum())
    return LossResult(loss, int(active.sum()) / triplets if triplets else 0.0)


def _nearest_of_row(apart: Tensor, row: Tensor, alike: Tensor, rows: int) -> Tensor:
    """[P]: which listed pair is the nearest not alike of its row; the first listed where several are."""
    nearest = torch.full((rows,), torch.inf, dtype=apart.dtype, device=apart.device)
    nearest = nearest.scatter_reduce(0, row[~alike], apart[~alike], "amin")
    tied = torch.nonzero(~alike & (apart == nearest[row]))[:, 0]
    first = torch.full((rows,), len(row), dtype=torch.int64, device=row.device).scatter_reduce(0, row[tied], tied, "amin")
    chosen = torch.zeros_like(alike)
    chosen[first[first < len(row)]] = True
    return chosen


def _joined(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """(place in `positive`, place in `negative`) [T] of all that have one row."""
    order = negative.argsort(stable=True)
    ordered = negative[order].contiguous()
    start = torch.searchsorted(ordered, positive.contiguous())
    counts = torch.searchsorted(ordered, positive.contiguous(), right=True) - start
    place = torch.repeat_interleave(counts)
    within = torch.arange(len(place), device=place.device) - (counts.cumsum(0) - counts)[place]
    return place, order[start[place] + within]


def _euclidean(rows: Tensor, columns: Tensor) -> Tensor:
    """Distances [R, C] from differences, not from products: exact for near points; the gradient of a distance of 0 is 0."""
    return torch.cdist(rows, columns, compute_mode="donot_use_mm_for_euclid_dist")
