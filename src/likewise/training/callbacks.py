"""What happens between optimiser steps: the log, the choice of the best weights, fresh negatives, checkpoints.

They run in the order of this file, after each optimiser step, where the training's state is whole. What takes long
(measuring, mining) may be broken off by a signal; it is then still owed in the checkpoint, and done first on resuming.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from likewise.artifacts.draft import STOP_SIGNALS, Draft, Stop
from likewise.errors import Terminated, TrainingFailed
from likewise.training.base import EmbeddingBase
from likewise.training.checkpoints import FolderCheckpoints, checkpoint_folder, checkpoint_steps, require_finite
from likewise.training.logs import MetricsFile
from likewise.types import Batches, State


class StepCallback(Callback):
    """Acts after each optimiser step; `on_batch` after each batch, of which several may make a step."""

    def __init__(self) -> None:
        self._steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count where the checkpoint left off."""
        self._steps = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Tell batches and steps apart."""
        assert isinstance(pl_module, EmbeddingBase)
        self.on_batch(pl_module)
        if trainer.global_step != self._steps:
            self._steps = trainer.global_step
            self.on_step(trainer, pl_module, self._steps)

    def on_batch(self, module: EmbeddingBase) -> None:
        """Hear of a batch."""

    def on_step(self, trainer: Trainer, module: EmbeddingBase, step: int) -> None:
        """Act between two optimiser steps; `step` have been made."""


class LossLog(StepCallback):
    """Writes the mean loss every `every` steps, tells the loader how each batch went, and stops at a loss that is not finite."""

    def __init__(self, draft: Draft, batches: Batches, file: MetricsFile, every: int, steps: int) -> None:
        super().__init__()
        self._draft = draft
        self._batches = batches
        self._file = file
        self._every = every
        self._total = steps
        self._sums: dict[str, float] = {}
        self._count = 0

    def on_batch(self, module: EmbeddingBase) -> None:
        """Add up what the loss said."""
        result = module.result
        assert result is not None
        self._batches.feedback(result)
        for name, value in {"loss": float(result.loss.detach()), "active": result.active, **result.parts}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def on_step(self, trainer: Trainer, module: EmbeddingBase, step: int) -> None:
        """Check, tell, and log now and then."""
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        mean = {name: value / self._count for name, value in self._sums.items()}
        if not np.isfinite(mean["loss"]):
            raise TrainingFailed(
                f"The loss is {mean['loss']} at step {step} with a learning rate of {rate:g}; lower train.learning_rate, "
                'raise train.warmup_ratio or set train.precision = "float32", and run again.'
            )
        self._draft.progress(step, self._total, f"loss {mean['loss']:.4f}")
        if step % self._every == 0 or step == self._total:
            assert module.gradient_norm is not None
            values = {**mean, "learning_rate": rate, "gradient_norm": float(module.gradient_norm)}
            for logger in trainer.loggers:
                logger.log_metrics(values, step)
            self._sums, self._count = {}, 0

    def state_dict(self) -> State:
        """The sums since the last line of the log, and how many lines there are."""
        return {"sums": self._sums, "count": self._count, "lines": len(self._file)}

    def load_state_dict(self, state_dict: State) -> None:
        """Go on adding; lines of steps that will be made again are forgotten."""
        self._sums, self._count = dict(state_dict["sums"]), int(state_dict["count"])
        self._file.keep(int(state_dict["lines"]))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The metrics of the weights after a step; `allowed`: the guard metric did not fall too far."""

    step: int
    metrics: Mapping[str, float]
    allowed: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What chooses: `metric` decides, `guard` must not fall below the start's by more than `tolerance`; `on`: on what."""

    metric: str
    guard: str | None
    tolerance: float
    start: Evaluation
    on: str

    @classmethod
    def of(
        cls, metric: str, guard: str | None, tolerance: float, start: Mapping[str, float], *, on: str = "validation"
    ) -> Choice:
        """The choice whose first candidate is the start, at step 0."""
        return cls(metric, guard, tolerance, Evaluation(0, dict(start), True), on)

    def judge(self, step: int, metrics: Mapping[str, float]) -> Evaluation:
        """An evaluation, with the guard's word."""
        allowed = self.guard is None or metrics[self.guard] >= self.start.metrics[self.guard] - self.tolerance
        return Evaluation(step, dict(metrics), allowed)

    def better(self, one: Evaluation, best: Evaluation) -> bool:
        """Whether `one` should take the place of `best`; a tie leaves the earlier."""
        return one.allowed and one.metrics[self.metric] > best.metrics[self.metric]


