"""A loader, items and a loss small enough to see through, shared by the tests of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

import likewise.options
from likewise.types import Batch, Int64, LossResult, Pairs, State

WORDS = [f"word{number}" for number in range(60)]


class ToyItems:
    """Queries 0 … n - 1 and the document n + i of each query i, which shares most of its words."""

    def __init__(self, queries: int = 24, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        chosen = [list(generator.choice(WORDS, 6, replace=False)) for _ in range(queries)]
        self.texts = [" ".join(words[:3]) for words in chosen] + [" ".join([*words, "and", "more"]) for words in chosen]
        self.queries = queries

    @property
    def roles(self) -> NDArray[np.int8]:
        return np.repeat(np.array([0, 1], dtype=np.int8), self.queries)

    def payload(self, rows: Int64) -> Sequence[str]:
        return [self.texts[row] for row in rows]


class ToyBatches:
    """`epochs` passes over the pairs (i, n + i) in an order drawn from the seed; keeps its place in its state."""

    def __init__(self, queries: int = 24, size: int = 4, epochs: int = 2, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        orders = [generator.permutation(queries) for _ in range(epochs)]
        self.plan = [order[start : start + size] for order in orders for start in range(0, queries, size)]
        self.queries = queries
        self.place = 0
        self.heard = 0
        self.scale = 1.0  # what a refresh changes: the weight of every pair

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch[Int64]]:
        while self.place < len(self.plan):
            rows = self.plan[self.place].astype(np.int64)
            self.place += 1
            yield diagonal(rows, rows + self.queries, self.place - 1, self.scale)

    def feedback(self, result: LossResult) -> None:
        self.heard += 1

    def state_dict(self) -> State:
        return {"place": self.place, "heard": self.heard}

    def load_state_dict(self, state: State) -> None:
        self.place, self.heard = state["place"], state["heard"]


class Backwards:
    """A stranger's loss, which teaches the opposite."""

    class Options(likewise.options.Options):
        kind: str = "training.toys:Backwards"

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, rows: torch.Tensor, columns: torch.Tensor, pairs: Pairs[torch.Tensor]) -> LossResult:
        result = toy_loss(rows, columns, pairs)
        return LossResult(-result.loss, result.active)


def diagonal(rows: Int64, columns: Int64, number: int = 0, weight: float = 1.0) -> Batch[Int64]:
    """A batch whose i-th row and i-th column are alike."""
    place = np.arange(len(rows), dtype=np.int64)
    ones = np.ones(len(rows))
    return Batch(rows, columns, Pairs(place, place, ones.astype(np.int8), (weight * ones).astype(np.float32)), number)


def toy_loss(rows: torch.Tensor, columns: torch.Tensor, pairs: Pairs[torch.Tensor]) -> LossResult:
    """Cross entropy of the listed pairs against all columns, times the mean weight."""
    scores = 10 * rows[pairs.a] @ columns.T
    return LossResult(torch.nn.functional.cross_entropy(scores, pairs.b) * pairs.weight.mean(), 1.0)
