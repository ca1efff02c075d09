"""One batch of items through an encoder, in halves where memory does not suffice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.encoders.base import to_device
from likewise.errors import first_line
from likewise.types import Float32, Prepared, Role
from likewise.vectors.backends import Computing


class TooLarge(Exception):
    """One item alone, at the `place` in its batch, does not fit in memory."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason


class Embed:
    """Payloads of one role → vectors [B, D] float32, in as many threads at once as what computes allows."""

    def __init__(self, computing: Computing) -> None:
        self._computing = computing
        self.too_large: list[int] = []  # sizes of batches; adding to a list is one step, whatever other threads do

    @property
    def halved(self) -> int:
        """The number of batches that memory did not suffice for, and that were computed in halves."""
        return len(self.too_large)

    def __call__(self, payload: Sequence[Any], role: Role, prepared: Prepared | None = None, start: int = 0) -> Float32:
        """Vectors in the order given; `prepared` is what the encoder prepared of them, if that was done ahead.

        TooLarge for an item that does not fit in memory alone; the first of `payload` is at the place `start`.
        """
        try:
            vectors: Float32 = self.forward(prepared if prepared is not None else self._prepare(payload, role)).cpu().numpy()
            return vectors
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(payload) == 1:
                raise TooLarge(start, f"alone does not fit in memory ({first_line(error)})") from error
        # Outside the except block: the error's traceback holds the tensors that filled the memory.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.too_large.append(len(payload))
        middle = (len(payload) + 1) // 2
        halves = (slice(0, middle), slice(middle, None))
        ready = [prepared[half] if isinstance(prepared, Tensor) else None for half in halves]
        return np.concatenate(
            [self(payload[half], role, part, start + half.start) for half, part in zip(halves, ready, strict=True)]
        )

    def forward(self, prepared: Prepared) -> Tensor:
        """Vectors [B, D] float32, still on the device."""
        return self._computing(to_device(prepared, self._computing.encoder.device))

    def _prepare(self, payload: Sequence[Any], role: Role) -> Prepared:
        return self._computing.encoder.prepare(payload, role)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is short: torch has a class for GPUs, and a sentence for the CPU's allocator."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "not enough memory" in str(error)
