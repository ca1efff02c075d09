"""Numpy vectors on the CPU, searched by faiss, which runs at the machine's limit."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import torch
from torch import Tensor

from likewise.neighbors.base import Base, Block, Plan, keep_best
from likewise.types import Distance, Float32, Int64

MOST_OVERFETCHED = 1024  # more excluded items than this are masked in a matrix product instead of being fetched and dropped


class ArrayBase(Base):
    """[N, D] float32, C-contiguous, maybe memory-mapped and read-only: faiss reads it in place."""

    def __init__(self, vectors: Float32, distance: Distance, lengths: Tensor, codes: Tensor | None) -> None:
        """`lengths` [N] of the vectors; `codes` [N]: the exclusion code of each item."""
        self.vectors = vectors
        self._sorted_codes = np.sort(codes.numpy()) if codes is not None else np.empty(0, dtype=np.int64)
        super().__init__(distance, (len(vectors), vectors.shape[1]), lengths, codes)

    def read(self, start: int, stop: int) -> Tensor:
        """A copy of the rows: a tensor cannot stand on read-only memory."""
        rows = torch.empty(stop - start, self.dimension)
        np.copyto(rows.numpy(), self.vectors[start:stop])
        return rows

    def pair_scores(self, block: Block, query: Tensor, row: Tensor, plan: Plan) -> Tensor:
        """By faiss's kernel for single pairs, in place."""
        found = torch.empty(len(query))
        kernel: Any = faiss.pairwise_indexed_L2sqr if self.distance == "euclidean" else faiss.pairwise_indexed_inner_product
        queries, position, rows, scores = block.raw.numpy(), query.numpy(), row.numpy(), found.numpy()
        if len(query):
            kernel(self.dimension, len(query), *map(faiss.swig_ptr, (queries, position, self.vectors, rows, scores)))
        if self.distance == "euclidean":
            return found.neg_()
        return found.mul_(block.inverse[query]).mul_(self.inverse[row]) if self.distance == "cosine" else found

    def candidates(self, block: Block, count: int, plan: Plan) -> tuple[Tensor, Tensor]:
        """By faiss; a few excluded items are fetched, too, and dropped."""
        excluded = int(self.excluded(block.codes).max(initial=0))
        if excluded > MOST_OVERFETCHED:
            return self.dense_candidates(block, count, plan)
        scores, rows = self._faiss(block, count + excluded, plan)
        if excluded:
            assert block.codes is not None
            assert self.codes is not None
            own = (self.codes[rows.clamp(min=0)] == block.codes[:, None]) & (block.codes[:, None] >= 0)
            scores.masked_fill_(own, -torch.inf)
            rows.masked_fill_(own, -1)
            scores, rows = keep_best(scores, rows, count)
        return scores, rows

    def excluded(self, codes: Tensor | None) -> Int64:
        """How many items are excluded for each query of the given codes."""
        if codes is None or self.codes is None:
            return np.zeros(0, dtype=np.int64)
        first = np.searchsorted(self._sorted_codes, codes.numpy(), side="left")
        last = np.searchsorted(self._sorted_codes, codes.numpy(), side="right")
        return np.where(codes.numpy() >= 0, last - first, 0).astype(np.int64)

    def _faiss(self, block: Block, count: int, plan: Plan) -> tuple[Tensor, Tensor]:
        metric = faiss.METRIC_L2 if self.distance == "euclidean" else faiss.METRIC_INNER_PRODUCT
        scores, rows = torch.empty(len(block), 0), torch.empty(len(block), 0, dtype=torch.int64)
        for start, stop in self.tiles(self.items if self.as_it_is else plan.copied_rows):
            tile = self.vectors if self.as_it_is else self.tile(start, stop).numpy()
            found, place = map(torch.from_numpy, faiss.knn(block.prepared.numpy(), tile, min(count, stop - start), metric))
            found = found.neg_() if self.distance == "euclidean" else found
            scores, rows = keep_best(torch.cat([scores, found], dim=1), torch.cat([rows, place + start], dim=1), count)
        return scores, rows