@dataclass(frozen=True, slots=True)
class SelectionState:
    """All evaluations so far, the step of the best (0: the start), and the step of an evaluation still owed."""

    history: tuple[Evaluation, ...]
    best: int = 0
    owed: int | None = None
    stopped: bool = False

    def at(self, step: int) -> Evaluation:
        """The evaluation of a step."""
        return next(evaluation for evaluation in self.history if evaluation.step == step)


class Selection(StepCallback):
    """Measures at the steps in `due`, remembers the best, and stops early after `patience` evaluations without a better one."""

    def __init__(
        self,
        draft: Draft,
        choice: Choice,
        due: frozenset[int],
        measure: Callable[[int], Mapping[str, float]],
        patience: int | None = None,
    ) -> None:
        super().__init__()
        self._draft = draft
        self._choice = choice
        self._due = due
        self._measure = measure
        self._patience = patience
        self.state = SelectionState((choice.start,))

    @property
    def best(self) -> Evaluation:
        """The best so far; the start until something is better."""
        return self.state.at(self.state.best)

    def measured_at(self, step: int) -> bool:
        """Whether the weights of this step were measured."""
        return self.state.history[-1].step == step

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make up for an evaluation that a signal broke off."""
        super().on_train_start(trainer, pl_module)
        if self.state.owed is not None:
            self._evaluate(trainer, pl_module, self.state.owed)
        trainer.should_stop = self.state.stopped

    def on_step(self, trainer: Trainer, module: EmbeddingBase, step: int) -> None:
        """Measure where it is due."""
        if step in self._due:
            self._evaluate(trainer, module, step)

    def state_dict(self) -> State:
        """The whole state, as JSON-able values."""
        return asdict(self.state)

    def load_state_dict(self, state_dict: State) -> None:
        """Go on from a saved state."""
        history = tuple(Evaluation(**entry) for entry in state_dict["history"])
        self.state = SelectionState(**{**state_dict, "history": history})

    def _evaluate(self, trainer: Trainer, module: LightningModule, step: int) -> None:
        require_finite(module.state_dict(), step)
        try:
            with unchanged_generators():
                metrics = self._measure(step)
        except Terminated:
            self.state = replace(self.state, owed=step)
            return
        found = self._choice.judge(step, metrics)
        best = step if self._choice.better(found, self.best) else self.state.best
        history = (*self.state.history, found)
        waited = sum(evaluation.step > best for evaluation in history)
        stopped = self._patience is not None and waited >= self._patience
        self.state = SelectionState(history, best, None, stopped)
        for logger in trainer.loggers:
            logger.log_metrics(dict(metrics), step)
        self._tell(found)
        if stopped:
            self._draft.say(f"Training stops at step {step}: the last {waited} evaluations were no better than step {best}.")
            trainer.should_stop = True

    def _tell(self, found: Evaluation) -> None:
        metric, guard = self._choice.metric, self._choice.guard
        before = self._choice.start.metrics
        words = f"Step {found.step}: {metric} {found.metrics[metric]:.4f} on {self._choice.on} (start {before[metric]:.4f})"
        if not found.allowed:
            assert guard is not None
            words += f", not chosen: {guard} fell from {before[guard]:.4f} to {found.metrics[guard]:.4f}"
        self._draft.say(words + ".")


class Refresh(StepCallback):
    """Mines again with the current weights at the steps in `due`, and hands the loader the new negatives by their file's name."""

    def __init__(self, due: frozenset[int], mine: Callable[[int, str], None], restore: Callable[[str], None]) -> None:
        """`mine(step, name)` writes the file and gives its negatives to the loader; `restore(name)` only the latter."""
        super().__init__()
        self._due = due
        self._mine = mine
        self._restore = restore
        self._files: tuple[str, ...] = ()
        self._owed: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make up for mining that a signal broke off."""
        super().on_train_start(trainer, pl_module)
        if self._owed is not None:
            self._refresh(self._owed)

    def on_step(self, trainer: Trainer, module: EmbeddingBase, step: int) -> None:
        """Mine where it is due."""
        if step in self._due:
            self._refresh(step)

    def state_dict(self) -> State:
        """The files written so far; the last holds the negatives in force."""
        return {"files": list(self._files), "owed": self._owed}

    def load_state_dict(self, state_dict: State) -> None:
        """Put the negatives of the checkpoint in force."""
        self._files, self._owed = tuple(state_dict["files"]), state_dict["owed"]
        if self._files:
            self._restore(self._files[-1])

    def _refresh(self, step: int) -> None:
        name = f"negatives-{len(self._files) + 1:03d}.parquet"
        try:
            with unchanged_generators():
                self._mine(step, name)
        except Terminated:
            self._owed = step
            return
        self._files, self._owed = (*self._files, name), None


@dataclass(frozen=True, slots=True)
class Generators:
    """The state of every random number generator that training may use."""

    python: Any = field(default_factory=random.getstate)
    numpy: Any = field(default_factory=lambda: np.random.get_state(legacy=False))  # noqa: NPY002 (the global one, which others use)
    torch: Any = field(default_factory=torch.get_rng_state)
    cuda: Any = field(default_factory=lambda: torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])

    def restore(self) -> None:
        """Set every generator to this state."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002 (as above)
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


