"""Training with Lightning: the same weights and the same log whether it ran through or was broken off anywhere."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from likewise.artifacts.draft import Draft
from likewise.errors import RecipeError, Terminated, TrainingFailed
from likewise.testing.artifacts import draft
from likewise.testing.encoders import FakeEncoder
from likewise.training.base import EmbeddingBase
from likewise.training.callbacks import Checkpoints, Choice, LossLog, Refresh, Selection
from likewise.training.checkpoints import checkpoint_steps
from likewise.training.logs import MetricsFile
from likewise.training.loop import Machine, Plan, fit
from likewise.training.options import TrainOptions
from likewise.types import Loss, LossResult, Prepared
from training.toys import ToyBatches, ToyItems, toy_loss


class DroppingEncoder(FakeEncoder):
    """The fake encoder with dropout, so that the generator's state matters."""

    def forward(self, prepared: Prepared) -> Tensor:
        return nn.functional.normalize(nn.functional.dropout(super().forward(prepared), 0.2, self.training), dim=1)


Measure = Callable[[EmbeddingBase, int], Mapping[str, float]]


def by_weights(module: EmbeddingBase, step: int) -> Mapping[str, float]:
    """A metric of the weights that draws random numbers, as a careless one might."""
    torch.rand(3)
    return {"ndcg@10": float(module.encoder.state_dict()["embedding.weight"].double().mean()), "recall@100": 1.0}


def falling(module: EmbeddingBase, step: int) -> Mapping[str, float]:
    """Best at step 4, worse ever after."""
    return {"ndcg@10": 1 / step, "recall@100": 1.0}


@dataclass
class Case:
    """A training, run by as many attempts as it takes."""

    options: TrainOptions
    due: frozenset[int] = frozenset({4, 8, 10, 12})
    refresh: frozenset[int] = frozenset()
    measure: Measure = by_weights
    loss: Loss = toy_loss


@dataclass
class Attempt:
    """What one process did."""

    weights: bytes
    metrics: str
    selection: Selection
    scales: list[float] = field(default_factory=list)


