"""Multiple negatives ranking: InfoNCE over the columns of a batch, with sets of positives.

Of a listed positive (r, p) with weight w the term is

    w × −log( exp(s_rp) / (exp(s_rp) + Σ_n exp(s_rn)) ),   s = scale × cosine,

where n runs over all columns that are neither a positive of r nor masked for it: one positive never stands in another's
denominator. The loss is the weighted mean of the terms. Sources: van den Oord, Li, Vinyals 2018, "Representation
learning with contrastive predictive coding", eq. 4; Henderson et al. 2017, "Efficient natural language response suggestion
for smart reply", §4; the denominator without the other positives is that of Frosst, Papernot, Hinton 2019, "Analyzing and
improving representations with the soft nearest neighbor loss", read per positive.

Shapes: R rows, C columns, D dimensions. Memory is a few matrices [R, C] however many positives a row has, since the sum
over negatives is the same for all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from likewise.losses.options import InfoNCEOptions
from likewise.losses.scores import cosines, full_precision, negatives_mask, positives_of, weighted_mean
from likewise.types import LossResult, Pairs


class InfoNCE:
    """`infonce` with the options of a recipe."""

    Options = InfoNCEOptions

    def __init__(self, options: InfoNCEOptions) -> None:
        self.options = options

    def __call__(self, rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> LossResult:
        """The loss of one batch; see `infonce`."""
        return infonce(rows, columns, pairs, scale=self.options.scale, symmetric=self.options.symmetric)


def infonce(rows: Tensor, columns: Tensor, pairs: Pairs[Tensor], *, scale: float = 20.0, symmetric: bool = False) -> LossResult:
    """InfoNCE of rows [R, D] against columns [C, D]; a listed pair of label 0 stays a negative whatever its weight above 0.

    `symmetric` averages with the same loss the other way round: each column that has a positive against all rows that are
    neither alike nor masked. `active` is the share of positives that have any negative. No positives: loss 0, active 0.
    """
    with full_precision(rows, columns) as (rows, columns):
        scores = scale * cosines(rows, columns)
        negative = negatives_mask(pairs, len(rows), len(columns))
        row, column, weight = positives_of(pairs)
        terms = _terms(scores, negative, row, column)
        has_negative = negative.any(dim=1)[row]
        if symmetric:
            terms = torch.cat([terms, _terms(scores.T, negative.T, column, row)])
            has_negative = torch.cat([has_negative, negative.any(dim=0)[column]])
            weight = torch.cat([weight, weight])
        loss = weighted_mean(terms, weight, rows, columns)
        return LossResult(loss, float(has_negative.float().mean()) if len(terms) else 0.0)


def _terms(scores: Tensor, negative: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """−log softmax of each positive against the negatives of its row [P]."""
    # The lowest finite number rather than −inf: a row without negatives then has a gradient of 0, not NaN.
    lowest = torch.finfo(scores.dtype).min
    against = torch.logsumexp(scores.masked_fill(~negative, lowest), dim=1)
    return -functional.logsigmoid(scores[row, column] - against[row])
