"""What one kind of training brings to the loop that all share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from likewise.training.base import EmbeddingBase
from likewise.types import Batches


class EpochBatches(Batches, Protocol):
    """A loader that knows where its epochs end."""

    @property
    def epoch_ends(self) -> tuple[int, ...]:
        """How many batches there are up to the end of each epoch."""
        ...


class Preset(Protocol):
    """The parts of a training: what it learns from, the module, how weights are measured, and how negatives are mined again."""

    @property
    def batches(self) -> EpochBatches:
        """The loader."""
        ...

    @property
    def metrics(self) -> Sequence[str]:
        """The names of what `measure` tells."""
        ...

    @property
    def measured_on(self) -> str:
        """What `measure` measures on, in words that follow "on"."""
        ...

    @property
    def refresh_every(self) -> int | None:
        """After how many epochs negatives are mined again; None never."""
        ...

    def module(self, steps: int) -> EmbeddingBase:
        """The module that trains the encoder for so many steps."""
        ...

    def measure(self, step: int) -> Mapping[str, float]:
        """The metrics by the weights after `step`, on what `measured_on` says; 0: the weights training started from."""
        ...

    def mine_again(self, step: int, name: str) -> None:
        """Mine with the weights after `step`, write the file `name`, and use it."""
        ...

    def use_negatives(self, name: str) -> None:
        """Use the negatives of a file that `mine_again` wrote."""
        ...