class Interrupt(Callback):
    """Sends SIGTERM to this process while the batch of a given step is trained on."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.step is not None and trainer.global_step == self.step - 1:
            signal.raise_signal(signal.SIGTERM)


def attempt(case: Case, target: Draft, stop_at: int | None = None) -> Attempt:
    """Train in a draft, going on from its last checkpoint; with `stop_at` SIGTERM comes within that step."""
    folder = target.scratch("checkpoints")
    batches = ToyBatches(epochs=case.options.epochs)
    plan = Plan.of(len(batches), case.options)
    module = EmbeddingBase(DroppingEncoder(), case.loss, ToyItems(), case.options, steps=plan.steps)
    steps = checkpoint_steps(folder)
    file = MetricsFile(folder / "metrics.csv", ["ndcg@10", "recall@100"])
    scales: list[float] = []
    with target.deferred_stop() as stop:

        def unless_stopped(step: int) -> Mapping[str, float]:
            if stop.requested:
                raise Terminated("asked to stop while measuring")
            return case.measure(module, step)

        def mine(step: int, name: str) -> None:
            unless_stopped(step)
            target.write_json(name, 1 + step / 4)
            restore(name)

        def restore(name: str) -> None:
            batches.scale = target.json(name)
            scales.append(batches.scale)

        choice = Choice.of("ndcg@10", "recall@100", 0.01, {"ndcg@10": -1.0, "recall@100": 1.0})
        selection = Selection(target, choice, case.due, unless_stopped, case.options.early_stopping)
        callbacks = [
            Interrupt(stop_at),
            LossLog(target, batches, file, case.options.logging_steps, plan.steps),
            selection,
            Refresh(case.refresh, mine, restore),
            Checkpoints(folder, selection, stop, every=case.options.save_steps, steps=plan.steps),
        ]
        torch.manual_seed(0)
        fit(module, batches, plan, Machine.of(module, case.options), callbacks, [file], folder, steps[-1] if steps else None)
    weights = module.encoder.state_dict()["embedding.weight"].numpy().tobytes()
    return Attempt(weights, file.path.read_text(), selection, scales)


def options(**changes: object) -> TrainOptions:
    given = {"epochs": 2, "batch_size": 4, "learning_rate": 0.05, "logging_steps": 3, "precision": "float32", **changes}
    return TrainOptions.model_validate(given)


CASES = {
    "plain": Case(options()),
    "accumulate": Case(options(accumulate=5), due=frozenset({2, 3})),
    "saved seldom": Case(options(save_steps=3)),
    "cached": Case(options(gradient_cache=3)),
    "few steps": Case(options(max_steps=10)),
    "early stopping": Case(options(early_stopping=2), measure=falling),
    "refresh": Case(options(), refresh=frozenset({3, 5})),
}


@pytest.mark.parametrize("name", CASES)
def test_broken_off_anywhere_it_is_the_same(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    straight = attempt(case, draft(tmp_path))
    for stop_at in (2,) if name == "accumulate" else (4, 7):  # where an evaluation is due, and between two
        target = draft(tmp_path)
        with pytest.raises(Terminated, match="goes on from it"):
            attempt(case, target, stop_at)
        resumed = attempt(case, target)
        assert resumed.weights == straight.weights
        assert resumed.metrics == straight.metrics
        assert resumed.selection.state == straight.selection.state
        assert resumed.scales[-1:] == straight.scales[-1:]


def test_stop_in_the_last_step_leaves_its_evaluation_owed(tmp_path: Path) -> None:
    straight = attempt(CASES["plain"], draft(tmp_path))
    target = draft(tmp_path)
    with pytest.raises(Terminated):
        attempt(CASES["plain"], target, stop_at=12)
    resumed = attempt(CASES["plain"], target)
    assert resumed.selection.state == straight.selection.state
    assert resumed.metrics == straight.metrics
    assert resumed.weights == straight.weights
    again = attempt(CASES["plain"], target)
    assert again.selection.state == straight.selection.state
    assert again.metrics == straight.metrics
    assert again.weights == straight.weights


def test_a_crash_costs_only_the_steps_since_the_last_checkpoint(tmp_path: Path) -> None:
    def crashing(module: EmbeddingBase, step: int) -> Mapping[str, float]:
        if step == 10:
            raise ConnectionError("power cut")
        return by_weights(module, step)

    straight = attempt(CASES["plain"], draft(tmp_path))
    target = draft(tmp_path)
    with pytest.raises(ConnectionError):
        attempt(Case(options(), measure=crashing), target)
    assert checkpoint_steps(target.scratch("checkpoints"))[-1] == 8
    resumed = attempt(CASES["plain"], target)
    assert (resumed.weights, resumed.metrics) == (straight.weights, straight.metrics)


def test_the_last_and_the_best_checkpoint_stay(tmp_path: Path) -> None:
    target = draft(tmp_path)
    found = attempt(Case(options(), measure=falling), target)
    assert found.selection.best.step == 4
    assert checkpoint_steps(target.scratch("checkpoints")) == [4, 12]


def test_early_stopping_counts_evaluations(tmp_path: Path) -> None:
    found = attempt(CASES["early stopping"], draft(tmp_path))
    assert [evaluation.step for evaluation in found.selection.state.history] == [0, 4, 8, 10]


def test_lightning_neither_talks_nor_keeps_the_signals(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    caplog.set_level(logging.INFO)
    attempt(CASES["plain"], draft(tmp_path))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path, bad: float) -> None:
    calls = iter(range(100))

    def loss(rows: Tensor, columns: Tensor, pairs: Any) -> LossResult:
        result = toy_loss(rows, columns, pairs)
        return LossResult(result.loss * bad, 1.0) if next(calls) == 6 else result

    target = draft(tmp_path)
    with pytest.raises(TrainingFailed, match=r"step 7 with a learning rate of 0\.0\d+; lower train\.learning_rate"):
        attempt(Case(options(), loss=loss), target)
    assert checkpoint_steps(target.scratch("checkpoints")) == [4]


def test_weights_that_are_not_finite_are_never_measured(tmp_path: Path) -> None:
    calls = iter(range(100))

    def loss(rows: Tensor, columns: Tensor, pairs: Any) -> LossResult:
        result = toy_loss(rows, columns, pairs)
        if next(calls) == 3:
            result = LossResult(result.loss + 0 * torch.sqrt(0 * rows.sum()), 1.0)  # finite, with a gradient that is not
        return result

    with pytest.raises(TrainingFailed, match="after step 4"):
        attempt(Case(options(clip_norm=None), loss=loss), draft(tmp_path))


def test_the_log_holds_means(tmp_path: Path) -> None:
    losses: list[float] = []

    def loss(rows: Tensor, columns: Tensor, pairs: Any) -> LossResult:
        result = toy_loss(rows, columns, pairs)
        losses.append(float(result.loss.detach()))
        return result

    found = attempt(Case(options(logging_steps=5), loss=loss), draft(tmp_path))
    logged = [float(line.split(",")[1]) for line in found.metrics.splitlines()[1:] if line.split(",")[1]]
    assert logged == pytest.approx([sum(losses[:5]) / 5, sum(losses[5:10]) / 5, sum(losses[10:]) / 2])


def test_precision_that_cannot_be_had() -> None:
    with pytest.raises(RecipeError, match=r'precision = "float16" needs a CUDA GPU'):
        Machine.of(FakeEncoder(), options(precision="float16", device="cpu"))


@pytest.mark.parametrize(
    ("batches", "changes", "expected"),
    [
        (12, {}, (12, 1, 12)),
        (12, {"accumulate": 5}, (12, 5, 3)),
        (12, {"accumulate": 5, "max_steps": 2}, (10, 5, 2)),
        (3, {"gradient_cache": 8, "accumulate": 5}, (3, 1, 3)),
    ],
)
def test_plan(batches: int, changes: dict[str, object], expected: tuple[int, int, int]) -> None:
    plan = Plan.of(batches, options(**changes))
    assert (plan.batches, plan.accumulate, plan.steps) == expected
