"""The stage `train`: from the encoder that the run started from to the one it hands over, which is never a worse one.

Files it leaves
    encoder.json, model/     the encoder handed over: the best that was measured, the start among the candidates
    chosen.json              which one that is, and by what numbers
    history.json             every evaluation
    metrics.csv              the loss and the learning rate, step by step
    negatives-001.parquet …  negatives mined again during training, if asked for
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft, Stop
from likewise.encoders.base import Encoder
from likewise.encoders.fit import load_encoder, save_encoder
from likewise.training.callbacks import Checkpoints, Choice, LossLog, Refresh, Selection, unchanged_generators
from likewise.training.checkpoints import FolderCheckpoints, checkpoint_folder, checkpoint_steps
from likewise.training.logs import MetricsFile, loggers
from likewise.training.loop import Machine, Plan, fit
from likewise.training.options import TrainOptions
from likewise.training.preset import Preset

PREFIX = "encoder."  # of the encoder's weights in a module's


def train(draft: Draft, options: TrainOptions, start: Artifact, make: Callable[[Encoder, Stop], Preset]) -> None:
    """Train the encoder of `start` as the preset that `make` gives says, and write the files named above.

    A killed stage goes on from its last checkpoint, bit for bit on the same processor, threads and precision. DataError where
    there is nothing to train on or to choose by; TrainingFailed where loss or weights are not finite; Terminated after a
    signal, when the state is saved.
    """
    if draft.has("chosen.json"):  # written last
        return
    encoder = load_encoder(start)
    if options.epochs == 0:
        draft.say("Nothing is trained (epochs = 0): the model you began with is handed over.")
        save_encoder(draft, encoder)
        draft.write_json("history.json", [])
        draft.write_json("chosen.json", {"chosen": "start", "step": 0, "steps": 0, "metric": options.metric, "evaluations": 0})
        return
    with draft.deferred_stop() as stop:
        training = Training(draft, options, encoder, make(encoder, stop), stop)
        training.run()
    training.hand_over(start)


class Training:
    """One training in a draft: its parts, put together so that they share one loader, one set of fresh vectors and one state."""

    def __init__(self, draft: Draft, options: TrainOptions, encoder: Encoder, preset: Preset, stop: Stop) -> None:
        self.draft = draft
        self.options = options
        self.encoder = encoder
        self.preset = preset
        self.folder = draft.scratch("checkpoints")
        self.batches = preset.batches
        self.plan = Plan.of(len(self.batches), options)
        rule = (options.metric, options.guard, options.guard_tolerance)
        choice = Choice.of(*rule, preset.measure(0), on=preset.measured_on)
        self.file = MetricsFile(self.folder / "metrics.csv", preset.metrics)
        self.log = LossLog(draft, self.batches, self.file, options.logging_steps, self.plan.steps)
        self.selection = Selection(draft, choice, self._evaluations(), preset.measure, options.early_stopping)
        self.refresh = Refresh(self._refreshes(), preset.mine_again, preset.use_negatives)
        self.checkpoints = Checkpoints(self.folder, self.selection, stop, every=options.save_steps, steps=self.plan.steps)
        self.module = preset.module(self.plan.steps)

    @property
    def callbacks(self) -> Sequence[Callback]:
        """In the order in which they act."""
        return (self.log, self.selection, self.refresh, self.checkpoints)

    def run(self) -> None:
        """Train from the beginning, or from the last checkpoint."""
        steps = checkpoint_steps(self.folder)
        resume = steps[-1] if steps else None
        if resume is None:
            self.file.keep(0)
        with unchanged_generators():
            random.seed(self.draft.seed)
            np.random.seed(self.draft.seed % 2**32)  # noqa: NPY002 (others' code draws from the global one)
            torch.manual_seed(self.draft.seed)
            machine = Machine.of(self.encoder, self.options)
            logs = loggers(self.options.loggers, self.draft.scratch("loggers"), self.file)
            fit(self.module, self.batches, self.plan, machine, self.callbacks, logs, self.folder, resume)

    def hand_over(self, start: Artifact) -> None:
        """Write the best encoder, and what made it the best."""
        best = self.selection.best
        encoder = load_encoder(start)  # afresh: without what training has switched on in it
        if best.step:
            weights = FolderCheckpoints().load_checkpoint(checkpoint_folder(self.folder, best.step))["state_dict"]
            encoder.load_state_dict({name.removeprefix(PREFIX): weights[name] for name in weights if name.startswith(PREFIX)})
        save_encoder(self.draft, encoder)
        for name in self.options.loggers:
            with self.draft.write_folder(name) as folder:
                shutil.copytree(self.draft.scratch("loggers") / name, folder, dirs_exist_ok=True, ignore=_links)
        self.draft.write_text("metrics.csv", self.file.path.read_text(encoding="utf-8"))
        self.draft.write_json("history.json", [asdict(evaluation) for evaluation in self.selection.state.history])
        self.draft.write_json("chosen.json", self._chosen())

    def _chosen(self) -> dict[str, Any]:
        metric, guard = self.options.metric, self.options.guard
        history, best = self.selection.state.history, self.selection.best
        chosen = "start" if best.step == 0 else "trained"
        start, found = history[0].metrics[metric], best.metrics[metric]
        handed = "the model you began with" if chosen == "start" else f"the model of step {best.step}, with {found:.4f},"
        self.draft.say(f"{metric} on {self.preset.measured_on} was {start:.4f} at the start: {handed} is handed over.")
        return {
            "chosen": chosen,
            "step": best.step,
            "steps": self.plan.steps,
            "metric": metric,
            "start": start,
            "best": found,
            "guard": guard,
            "guard_start": None if guard is None else history[0].metrics[guard],
            "guard_best": None if guard is None else best.metrics[guard],
            "guard_tolerance": self.options.guard_tolerance,
            "evaluations": len(history),
        }

    def _evaluations(self) -> frozenset[int]:
        every, last = self.options.eval_steps, self.plan.steps
        due = range(every, last, every) if every else (self.plan.step_after(end) for end in self.batches.epoch_ends)
        return frozenset((*due, last))

    def _refreshes(self) -> frozenset[int]:
        """The last step of every so many epochs; after the last epoch nothing would learn from new negatives."""
        every = self.preset.refresh_every
        if every is None:
            return frozenset()
        ends = self.batches.epoch_ends[every - 1 : -1 : every]
        return frozenset(self.plan.step_after(end) for end in ends) - {self.plan.steps}


def _links(folder: str, names: list[str]) -> set[str]:
    """Loggers leave links to their latest run; an artifact holds files."""
    return {name for name in names if (Path(folder) / name).is_symlink()}
