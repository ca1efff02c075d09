"""Metric learning for hits: every step builds the graph of one event anew and learns from its nearest mistakes.

After the "layerless embedding" of the Exa.TrkX project (Ju et al. 2021, "Performance of a geometric deep learning pipeline for
HL-LHC particle tracking", §4.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.encoders.base import Encoder
from likewise.mining.step import StepMiner, training_pairs
from likewise.training.base import EmbeddingBase
from likewise.training.options import TrainOptions
from likewise.types import Batch, Int64, Loss, Pairs
from likewise.vectors.shards import LoadedShard, ShardStore, vectors_of


class LayerlessEmbedding(EmbeddingBase):
    """Hits of an event: all are embedded without gradient, pairs are found among them, and only what they hold is embedded again.

    For another architecture inherit and write `forward`, which is given the features [n, F] of hits and returns [n, D].
    """

    def __init__(
        self,
        encoder: Encoder,
        loss: Loss,
        miner: StepMiner,
        shards: ShardStore,
        options: TrainOptions,
        *,
        steps: int,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, loss, shards, options, steps=steps)
        self.miner = miner
        self.shards = shards
        self.seed = seed
        self._current: LoadedShard | None = None

    def choose(self, batch: Batch[Int64]) -> Batch[Any]:
        """The pairs of one event, and the hits they hold; the same for the same weights, seed and number of the batch."""
        shard = self._current = self.shards.at(int(batch.rows[0]))
        with torch.no_grad():
            vectors = self(shard.features).float()
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([self.seed, batch.number]).generate_state(1)[0]))
        pairs = training_pairs(vectors, shard.evidence, self.miner, generator)
        rows, place = torch.unique(torch.cat([pairs.a, pairs.b]), return_inverse=True)
        count = len(pairs)
        return Batch(rows, rows[:0], Pairs(place[:count], place[count:], pairs.label, pairs.weight), batch.number)

    def embed(self, rows: Any) -> Tensor:
        """Vectors [n, D] of positions in the event that `choose` was last given, with gradient."""
        assert self._current is not None, "choose comes first"
        vectors: Tensor = self(self._current.features[rows])
        return vectors

    def test_step(self, batch: Batch[Int64], batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Vectors [n, D] float32 of all hits of an event, for the callbacks of `likewise.training.graph_callbacks`."""
        return vectors_of(self, self.shards.at(int(batch.rows[0])))
