"""Torch vectors on any device, searched by matrix products of tiles; the result stays on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from likewise.neighbors.base import Base, Block, Plan, batched
from likewise.types import Distance, Int64


class TensorBase(Base):
    """[N, D] float32 on one device."""

    def __init__(self, vectors: Tensor, distance: Distance, lengths: Tensor, codes: Tensor | None) -> None:
        """`lengths` [N] of the vectors; `codes` [N]: the exclusion code of each item."""
        self.vectors = vectors
        super().__init__(distance, (len(vectors), vectors.shape[1]), lengths, codes)

    def read(self, start: int, stop: int) -> Tensor:
        """A view of the rows."""
        return self.vectors[start:stop]

    def pair_scores(self, block: Block, query: Tensor, row: Tensor, plan: Plan) -> Tensor:
        """Summed in float64, so that a sum does not depend on where its row lies in memory."""
        precise = torch.float32 if block.raw.device.type == "mps" else torch.float64  # Apple's GPU has no float64
        pieces = [
            self._scores(block.raw[q].to(precise), self.vectors[r].to(precise))
            for q, r in zip(batched(query, plan.pairs), batched(row, plan.pairs), strict=True)
        ]
        found = torch.cat(pieces).to(torch.float32) if pieces else block.raw.new_empty(0)
        return found * block.inverse[query] * self.inverse[row] if self.distance == "cosine" else found

    def _scores(self, queries: Tensor, items: Tensor) -> Tensor:
        if self.distance == "euclidean":
            return -(queries - items).square_().sum(dim=1)
        return (queries * items).sum(dim=1)

    def candidates(self, block: Block, count: int, plan: Plan) -> tuple[Tensor, Tensor]:
        """By matrix products; what is excluded is masked in them."""
        return self.dense_candidates(block, count, plan)

    def excluded(self, codes: Tensor | None) -> Int64:
        """None is fetched in vain."""
        return np.zeros(0, dtype=np.int64)
