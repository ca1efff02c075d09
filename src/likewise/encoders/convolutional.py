"""A small convolutional network for pictures, trained from scratch: in seconds on a CPU, without any download.

Shapes: B pictures, s × s pixels, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from likewise.data.intensity import Window
from likewise.encoders.base import Encoder
from likewise.encoders.image import PATCH, Pictures, window_of_all
from likewise.encoders.image_preprocessing import ImagePreprocessing
from likewise.encoders.options import ConvolutionalEncoderOptions
from likewise.options import Options
from likewise.types import Int64, Items, Prepared, Role

WEIGHTS = "convolutional.safetensors"
GROUPS = 8  # of channels that are normalised together
LAST = 2  # the last grid of features, 2 × 2, keeps what stands where
RANGE = ("lowest", "highest")


class ConvolutionalEncoder(Encoder):
    """Pairs of 3 × 3 convolutions with group normalisation (Wu and He 2018), the second of stride 2; then a linear layer.

    Pictures are stretched to a square, their values scaled to [-1, 1]; frames of one channel are windowed as the options say.
    """

    def __init__(self, options: ConvolutionalEncoderOptions, window: Window | None = None) -> None:
        super().__init__()
        self.options: ConvolutionalEncoderOptions = options
        half = (0.5, 0.5, 0.5)
        size = (options.size, options.size)
        bilinear = int(Image.Resampling.BILINEAR)
        self.processing = ImagePreprocessing(None, size, None, bilinear, scale=1 / 255, mean=half, std=half)
        self.window = window
        self._pictures = Pictures()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            blocks = [layer for before, after in pairwise((3, *options.widths)) for layer in _block(before, after)]
            self.network = nn.Sequential(
                *blocks, nn.AdaptiveAvgPool2d(LAST), nn.Flatten(), nn.Linear(options.widths[-1] * LAST**2, options.dimension)
            )

    @property
    def dimension(self) -> int:
        """D."""
        return self.options.dimension

    def preprocessing(self) -> Mapping[str, Any]:
        """The size of the pictures, the widths of the network, and how frames of one channel are windowed."""
        window = None if self.window is None else [self.window.low, self.window.high]
        pixels = {**self.options.pixels.model_dump(mode="json"), "range": window}
        return {"processing": self.processing.as_json(), "widths": list(self.options.widths), "pixels": pixels}

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """JPEGs are decoded no larger than needed."""
        return {"decoded_at_least": self.processing.at_least}

    def prepare(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Prepared:
        """[B, 3, s, s] float32."""
        at_least, pixels = self.processing.at_least, self.options.pixels
        frames = (self._pictures.pixels(picture, pixels, at_least, self.window) for picture in payload)
        return torch.from_numpy(np.stack([self.processing(frame) for frame in frames]))

    def remarks(self) -> Sequence[str]:
        """What was cut off by the window, if anything was."""
        return self._pictures.remarks()

    def forward(self, prepared: Prepared) -> Tensor:
        """Unit vectors [B, D] float32."""
        return nn.functional.normalize(self.network(prepared).float(), dim=1)

    def lengths(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Int64:
        """Patches of 16 × 16 [B]: the same for every picture."""
        return np.full(len(payload), max(1, (self.options.size // PATCH) ** 2), dtype=np.int64)

    def fit(self, shards: Iterable[Items]) -> Self:
        """With window = "data", the least and the greatest value of the frames of one channel; else nothing is learnt."""
        self.window = window_of_all(self.options.pixels, shards)
        return self

    def save(self, folder: Path) -> None:
        """Weights and window, as safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        window = None if self.window is None else {name: repr(getattr(self.window, name)) for name in ("low", "high")}
        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / WEIGHTS, window)

    @classmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote."""
        assert isinstance(options, ConvolutionalEncoderOptions)
        from safetensors import safe_open

        with safe_open(folder / WEIGHTS, "pt") as file:
            stored = file.metadata() or {}
        window = Window(float(stored["low"]), float(stored["high"])) if "low" in stored else None
        encoder = cls(options, window)
        encoder.load_state_dict(load_file(folder / WEIGHTS))
        return encoder


def _block(before: int, after: int) -> list[nn.Module]:
    first = nn.Conv2d(before, after, 3, padding=1, bias=False)
    second = nn.Conv2d(after, after, 3, padding=1, stride=2, bias=False)
    return [first, nn.GroupNorm(GROUPS, after), nn.ReLU(), second, nn.GroupNorm(GROUPS, after), nn.ReLU()]
