"""Whole shards on a device: features and evidence, no more of them in memory than asked, and their vectors."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likewise.data.corpus import Corpus, WholeShard
from likewise.data.path_evidence import PathEvidence
from likewise.types import Int64

CHUNK = 1 << 17  # items embedded at once
GROUP = "particle"  # the column of codes of what belongs together; 0 is none


class Model(Protocol):
    """An encoder, or a module that trains one: features [n, F] to vectors [n, D]."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    def __call__(self, features: Tensor) -> Tensor:
        """The vectors."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedShard:
    """One shard: its features [n, F] float32 and its evidence on one device, and all columns on the CPU."""

    shard: WholeShard
    features: Tensor
    evidence: PathEvidence

    @property
    def start(self) -> int:
        """The row of its first item."""
        return self.shard.start


class ShardStore:
    """The shards of a corpus, of which the last `capacity` used are kept (an `ItemSource`)."""

    def __init__(self, corpus: Corpus, capacity: int, device: torch.device) -> None:
        self._corpus = corpus
        self._capacity = capacity
        self._device = device
        self._held: OrderedDict[int, LoadedShard] = OrderedDict()
        self._starts = np.array([shard.start for shard in corpus.shards], dtype=np.int64)

    @property
    def roles(self) -> NDArray[np.int8]:
        """[N] int8, as of every corpus."""
        return self._corpus.roles

    def payload(self, rows: Int64) -> NDArray[np.float32]:
        """Features [n, F] of rows of any shards."""
        features: NDArray[np.float32] = self._corpus.payload(rows)
        return features

    def number_at(self, row: int) -> int:
        """The number of the shard that holds a row."""
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def at(self, row: int) -> LoadedShard:
        """The shard that holds a row."""
        return self.get(self.number_at(row))

    def get(self, number: int) -> LoadedShard:
        """A shard by its number."""
        if number in self._held:
            self._held.move_to_end(number)
            return self._held[number]
        while len(self._held) >= self._capacity:
            self._held.popitem(last=False)
        found = load_shard(self._corpus, number, self._device)
        self._held[number] = found
        return found


def load_shard(corpus: Corpus, number: int, device: torch.device) -> LoadedShard:
    """Read one shard."""
    shard = corpus.shard(number)
    evidence = PathEvidence(shard.pairs, shard.columns[GROUP])
    return LoadedShard(shard, torch.from_numpy(np.array(shard.features)).to(device), evidence.to(device))


@torch.inference_mode()
def vectors_of(model: Model, shard: LoadedShard) -> Tensor:
    """[n, D] float32: all items of a shard by the present weights, where the shard is."""
    pieces = torch.split(shard.features.to(model.device), CHUNK)
    return torch.cat([model(piece).float() for piece in pieces]).to(shard.features.device)
