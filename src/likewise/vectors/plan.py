"""Which items are computed together: fixed from the full list of items, before any cache is asked.

So a run after a kill, or with some vectors known already, computes the same batches and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from likewise.types import Int64, Role


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """Items of one role that are computed together: `positions` [B] int64 in the list of items, longest first."""

    positions: Int64
    role: Role

    def __len__(self) -> int:
        return len(self.positions)


def plan_batches(positions: Int64, lengths: Int64, role: Role, *, tokens: int, items: int) -> list[PlannedBatch]:
    """Batches of items of about equal length, longest first, ties by position.

    A batch of b items, padded to its longest, holds at most `tokens` tokens and at most `items` items; an item longer than
    `tokens` is a batch of its own. `positions` [N] ascending, `lengths` [N] in the same order.
    """
    order = np.argsort(-lengths, kind="stable")
    sorted_positions, sorted_lengths = positions[order], lengths[order].tolist()
    batches = []
    start = 0
    while start < len(sorted_lengths):
        longest = max(1, sorted_lengths[start])
        stop = min(start + max(1, min(items, tokens // longest)), len(sorted_lengths))
        batches.append(PlannedBatch(sorted_positions[start:stop], role))
        start = stop
    return batches


def parts(batches: Sequence[PlannedBatch], items: int) -> Iterator[Sequence[PlannedBatch]]:
    """Consecutive batches in parts of at least `items` items each, except the last."""
    start, count = 0, 0
    for stop, batch in enumerate(batches, start=1):
        count += len(batch)
        if count >= items or stop == len(batches):
            yield batches[start:stop]
            start, count = stop, 0


def sample(batches: Sequence[PlannedBatch], items: int) -> PlannedBatch:
    """At most `items` items of all lengths, evenly spaced over those of the first batch's role."""
    role = batches[0].role
    positions = np.concatenate([batch.positions for batch in batches if batch.role == role])
    places = np.unique(np.linspace(0, len(positions) - 1, items).round().astype(np.int64))
    return PlannedBatch(positions[places], role)
