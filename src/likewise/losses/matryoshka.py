"""Matryoshka representation learning: the same loss on the first d numbers of each vector, too.

Source: Kusupati et al. 2022, "Matryoshka representation learning", eq. 1 with equal weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from likewise.errors import RecipeError
from likewise.losses.scores import full_precision
from likewise.types import Loss, LossResult, Pairs


class Matryoshka:
    """The mean of a loss over whole vectors and, for each d given, over their first d numbers scaled to unit length."""

    def __init__(self, loss: Loss, dimensions: Sequence[int]) -> None:
        assert all(dimension >= 1 for dimension in dimensions)
        self.loss = loss
        self.dimensions = tuple(sorted(set(dimensions)))

    def __call__(self, rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> LossResult:
        """The loss of one batch; `parts` has each dimension's own. RecipeError if a dimension is above D."""
        whole = rows.shape[-1]
        if self.dimensions and self.dimensions[-1] > whole:
            raise RecipeError(
                f"[train] matryoshka = {list(self.dimensions)} asks for {self.dimensions[-1]} numbers, but the encoder gives"
                f" {whole}: remove it."
            )
        with full_precision(rows, columns) as (rows, columns):
            results = {d: self.loss(_first(rows, d), _first(columns, d), pairs) for d in self.dimensions if d < whole}
            results[whole] = self.loss(rows, columns, pairs)
        loss = torch.stack([result.loss for result in results.values()]).mean()
        active = sum(result.active for result in results.values()) / len(results)
        return LossResult(loss, active, {f"loss@{d}": float(result.loss.detach()) for d, result in results.items()})


def _first(vectors: Tensor, dimension: int) -> Tensor:
    return functional.normalize(vectors[..., :dimension], dim=-1)
