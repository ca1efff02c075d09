"""Hits of a detector, or any rows of numbers: scaled features through a perceptron.

Shapes: B hits of a batch, F features, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from likewise.encoders.base import Encoder
from likewise.encoders.options import HitEncoderOptions
from likewise.encoders.tanh import Tanh
from likewise.errors import DataError
from likewise.options import Options
from likewise.types import Float32, Int64, Items, Prepared, Role

WEIGHTS = "hits.safetensors"
WIDTHS_GPU, WIDTHS_CPU = (1024,) * 4, (256,) * 4


class HitEncoder(Encoder):
    """Linear → LayerNorm → Tanh blocks over features scaled to mean 0 and deviation 1 on the training split.

    `fit` learns mean and deviation and draws the weights; `scale_features` is what a raw-feature baseline compares by.
    """

    offset: Tensor
    deviation: Tensor

    def __init__(self, options: HitEncoderOptions, features: int | None = None) -> None:
        super().__init__()
        default = WIDTHS_GPU if torch.cuda.is_available() else WIDTHS_CPU
        self.widths = options.widths or default
        self.options: HitEncoderOptions = options.model_copy(update={"widths": self.widths})  # as stored with the weights
        self.network: nn.Sequential | None = None
        if features is not None:
            self._build(features)

    def fit(self, shards: Iterable[Items]) -> Self:
        """Learn every feature's mean and deviation, in one pass (Chan, Golub and LeVeque 1979), and draw the weights.

        DataError where a feature never varies.
        """
        count, mean, squares = 0, np.zeros(0), np.zeros(0)
        for shard in shards:
            features = np.asarray(shard.payload, dtype=np.float64)
            if not len(features):
                continue
            if not count:
                mean, squares = np.zeros(features.shape[1]), np.zeros(features.shape[1])
            ours, total = features.mean(axis=0), count + len(features)
            squares += ((features - ours) ** 2).sum(axis=0) + (ours - mean) ** 2 * count * len(features) / total
            mean += (ours - mean) * len(features) / total
            count = total
        deviation = np.sqrt(squares / max(1, count))
        if not count or not (deviation > 0).all():
            constant = "there is no item" if not count else f"feature {int(np.argmin(deviation))} is the same for every item"
            raise DataError(f'[encoder] kind = "hits" cannot be scaled: {constant}; look at the features that [ingest] gives.')
        self._build(len(mean))
        self.offset.copy_(torch.from_numpy(mean))
        self.deviation.copy_(torch.from_numpy(deviation))
        return self

    @property
    def dimension(self) -> int:
        """D."""
        return self.options.dimension

    def preprocessing(self) -> Mapping[str, Any]:
        """How vectors are finished; the scaling is among the weights."""
        return {"widths": list(self.widths), "unit_length": self.options.unit_length, "activation": "tanh"}

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """Nothing: no prompts, no longest input."""
        return {}

    def prepare(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Prepared:
        """The features as they came [B, F] float32; they are scaled on the device."""
        features: Float32 = np.ascontiguousarray(payload, dtype=np.float32)
        return torch.from_numpy(features)

    def forward(self, prepared: Prepared) -> Tensor:
        """Vectors [B, D]; unit vectors if the options say so."""
        assert self.network is not None, "fit or load the encoder first"
        vectors: Tensor = self.network(self.scale_features(prepared))
        return functional.normalize(vectors, dim=-1) if self.options.unit_length else vectors

    def scale_features(self, features: Tensor) -> Tensor:
        """Features [B, F] with the training split's mean 0 and deviation 1."""
        return (features - self.offset) / self.deviation

    def lengths(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Int64:
        """All the same."""
        return np.ones(len(payload), dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Weights and scaling, as safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote."""
        assert isinstance(options, HitEncoderOptions)
        weights = load_file(folder / WEIGHTS)
        encoder = cls(options, features=len(weights["offset"]))
        encoder.load_state_dict(weights)
        return encoder

    def _build(self, features: int) -> None:
        self.register_buffer("offset", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        widths = (features, *self.widths)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed)
            blocks = [
                layer for before, after in pairwise(widths) for layer in (nn.Linear(before, after), nn.LayerNorm(after), Tanh())
            ]
            self.network = nn.Sequential(*blocks, nn.Linear(widths[-1], self.options.dimension))