@contextmanager
def unchanged_generators() -> Iterator[None]:
    """Whatever is drawn within the block, training goes on as if it had not been: broken off or not, the weights are the same."""
    before = Generators()
    try:
        yield
    finally:
        before.restore()


class Checkpoints(StepCallback):
    """Saves the last state and the best one, and ends the training with Terminated where a signal asked for it."""

    def __init__(self, folder: Path, selection: Selection, stop: Stop, *, every: int | None, steps: int) -> None:
        super().__init__()
        self._folder = folder
        self._selection = selection
        self._stop = stop
        self._every = every
        self._total = steps
        self._handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        self._generators: Generators | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals back from Lightning, which would end the process with status 0; set the generators."""
        super().on_train_start(trainer, pl_module)
        if signal.getsignal(signal.SIGTERM) is not self._handlers[signal.SIGTERM]:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        if self._generators is not None:
            self._generators.restore()
        self._end_if_asked(trainer.global_step)  # what is owed is still owed in the checkpoint that training began from

    def on_step(self, trainer: Trainer, module: EmbeddingBase, step: int) -> None:
        """Save where it is due, or where a signal came."""
        state = self._selection.state
        regular = self._selection.measured_at(step) if self._every is None else step % self._every == 0
        if self._stop.requested or regular or state.best == step or state.stopped or step == self._total:
            self.save(trainer, step)
        self._end_if_asked(step)

    def _end_if_asked(self, step: int) -> None:
        if self._stop.requested:
            raise Terminated(f"Stopped at step {step} of {self._total}; it is saved, and the same command goes on from it.")

    def save(self, trainer: Trainer, step: int) -> None:
        """Write this step's checkpoint, and remove all others but the best."""
        trainer.save_checkpoint(checkpoint_folder(self._folder, step), weights_only=False)
        for other in checkpoint_steps(self._folder):
            if other not in (step, self._selection.state.best):
                FolderCheckpoints().remove_checkpoint(checkpoint_folder(self._folder, other))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the generators."""
        checkpoint["generators"] = asdict(Generators())

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the generators until training starts: what comes before may draw numbers, too."""
        self._generators = Generators(**checkpoint["generators"])
