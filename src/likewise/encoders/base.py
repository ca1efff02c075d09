"""What every encoder is: items in, vectors out.

Shapes: B items of a batch, D dimensions.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from likewise.options import Options
from likewise.types import Int64, Items, Prepared, Role


class Runtime(NamedTuple):
    """A runtime that an encoder brings itself: what it is called, and the precision it was told to compute in."""

    name: str
    precision: Literal["float32", "bfloat16"]


class Encoder(nn.Module, ABC):
    """Turns items into vectors: `prepare` on the CPU, in threads, ahead of `forward` on the device.

    A subclass sets `options` and gives `dimension`, `preprocessing`, `prepare`, `forward`, `lengths`, `save` and `load`.
    """

    options: Options

    @property
    @abstractmethod
    def dimension(self) -> int:
        """D, the length of a vector."""

    @abstractmethod
    def preprocessing(self) -> Mapping[str, Any]:
        """What is done to an item besides the weights, as JSON-able values: tokenizer, pooling, scaling… Part of the space."""

    @abstractmethod
    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """What changes a vector's bits, but not what it may be compared with: prompt, longest input…"""

    @abstractmethod
    def prepare(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Prepared:
        """The inputs of `forward` for B items; safe to call from several threads at once. `max_length` may only shorten."""

    @abstractmethod
    def forward(self, prepared: Prepared) -> Tensor:
        """Vectors [B, D] of what `prepare` returned, moved to the encoder's device by `to_device`.

        For inference on a CPU it is called from several threads at once.
        """

    @abstractmethod
    def lengths(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Int64:
        """What each item will cost [B], in the unit of `embed.batch_tokens`, after truncation. Batches are planned by it."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write all that `load` needs into a folder, which is made if it is not there."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote, with the options it was made with."""

    def fit(self, shards: Iterable[Items]) -> Self:
        """Learn what must be known before training, from the training split. Most encoders need nothing and return themselves."""
        return self

    @property
    def runtime(self) -> Runtime | None:
        """What computes the vectors, where that is not PyTorch."""
        return None

    def in_float32(self) -> Encoder:
        """This encoder computing in float32, which other precisions are compared with."""
        return self

    def remarks(self) -> Sequence[str]:
        """Sentences for the user on what was prepared so far, such as values that were cut off; most have none."""
        return ()

    @property
    def space(self) -> str:
        """Names what these vectors may be compared with: a digest of weights, preprocessing and dimension.

        Computed from the present weights at every access (0.05 s per 100 MB), so that training changes it; hold it in loops.
        """
        digest = hashlib.sha256(weights_digest(self).encode())
        digest.update(_json({"class": type(self).__qualname__, "dimension": self.dimension, **self.preprocessing()}))
        return digest.hexdigest()[:32]

    def key(self, role: Role, precision: str = "float32", backend: str = "torch") -> str:
        """Names a vector's bits: the space, the role and everything else that changes them."""
        way = {"precision": precision, "backend": backend, "device": self.device.type}
        parts = {"space": self.space, "role": role, **way, **self.key_parts(role)}
        return hashlib.sha256(_json(parts)).hexdigest()[:32]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((tensor.device for tensor in self.parameters()), torch.device("cpu"))


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of a module's parameters and stored buffers: names, types, shapes and bytes, in the order of their names."""
    digest = hashlib.sha256()
    state = module.state_dict()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def to_device(prepared: Prepared, device: torch.device) -> Prepared:
    """The same structure of dicts, lists and tuples with its tensors on the device; the given one is left as it is."""
    if isinstance(prepared, Tensor):
        return prepared.to(device, non_blocking=True)
    if isinstance(prepared, np.ndarray):
        return torch.from_numpy(prepared).to(device)
    if isinstance(prepared, Mapping):
        return {name: to_device(value, device) for name, value in prepared.items()}
    if isinstance(prepared, (list, tuple)):
        return type(prepared)(to_device(value, device) for value in prepared)
    return prepared


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
