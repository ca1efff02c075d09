"""Batches where evidence stays within a shard: one shard each, epoch after epoch, in an order drawn anew for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from likewise.data.corpus import Shard
from likewise.types import Batch, Int64, LossResult, Pairs, State

NO_PAIRS: Pairs[Int64] = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.float32))


class ShardBatches:
    """All rows of one shard per batch, without pairs: these are found within the step. Implements `likewise.types.Batches`."""

    def __init__(self, shards: Sequence[Shard], epochs: int, seed: int) -> None:
        assert shards, "nothing to train on"
        self._shards = tuple(shards)
        self._epochs = epochs
        self._seed = seed
        self._number = 0

    def __len__(self) -> int:
        return self._epochs * len(self._shards)

    @property
    def epoch_lengths(self) -> tuple[int, ...]:
        """How many batches each epoch has."""
        return (len(self._shards),) * self._epochs

    @property
    def epoch_ends(self) -> tuple[int, ...]:
        """How many batches there are up to the end of each epoch."""
        return tuple(len(self._shards) * (epoch + 1) for epoch in range(self._epochs))

    def __iter__(self) -> Iterator[Batch[Int64]]:
        """From the current place to the end. The place moves as a batch is handed out: save it once that batch is done."""
        while self._number < len(self):
            epoch, place = divmod(self._number, len(self._shards))
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._shards))
            shard = self._shards[order[place]]
            number = self._number
            self._number += 1
            yield _whole(shard, number)

    def feedback(self, result: LossResult) -> None:
        """Nothing here depends on how a batch went."""

    def state_dict(self) -> State:
        """The place, as JSON-able values."""
        return {"number": self._number, "seed": self._seed, "shards": [shard.name for shard in self._shards]}

    def load_state_dict(self, state: State) -> None:
        """Go on after the saved batch."""
        ours = (self._seed, [shard.name for shard in self._shards])
        assert (state["seed"], state["shards"]) == ours, "a saved place in other batches"
        self._number = int(state["number"])


class WholeShards:
    """Every shard once, in order, as a batch: what `trainer.test` goes through, as often as it likes."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = tuple(shards)

    def __len__(self) -> int:
        return len(self._shards)

    def __iter__(self) -> Iterator[Batch[Int64]]:
        """From the first to the last."""
        return (_whole(shard, number) for number, shard in enumerate(self._shards))


def _whole(shard: Shard, number: int) -> Batch[Int64]:
    """All rows of a shard."""
    return Batch(np.arange(shard.start, shard.stop), NO_PAIRS.a, NO_PAIRS, number)
