"""What every evidence must do, against brute force over all pairs of a small number of items."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from likewise.types import Evidence


def check_evidence(evidence: Evidence, items: int, *, seed: int = 0) -> None:
    """Hold evidence about rows 0 … items-1 to the contract; AssertionError says what is broken. Looks at items² pairs."""
    every = np.arange(items, dtype=np.int64)
    a, b = np.repeat(every, items), np.tile(every, items)
    assert evidence.scope in ("shard", "corpus")
    label, weight = evidence.label(a, b)
    _check_labels(label, weight, items)
    _check_broadcast(evidence, every, label, weight)
    _check_torch(evidence, a, b, label, weight)
    _check_positives(evidence, label.reshape(items, items), weight.reshape(items, items), seed)


def _check_labels(label: Any, weight: Any, items: int) -> None:
    assert label.dtype == np.int8, f"labels are {label.dtype}, not int8"
    assert weight.dtype == np.float32, f"weights are {weight.dtype}, not float32"
    assert np.isin(label, (-1, 0, 1)).all(), "a label is none of 1, 0, -1"
    assert (np.isfinite(weight) & (weight >= 0)).all(), "a weight is negative or not finite"
    assert (weight[label == -1] == 0).all(), "an unknown pair has a weight"
    assert (weight[label == 0] > 0).all(), "a masked pair must have label 1, so that nothing takes it for a negative"
    grid = label.reshape(items, items)
    assert (grid == grid.T).all(), "labels are not symmetric"
    assert (weight.reshape(items, items) == weight.reshape(items, items).T).all(), "weights are not symmetric"
    assert (np.diagonal(grid) == 1).all(), "an item is not alike itself"


def _check_broadcast(evidence: Evidence, every: Any, label: Any, weight: Any) -> None:
    grid, its_weight = evidence.label(every[:, None], every[None, :])
    assert (grid.ravel() == label).all(), "rows [R, 1] and columns [1, C] give other labels than their pairs"
    assert (its_weight.ravel() == weight).all(), "rows [R, 1] and columns [1, C] give other weights than their pairs"


def _check_torch(evidence: Any, a: Any, b: Any, label: Any, weight: Any) -> None:
    its_label, its_weight = evidence.label(torch.from_numpy(a), torch.from_numpy(b))
    assert isinstance(its_label, torch.Tensor), "tensors in must give tensors out"
    assert isinstance(its_weight, torch.Tensor), "tensors in must give tensors out"
    assert its_label.dtype == torch.int8
    assert its_weight.dtype == torch.float32
    assert (its_label.numpy() == label).all(), "tensors give other labels than arrays"
    assert (its_weight.numpy() == weight).all(), "tensors give other weights than arrays"


def _check_positives(evidence: Evidence, label: Any, weight: Any, seed: int) -> None:
    items = len(label)
    rows = np.random.default_rng(seed).integers(0, items, size=min(items, 8) if items else 0)  # unsorted, with repeats
    found = evidence.positives(rows)
    expected = [(a, b) for a in sorted(set(rows.tolist())) for b in range(items) if a != b and label[a, b] == 1]
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == expected, "positives are not what label calls alike"
    assert (found.label == 1).all()
    assert (found.weight == weight[found.a, found.b]).all(), "positives carry other weights than label gives"
