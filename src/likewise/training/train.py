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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback

from likewise.artifacts.artifact import Artifact, Folder
from likewise.artifacts.draft import Draft, Stop
from likewise.data.corpus import Corpus
from likewise.data.evidence import PairEvidence
from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.encoders.fit import load_encoder, save_encoder
from likewise.errors import DataError
from likewise.losses.matryoshka import Matryoshka
from likewise.mining.mine import as_table, mine_negatives
from likewise.mining.options import MineOptions
from likewise.options import build
from likewise.training.batches import PairBatches
from likewise.training.callbacks import Checkpoints, Choice, LossLog, Refresh, Selection, unchanged_generators
from likewise.training.checkpoints import FolderCheckpoints, checkpoint_folder, checkpoint_steps
from likewise.training.logs import MetricsFile, loggers
from likewise.training.loop import Machine, Plan, fit
from likewise.training.options import TrainOptions
from likewise.training.presets import TextEmbedding
from likewise.training.validation import FreshVectors, Validation
from likewise.types import SPLITS, Float32, Int64, Loss, Negatives, Pairs
from likewise.vectors.options import EmbedOptions
from likewise.vectors.store import Vectors

PREFIX = "encoder."  # of the encoder's weights in a module's


@dataclass(frozen=True, slots=True)
class Material:
    """What training learns from: the items, which split they belong to, near-duplicate classes [N], and mined negatives."""

    corpus: Corpus
    division: Division
    classes: Int64
    negatives: Negatives | None
    mine: MineOptions | None


def train(
    draft: Draft,
    options: TrainOptions,
    start: Artifact,
    before: Vectors,
    corpus: Corpus,
    division: Division,
    classes: Int64,
    mined: Artifact | None,
    mine: MineOptions | None,
    embed: EmbedOptions,
) -> None:
    """Train the encoder of `start`, whose vectors are `before`, and write the files named above.

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
        draft.write_json("chosen.json", {"chosen": "start", "step": 0})
        return
    material = Material(corpus, division, classes, None if mined is None else read_negatives(mined), mine)
    with draft.deferred_stop() as stop:
        training = Training(draft, options, encoder, before.array, material, embed, stop)
        training.run()
    training.hand_over(start)


class Training:
    """One training in a draft: its parts, put together so that they share one loader, one set of fresh vectors and one state."""

    def __init__(
        self,
        draft: Draft,
        options: TrainOptions,
        encoder: Encoder,
        before: Float32,
        material: Material,
        embed: EmbedOptions,
        stop: Stop,
    ) -> None:
        self.draft = draft
        self.options = options
        self.encoder = encoder
        self.material = material
        self.folder = draft.scratch("checkpoints")
        self.batches = batches_of(material, options, draft)
        self.plan = Plan.of(len(self.batches), options)
        self.fresh = FreshVectors(encoder, material.corpus, embed, draft, stop)
        names = tuple(dict.fromkeys(name for name in (options.metric, options.guard) if name is not None))
        self.validation = Validation(material.corpus, material.division, material.classes, names)
        choice = Choice.of(options.metric, options.guard, options.guard_tolerance, self.validation.measure(before))
        self.file = MetricsFile(self.folder / "metrics.csv", names)
        self.log = LossLog(draft, self.batches, self.file, options.logging_steps, self.plan.steps)
        self.selection = Selection(draft, choice, self._evaluations(), self._measure, options.early_stopping)
        self.refresh = Refresh(self._refreshes(), self._mine_again, self._use_negatives)
        self.checkpoints = Checkpoints(self.folder, self.selection, stop, every=options.save_steps, steps=self.plan.steps)
        self.module = TextEmbedding(encoder, loss_of(options), material.corpus, options, steps=self.plan.steps)

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
        self.draft.say(f"{metric} on validation was {start:.4f} at the start: {handed} is handed over.")
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
        mine = self.material.mine
        if mine is None or mine.refresh_every is None:
            return frozenset()
        ends = self.batches.epoch_ends[mine.refresh_every - 1 : -1 : mine.refresh_every]
        return frozenset(self.plan.step_after(end) for end in ends) - {self.plan.steps}

    def _measure(self, step: int) -> Any:
        return self.validation.measure(self.fresh.at(step, self.validation.rows))

    def _mine_again(self, step: int, name: str) -> None:
        material, mine = self.material, self.material.mine
        assert mine is not None
        rows = np.union1d(material.division.queries("train"), material.corpus.rows("document"))
        vectors = self.fresh.at(step, rows)
        tell = self.fresh.progress(f"queries mined after step {step}")
        negatives, _ = mine_negatives(
            vectors,
            material.corpus,
            material.division,
            material.classes,
            mine,
            self.draft.seed,
            progress=tell,
            say=self.draft.say,
        )
        self.draft.write_table(name, as_table(negatives))
        self.draft.say(f"Negatives were mined again with the weights of step {step}: {len(negatives):,}, in {name}.")
        self._use_negatives(name)

    def _use_negatives(self, name: str) -> None:
        self.batches.replace_negatives(read_negatives(self.draft, name), name)


def loss_of(options: TrainOptions) -> Loss:
    """The loss that the options name, at several dimensions if they ask for it."""
    loss: Loss = build(options.loss)
    return Matryoshka(loss, options.matryoshka) if options.matryoshka else loss


def read_negatives(artifact: Folder, name: str = "negatives.parquet") -> Negatives:
    """The negatives that mining wrote."""
    table = artifact.table(name)
    return Negatives(*(table[column].to_numpy() for column in ("anchor", "item", "score", "rank")))


def batches_of(material: Material, options: TrainOptions, draft: Draft) -> PairBatches:
    """The loader of the train split's pairs; DataError where there are too few to contrast."""
    corpus, pairs = material.corpus, material.corpus.pairs
    train = material.division.pairs == SPLITS.index("train")
    chosen: Pairs[Int64] = Pairs(pairs.a[train], pairs.b[train], pairs.label[train], pairs.weight[train])
    if not (chosen.label == 1).any():
        raise DataError("The train split has no positive pair: lower [split] validation and test, or bring more pairs.")
    evidence = PairEvidence(pairs, len(corpus), material.classes)
    batches = PairBatches(chosen, material.classes, evidence, options, negatives=material.negatives, seed=draft.seed)
    if batches.contradicted:
        draft.say(f"{batches.contradicted:,} training pairs are left out: near-duplicates of them say the opposite.")
    if batches.left_out:
        draft.say(f"{batches.left_out:,} training pairs stand in no batch of the first epoch: each could only stand alone.")
    return batches


def _links(folder: str, names: list[str]) -> set[str]:
    """Loggers leave links to their latest run; an artifact holds files."""
    return {name for name in names if (Path(folder) / name).is_symlink()}
