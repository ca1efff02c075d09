"""A small convolutional network for pictures, trained from scratch: in seconds on a CPU, without any download.

Shapes: B pictures, s × s pixels, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from likewise.data.intensity import Window
from likewise.encoders.image_preprocessing import ImagePreprocessing
from likewise.encoders.options import ConvolutionalEncoderOptions
from likewise.encoders.pictures import PictureEncoder, stored_window
from likewise.options import Options
from likewise.types import Prepared

WEIGHTS = "convolutional.safetensors"
GROUPS = 8  # of channels that are normalised together
LAST = 2  # the last grid of features, 2 × 2, keeps what stands where


class ConvolutionalEncoder(PictureEncoder):
    """Pairs of 3 × 3 convolutions with group normalisation (Wu and He 2018), the second of stride 2; then a linear layer.

    Pictures are stretched to a square, their values scaled to [-1, 1]; frames of one channel are windowed as the options say.
    """

    def __init__(self, options: ConvolutionalEncoderOptions, window: Window | None = None) -> None:
        super().__init__(options.pixels, window)
        self.options: ConvolutionalEncoderOptions = options
        half = (0.5, 0.5, 0.5)
        size = (options.size, options.size)
        bilinear = int(Image.Resampling.BILINEAR)
        self.processing = ImagePreprocessing(None, size, None, bilinear, scale=1 / 255, mean=half, std=half)
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
        widths = list(self.options.widths)
        return {"processing": self.processing.as_json(), "widths": widths, "pixels": self._pixel_settings()}

    def forward(self, prepared: Prepared) -> Tensor:
        """Unit vectors [B, D] float32."""
        return nn.functional.normalize(self.network(prepared).float(), dim=1)

    def save(self, folder: Path) -> None:
        """Weights, as safetensors, and the fitted window."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / WEIGHTS)
        self._save_window(folder)

    @classmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote."""
        assert isinstance(options, ConvolutionalEncoderOptions)
        encoder = cls(options, stored_window(folder))
        encoder.load_state_dict(load_file(folder / WEIGHTS))
        return encoder


def _block(before: int, after: int) -> list[nn.Module]:
    first = nn.Conv2d(before, after, 3, padding=1, bias=False)
    second = nn.Conv2d(after, after, 3, padding=1, stride=2, bias=False)
    return [first, nn.GroupNorm(GROUPS, after), nn.ReLU(), second, nn.GroupNorm(GROUPS, after), nn.ReLU()]
