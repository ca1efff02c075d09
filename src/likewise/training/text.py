"""Training on pairs whose documents are one corpus: texts, and anything else that is searched for as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from likewise.artifacts.artifact import Folder
from likewise.artifacts.draft import Draft, Stop
from likewise.data.corpus import Corpus
from likewise.data.evidence import evidence_of
from likewise.data.groups import GroupPairs
from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.errors import DataError
from likewise.losses.matryoshka import Matryoshka
from likewise.mining.mine import as_table, mine_negatives
from likewise.mining.options import MineOptions
from likewise.options import build
from likewise.training.base import EmbeddingBase
from likewise.training.batches import PairBatches
from likewise.training.options import TrainOptions
from likewise.training.validation import FreshVectors, Validation
from likewise.types import Float32, Int64, Loss, Negatives
from likewise.vectors.options import EmbedOptions


class TextEmbedding(EmbeddingBase):
    """Texts: batches as planned (each text once, known positives masked), one encoder for both roles."""


@dataclass(frozen=True, slots=True)
class Material:
    """What training learns from: the items, which split they belong to, near-duplicate classes [N], and mined negatives."""

    corpus: Corpus
    division: Division
    classes: Int64
    negatives: Negatives | None
    mine: MineOptions | None


class TextPreset:
    """Duplicate-free batches of pairs, retrieval over the full corpus as validation, negatives mined again if asked."""

    measured_on = "validation"

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
        """`before` [N, D] are the start's vectors."""
        self.batches = batches_of(material, options, draft)
        self.metrics: Sequence[str] = tuple(dict.fromkeys(filter(None, (options.metric, options.guard))))
        self.refresh_every = material.mine.refresh_every if material.mine else None
        self._draft = draft
        self._options = options
        self._encoder = encoder
        self._before = before
        self._material = material
        self._fresh = FreshVectors(encoder, material.corpus, embed, draft, stop)
        self._validation = Validation(material.corpus, material.division, material.classes, self.metrics)

    def module(self, steps: int) -> EmbeddingBase:
        """The module."""
        return TextEmbedding(self._encoder, loss_of(self._options), self._material.corpus, self._options, steps=steps)

    def measure(self, step: int) -> Mapping[str, float]:
        """Retrieval metrics of the validation queries over the full corpus."""
        vectors = self._fresh.at(step, self._validation.rows) if step else self._before
        return self._validation.measure(vectors)

    def mine_again(self, step: int, name: str) -> None:
        """Mine with fresh vectors of train queries and documents."""
        material, mine = self._material, self._material.mine
        assert mine is not None
        rows = np.union1d(material.division.queries("train"), material.division.documents(material.corpus, "train"))
        vectors = self._fresh.at(step, rows)
        tell = self._fresh.progress(f"queries mined after step {step}")
        parts = (material.corpus, material.division, material.classes, mine, self._draft.seed)
        negatives, _ = mine_negatives(vectors, *parts, progress=tell, say=self._draft.say)
        self._draft.write_table(name, as_table(negatives))
        self._draft.say(f"Negatives were mined again with the weights of step {step}: {len(negatives):,}, in {name}.")
        self.use_negatives(name)

    def use_negatives(self, name: str) -> None:
        """Draw from these from the next batch on."""
        self.batches.replace_negatives(read_negatives(self._draft, name), name)


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
    corpus = material.corpus
    chosen = material.division.training_pairs(corpus, draft.seed)
    if not (len(chosen) if isinstance(chosen, GroupPairs) else (chosen.label == 1).any()):
        raise DataError("The train split has no positive pair: lower [split] validation and test, or bring more pairs.")
    evidence = evidence_of(corpus.pairs, material.classes, None if corpus.groups is None else corpus.groups.codes)
    batches = PairBatches(chosen, material.classes, evidence, options, negatives=material.negatives, seed=draft.seed)
    if batches.contradicted:
        draft.say(f"{batches.contradicted:,} training pairs are left out: near-duplicates of them say the opposite.")
    if batches.left_out:
        draft.say(f"{batches.left_out:,} training pairs stand in no batch of the first epoch: each could only stand alone.")
    return batches
