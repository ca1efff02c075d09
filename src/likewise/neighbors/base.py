"""The base of an exhaustive search: checked once, read tile by tile, scored in two passes.

The first pass is a matrix product and finds candidates; the second scores each (query, row) pair by itself, so that a pair's
score depends on nothing but its two vectors: not on tiles, threads or who else was asked.

Shapes: N base items, D dimensions, q queries of a block, n rows of a tile, c candidates, m pairs. Scores here are cosines, dot
products or minus *squared* distances; `finish` takes the root.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from likewise.errors import DataError
from likewise.neighbors.lengths import SHORTEST
from likewise.neighbors.rounding import first_pass_error
from likewise.types import Distance, Int64

UNIT_ENOUGH = 2.0**-20  # vectors this near to unit length are searched as they are, without a scaled copy
MOST_QUERIES = 4096  # of a block: faiss itself works on so many at once, and a signal is heard between blocks
DENSE_BYTES = 16  # for each score of a tile: itself, a mask, and what selecting takes
SWEPT_BYTES = 96  # for each score of a swept tile, all of which may have to be scored again and sorted


@dataclass(frozen=True, slots=True)
class Block:
    """Some queries: as given [q, D], as the first pass wants them [q, D], the lengths of those [q], and codes [q] to exclude."""

    raw: Tensor
    prepared: Tensor
    lengths: Tensor
    inverse: Tensor
    codes: Tensor | None

    def __len__(self) -> int:
        return len(self.raw)

    def take(self, which: Tensor) -> Block:
        """The queries at the given positions."""
        codes = None if self.codes is None else self.codes[which]
        return Block(self.raw[which], self.prepared[which], self.lengths[which], self.inverse[which], codes)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done at once within a budget of bytes: queries of a block, rows of a tile in each kind of pass, and pairs.

    A tile has about as many rows as queries, so that neither many small products nor many small selections are made.
    """

    queries: int
    copied_rows: int
    dense_rows: int
    swept_queries: int
    swept_rows: int
    pairs: int

    @classmethod
    def of(cls, budget: int, dimension: int, width: int) -> Plan:
        """For `width` candidates of each query; DataError if the budget is too small for a single query."""
        share = budget // 4  # candidates, a tile, its scores, and pairs are held together
        query_bytes = 64 * width + 16 * dimension
        queries = min(MOST_QUERIES, isqrt(share // DENSE_BYTES), share // query_bytes)
        swept_queries = min(queries, isqrt(share // SWEPT_BYTES))
        copied_rows = share // (4 * dimension)
        dense_rows = share // (8 * dimension + DENSE_BYTES * max(queries, 1))
        swept_rows = share // (8 * dimension + SWEPT_BYTES * max(swept_queries, 1))
        pairs = share // (32 * dimension)
        if min(queries, swept_queries, copied_rows, dense_rows, swept_rows, pairs) < 1:
            least = 4 * max(query_bytes, 32 * dimension + SWEPT_BYTES)
            raise DataError(f"budget = {budget} bytes is too small for this search: give at least {least}.")
        return cls(queries, copied_rows, dense_rows, swept_queries, swept_rows, pairs)


class Base(ABC):
    """Vectors [N, D] to be searched. Subclasses say where they lie, how pairs are scored and how candidates are found."""

    def __init__(self, distance: Distance, shape: tuple[int, int], lengths: Tensor, codes: Tensor | None) -> None:
        """`lengths` [N] float32, finite; `codes` [N] int64, for exclusion."""
        self.distance = distance
        self.items, self.dimension = shape
        self.codes = codes
        self.longest = float(lengths.max()) if len(lengths) else 0.0
        self.inverse = reciprocal(lengths) if distance == "cosine" else lengths.new_empty(0)
        away = (lengths[lengths > 0] - 1).abs()
        deviation = float(away.max()) if len(away) else 0.0
        self.as_it_is = distance == "dot" or (distance == "cosine" and deviation <= UNIT_ENOUGH)
        self.deviation = deviation if self.as_it_is and distance == "cosine" else 0.0
        self.center = self._center() if distance == "euclidean" else None

    # What subclasses provide

    @abstractmethod
    def read(self, start: int, stop: int) -> Tensor:
        """Rows as they are, [n, D]; a view or a copy."""

    @abstractmethod
    def pair_scores(self, block: Block, query: Tensor, row: Tensor, plan: Plan) -> Tensor:
        """The score [m] float32 of each pair: `query` [m] positions in the block, `row` [m] rows of the base."""

    @abstractmethod
    def candidates(self, block: Block, count: int, plan: Plan) -> tuple[Tensor, Tensor]:
        """First-pass scores [q, c] (descending) and rows [q, c] (-1 for none) of the best allowed items, c = min(count, N)."""

    @abstractmethod
    def excluded(self, codes: Tensor | None) -> Int64:
        """How many items are fetched in vain for each query of the given codes; empty for none."""

    # What they share

    def block(self, raw: Tensor, lengths: Tensor, codes: Tensor | None) -> Block:
        """Queries [q, D] with their lengths [q], prepared for the first pass."""
        if self.distance == "dot":
            return Block(raw, raw, lengths, lengths, codes)
        if self.distance == "cosine":
            inverse = reciprocal(lengths)
            return Block(raw, raw * inverse[:, None], lengths, inverse, codes)
        assert self.center is not None
        prepared = raw - self.center
        return Block(raw, prepared, torch.linalg.vector_norm(prepared, dim=1), lengths, codes)

    def tile(self, start: int, stop: int) -> Tensor:
        """Rows as the first pass wants them, [n, D]: of unit length for cosines, centred for Euclidean distances."""
        rows = self.read(start, stop)
        if self.as_it_is:
            return rows
        if self.distance == "cosine":
            return rows * self.inverse[start:stop, None]
        assert self.center is not None
        return rows - self.center

    def tiles(self, size: int) -> Iterator[tuple[int, int]]:
        """Starts and stops of tiles of at most `size` rows."""
        for start in range(0, self.items, size):
            yield start, min(start + size, self.items)

    def dense(self, block: Block, start: int, stop: int) -> Tensor:
        """First-pass scores [q, n] of every item of a tile; -inf where an item is excluded."""
        tile = self.tile(start, stop)
        found = block.prepared @ tile.T
        if self.distance == "euclidean":
            squares = block.lengths.square()[:, None] + torch.linalg.vector_norm(tile, dim=1).square()[None, :]
            found = found.mul_(2).sub_(squares).clamp_(max=0)  # a squared distance is never negative: the bound stays
        if block.codes is not None and self.codes is not None:
            found.masked_fill_((block.codes[:, None] == self.codes[None, start:stop]) & (block.codes[:, None] >= 0), -torch.inf)
        return found

    def dense_candidates(self, block: Block, count: int, plan: Plan) -> tuple[Tensor, Tensor]:
        """`candidates` by matrix products of tiles, on whatever device the base lies."""
        scores = block.prepared.new_empty(len(block), 0)
        rows = torch.empty(len(block), 0, dtype=torch.int64, device=scores.device)
        for start, stop in self.tiles(plan.dense_rows):
            found, place = self.dense(block, start, stop).topk(min(count, stop - start), dim=1)
            place = (place + start).masked_fill_(found == -torch.inf, -1)
            scores, rows = keep_best(torch.cat([scores, found], dim=1), torch.cat([rows, place], dim=1), count)
        return scores, rows

    def error(self, block: Block, score: Tensor) -> Tensor:
        """[q]: how far first-pass and pair scores may differ, for items that score at least `score` [q] with their query."""
        reach = block.lengths * self.longest
        if self.distance == "euclidean":  # such an item is within √-score of the query: its length is at most the sum of both
            reach = 2 * block.lengths + (-score).clamp(min=0).sqrt()
        return first_pass_error(self.distance, self.dimension, reach, self.deviation)

    def finish(self, scores: Tensor) -> Tensor:
        """Scores as they are returned: distances are not squared."""
        return 0.0 - (-scores).sqrt() if self.distance == "euclidean" else scores

    def _center(self) -> Tensor:
        """About the mean, [D]: of rows spread evenly over the base. Only the size of the rounding error depends on it."""
        if not self.items:
            return torch.zeros(self.dimension)
        places = sorted({round(i * (self.items - 1) / 255) for i in range(256)})
        sample = torch.cat([self.read(place, place + 1) for place in places])
        return sample.mean(dim=0)


def batched(values: Tensor, size: int) -> Iterator[Tensor]:
    """Slices of at most `size` values."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def keep_best(scores: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best `count` columns of each line, descending."""
    scores, order = scores.topk(min(count, scores.shape[1]), dim=1)
    return scores, rows.gather(1, order)


def reciprocal(lengths: Tensor) -> Tensor:
    """1 / length; 0 for vectors of zeros, whose cosine with anything is then 0."""
    return torch.where(lengths > 0, 1 / lengths.clamp(min=SHORTEST), 0.0)
