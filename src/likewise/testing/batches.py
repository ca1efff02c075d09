"""What every loader of batches must do: whole, repeatable, resumable, and never a known positive as a negative."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch

from likewise.types import Batch, Batches, Evidence, Int64, LossResult


def check_batches(make: Callable[[], Batches], evidence: Evidence) -> None:
    """Hold a loader to the contract; AssertionError says what is broken.

    `make` gives a fresh one with the same data, options and seed each time. `evidence` is asked about all R × C of every batch.
    """
    batches = list(_finite(make()))
    assert len(batches) == len(make()), f"len says {len(make())}, but there are {len(batches)} batches"
    assert [batch.number for batch in batches] == list(range(len(batches))), "batches are not numbered from 0"
    for batch in batches:
        check_batch(batch, evidence)
    for one, other in zip(batches, _finite(make()), strict=True):
        assert_equal(one, other)
    for place in sorted({0, 1, len(batches) // 2, len(batches) - 1, len(batches)} & set(range(len(batches) + 1))):
        _check_resume(make, batches, place)
    make().feedback(LossResult(torch.zeros(()), 0.5))


def check_batch(batch: Batch[Int64], evidence: Evidence) -> None:
    """A batch's rows, columns and listed pairs are sound, and everything alike in it is a positive or masked."""
    rows, columns, pairs = batch.rows, batch.columns, batch.pairs
    assert len(np.unique(rows)) == len(rows), "a row stands twice"
    assert len(np.unique(columns)) == len(columns), "a column stands twice"
    assert pairs.a.dtype == pairs.b.dtype == rows.dtype == columns.dtype == np.int64
    assert pairs.label.dtype == np.int8
    assert pairs.weight.dtype == np.float32
    assert ((pairs.a >= 0) & (pairs.a < len(rows)) & (pairs.b >= 0) & (pairs.b < len(columns))).all(), "a pair points outside"
    assert np.isin(pairs.label, (0, 1)).all(), "a listed pair has neither label 1 nor 0"
    assert (np.isfinite(pairs.weight) & (pairs.weight >= 0)).all(), "a weight is negative or not finite"
    listed = np.full((len(rows), len(columns)), -1)
    assert len(np.unique(pairs.a * len(columns) + pairs.b)) == len(pairs), "a pair is listed twice"
    listed[pairs.a, pairs.b] = np.where(pairs.weight == 0, 1, pairs.label)
    alike = evidence.label(rows[:, None], columns[None, :])[0] == 1
    assert (listed[alike] == 1).all(), "a known positive stands among the negatives"


def assert_equal(one: Batch[Int64], other: Batch[Int64]) -> None:
    """Two batches are the same to the last number."""
    assert one.number == other.number
    for name, a, b in (("rows", one.rows, other.rows), ("columns", one.columns, other.columns)):
        assert np.array_equal(a, b), f"batch {one.number} has other {name} when made again"
    for name in ("a", "b", "label", "weight"):
        assert np.array_equal(getattr(one.pairs, name), getattr(other.pairs, name)), (
            f"batch {one.number} has another pairs.{name}"
        )


def _check_resume(make: Callable[[], Batches], batches: list[Batch[Int64]], place: int) -> None:
    """A saved place, through JSON, gives exactly the rest."""
    before = make()
    assert len(list(islice(iter(before), place))) == place
    after = make()
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    rest = list(_finite(after))
    assert len(rest) == len(batches) - place, f"after batch {place} come {len(rest)} of {len(batches) - place} batches"
    for one, other in zip(rest, batches[place:], strict=True):
        assert_equal(one, other)


def _finite(batches: Batches) -> Iterator[Batch[Int64]]:
    """All batches, but no more than promised and one: an endless loader must fail, not hang."""
    return islice(iter(batches), len(batches) + 1)
