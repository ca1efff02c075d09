"""What the losses share: precision, cosines, and which (row, column) of a batch may count as a negative.

Shapes: R rows, C columns, D dimensions, P listed pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from likewise.types import LossResult, Pairs


@contextmanager
def full_precision(*vectors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The vectors as float32 (float64 stays), with autocast off: bfloat16 keeps three digits of a score, a loss needs more."""
    with torch.autocast(vectors[0].device.type, enabled=False):
        yield tuple(vector if vector.dtype == torch.float64 else vector.float() for vector in vectors)


def cosines(rows: Tensor, columns: Tensor) -> Tensor:
    """Cosine of every row with every column [R, C]."""
    return functional.normalize(rows, dim=-1) @ functional.normalize(columns, dim=-1).T


def positives_of(pairs: Pairs[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and weight of the listed pairs that are alike and not masked."""
    chosen = (pairs.label == 1) & (pairs.weight > 0)
    return pairs.a[chosen], pairs.b[chosen], pairs.weight[chosen]


def negatives_mask(pairs: Pairs[Tensor], rows: int, columns: int) -> Tensor:
    """Which columns are negatives of which rows [R, C] bool: all but the listed positives and the masked."""
    mask = torch.ones(rows, columns, dtype=torch.bool, device=pairs.a.device)
    kept_out = (pairs.label == 1) | (pairs.weight == 0)
    mask[pairs.a[kept_out], pairs.b[kept_out]] = False
    return mask


def weighted_mean(terms: Tensor, weights: Tensor, *vectors: Tensor) -> Tensor:
    """Σ weight × term / Σ weight; a zero that still depends on the vectors where there is no term to average."""
    if len(terms) == 0:
        return torch.stack([vector.sum() for vector in vectors]).sum() * 0
    weights = weights.to(terms.dtype)
    return (terms * weights).sum() / weights.sum()


def distances(rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Euclidean distance [P], whether alike [P], and weight [P] of the listed pairs that are not masked.

    The gradient of a distance of 0 is 0.
    """
    listed = pairs.weight > 0
    apart = torch.linalg.vector_norm(rows[pairs.a[listed]] - columns[pairs.b[listed]], dim=-1)
    return apart, pairs.label[listed] == 1, pairs.weight[listed]


def balanced(terms: Tensor, alike: Tensor, weight: Tensor, positive_weight: float, rows: Tensor, columns: Tensor) -> LossResult:
    """The mean of the terms [P] of pairs not alike, plus `positive_weight` times that of pairs alike."""
    positive = weighted_mean(terms[alike], weight[alike], rows, columns)
    negative = weighted_mean(terms[~alike], weight[~alike], rows, columns)
    active = float((terms > 0).float().mean()) if len(terms) else 0.0
    parts = {"positive": float(positive.detach()), "negative": float(negative.detach())}
    return LossResult(negative + positive_weight * positive, active, parts)
