"""Training on events: one event a batch, its graph built anew in every step, purity at a given efficiency as validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.mining.options import StepMineOptions
from likewise.mining.step import StepMiner
from likewise.neighbors.radius import prepare
from likewise.options import build
from likewise.training.base import EmbeddingBase
from likewise.training.graph_validation import TOLD, GraphValidation
from likewise.training.layerless import LayerlessEmbedding
from likewise.training.options import TrainOptions
from likewise.training.shard_batches import ShardBatches
from likewise.vectors.precision import device_for
from likewise.vectors.shards import ShardStore, vectors_of


class TracksPreset:
    """The shards of the training split, pairs found within the step, and the validation split's graphs."""

    refresh_every = None

    def __init__(
        self, draft: Draft, options: TrainOptions, encoder: Encoder, corpus: Corpus, division: Division, mine: StepMineOptions
    ) -> None:
        train, validation = division.shards("train"), division.shards("validation")
        self.measured_on = "validation" if len(validation) else "the training events"
        if not len(validation):
            draft.say("There is no validation split: checkpoints are chosen on the events they are trained on.")
            validation = train
        prepare(encoder.dimension, draft.say)
        self.batches = ShardBatches([corpus.shards[number] for number in train.tolist()], options.epochs, draft.seed)
        choosing = tuple(dict.fromkeys(filter(None, (options.metric, options.guard))))
        self.metrics: Sequence[str] = (*choosing, *TOLD)
        self._encoder = encoder
        self._options = options
        self._miner = StepMiner(mine)
        self._seed = draft.seed
        self._store = ShardStore(corpus, options.shards_in_memory, device_for(options.device, "train"))
        self._loss = build(options.loss)
        self._validation = GraphValidation(validation.tolist(), self._store.get, choosing, self._miner, self._loss, draft.seed)

    def module(self, steps: int) -> EmbeddingBase:
        """The module."""
        parts = (self._encoder, self._loss, self._miner, self._store, self._options)
        return LayerlessEmbedding(*parts, steps=steps, seed=self._seed)

    def measure(self, step: int) -> Mapping[str, float]:
        """Graph metrics of the validation events."""
        was_training = self._encoder.training
        device = next(self._encoder.parameters()).device
        try:
            self._encoder.eval()
            return self._validation.measure(lambda shard: vectors_of(self._encoder, shard))
        finally:
            self._encoder.train(was_training).to(device)

    def mine_again(self, step: int, name: str) -> None:
        """Nothing: every step mines."""
        raise AssertionError("pairs are found within the step")

    def use_negatives(self, name: str) -> None:
        """Nothing: every step mines."""
        raise AssertionError("pairs are found within the step")
