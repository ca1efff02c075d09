"""What chooses the weights, on numbers alone."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.testing.artifacts import draft
from likewise.training.callbacks import Choice, Evaluation, Generators, Selection, SelectionState, unchanged_generators

START = {"ndcg@10": 0.5, "recall@100": 0.9}


def choice(guard: str | None = "recall@100", tolerance: float = 0.01) -> Choice:
    return Choice.of("ndcg@10", guard, tolerance, START)


@pytest.mark.parametrize(
    ("guard", "recall", "allowed"),
    [("recall@100", 0.9, True), ("recall@100", 0.8901, True), ("recall@100", 0.88, False), (None, 0.0, True)],
)
def test_the_guard(guard: str | None, recall: float, allowed: bool) -> None:
    found = choice(guard).judge(7, {"ndcg@10": 0.99, "recall@100": recall})
    assert found == Evaluation(7, {"ndcg@10": 0.99, "recall@100": recall}, allowed)
    assert choice(guard).better(found, choice(guard).start) is allowed


def test_a_tie_leaves_the_earlier() -> None:
    assert not choice().better(choice().judge(1, START), choice().start)


def test_the_state_survives_json(tmp_path: Path) -> None:
    one, other = (Selection(draft(tmp_path), choice(), frozenset(), lambda step: START) for _ in range(2))
    one.state = SelectionState((choice().start, Evaluation(3, {"ndcg@10": 0.6, "recall@100": 0.9}, True)), 3, 5, True)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert other.state == one.state
    assert other.best.metrics["ndcg@10"] == 0.6


def test_generators_come_back() -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002 (the global one is meant)

    before = Generators()
    first = drawn()
    before.restore()
    with unchanged_generators():
        assert drawn() == first
    assert drawn() == first
    assert drawn() != first
