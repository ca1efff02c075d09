"""The image tower of an OpenCLIP model as an encoder: pooled features after its projection, as CLIP retrieval uses them.

OpenCLIP's own preprocessing is read from its configuration, recorded, and done here: pictures of 8 bits come out as its transform
makes them, but for the rounding of its steps (tested). The text tower is left out.

Shapes: B pictures, H × W pixels in, h × w as the model takes them, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from likewise.data.intensity import Window
from likewise.encoders.image_preprocessing import ImagePreprocessing
from likewise.encoders.openclip_models import Tower, open_tower
from likewise.encoders.options import OpenCLIPEncoderOptions
from likewise.encoders.pictures import PictureEncoder, laid_out, stored_window
from likewise.errors import DataError
from likewise.options import Options
from likewise.types import Float32, Prepared, Role


class OpenCLIPEncoder(PictureEncoder):
    """The tower alone, without the half for texts."""

    def __init__(self, options: OpenCLIPEncoderOptions, tower: Tower | None = None, window: Window | None = None) -> None:
        super().__init__(options.pixels, window)
        self.options: OpenCLIPEncoderOptions = options
        tower = tower or open_tower(options)
        self.tower = tower.module.eval()
        self._config = tower.config
        self._framing = Framing.of(tower.config["preprocess"], options.model)
        self.processing = self._framing.processing(tower.config["preprocess"])
        with torch.inference_mode():
            self._dimension = int(self._features(torch.zeros(1, 3, *self.processing.out)).shape[1])
        if options.channels_last:
            self.tower.to(memory_format=torch.channels_last)

    @property
    def dimension(self) -> int:
        """D."""
        return self._dimension

    def preprocessing(self) -> Mapping[str, Any]:
        """How the tower is built, what OpenCLIP's configuration does to a picture, and how frames of one channel are windowed."""
        done = {"processing": self.processing.as_json(), "pixels": self._pixel_settings(), "single_channel": "repeated"}
        return {"tower": self._config, **done}

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """As of all pictures; and convolutions add up in another order where channels stand together."""
        return {**super().key_parts(role), "channels_last": self.options.channels_last}

    def shaped(self, frame: NDArray[Any]) -> Float32:
        """[3, h, w]: framed as OpenCLIP does it, then prepared."""
        return self.processing(self._framing(frame))

    def forward(self, prepared: Prepared) -> Tensor:
        """Unit vectors [B, D] float32."""
        pixels = laid_out(prepared, channels_last=self.options.channels_last)
        return nn.functional.normalize(self._features(pixels).float(), dim=1)

    def save(self, folder: Path) -> None:
        """The tower alone, and the fitted window."""
        Tower(self.tower, self._config).save(folder)
        self._save_window(folder)

    @classmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote; neither `options.model` nor `options.pretrained` is opened."""
        assert isinstance(options, OpenCLIPEncoderOptions)
        return cls(options, Tower.load(folder), stored_window(folder))

    def _features(self, pixels: Tensor) -> Tensor:
        """[B, D], of any length."""
        found = self.tower(pixels)
        features: Tensor = found[0] if isinstance(found, tuple) else found  # CoCa's gives its tokens, too
        return features


@dataclass(frozen=True, slots=True)
class Framing:
    """What of a picture the model sees, as OpenCLIP's transform does it.

    "shortest": the shorter side is made to fit, the middle is kept; "longest": the longer side is, the rest is filled; "squash":
    both are.
    """

    size: tuple[int, int]
    mode: str
    resample: Image.Resampling
    fill: int

    @classmethod
    def of(cls, preprocess: Mapping[str, Any], model: str) -> Framing:
        """From an OpenCLIP preprocessing configuration; DataError where it asks for what is not known here."""
        size, mode = preprocess["size"], preprocess["resize_mode"]
        if mode not in ("shortest", "longest", "squash") or preprocess["mode"] != "RGB":
            told = f"resize_mode = {mode}, mode = {preprocess['mode']}"
            sentence = f'[encoder] model = "{model}" prepares its pictures in a way that is not known here ({told})'
            raise DataError(f"{sentence}; choose another model.")
        sides = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        bilinear = preprocess["interpolation"] == "bilinear" and not (mode == "shortest" and sides[0] != sides[1])
        resample = Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC  # OpenCLIP's own default
        return cls(sides, mode, resample, int(preprocess["fill_color"]))

    def processing(self, preprocess: Mapping[str, Any]) -> ImagePreprocessing:
        """What is done to a picture after this: nothing but a squash is left of resizing."""
        mean, std = (tuple(float(value) for value in preprocess[name]) for name in ("mean", "std"))
        resample = int(self.resample)
        return ImagePreprocessing(None, self.size, crop=None, resample=resample, scale=1 / 255, mean=mean, std=std)

    def __call__(self, frame: NDArray[Any]) -> NDArray[Any]:
        """[h, w] or [h, w, 3] of a frame [H, W] or [H, W, 3], uint8 or float32 in [0, 1]; with "squash", the frame itself."""
        if self.mode == "squash":
            return frame
        tall, wide = self._resized(*frame.shape[:2])
        image = Image.fromarray(np.ascontiguousarray(frame))
        rows, columns = self.size
        if self.mode == "longest":
            fill = self.fill if frame.dtype == np.uint8 else self.fill / 255
            whole = np.full((*self.size, *frame.shape[2:]), fill, frame.dtype)
            top, left = (rows - tall) // 2, (columns - wide) // 2
            whole[top : top + tall, left : left + wide] = np.asarray(image.resize((wide, tall), self.resample))
            return whole
        top, left = round((tall - rows) / 2), round((wide - columns) / 2)
        height, width = frame.shape[:2]
        box = (left * width / wide, top * height / tall, (left + columns) * width / wide, (top + rows) * height / tall)
        return np.asarray(image.resize((columns, rows), self.resample, box=box))

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the whole picture in the model's scale."""
        rows, columns = self.size
        if self.mode == "shortest" and rows == columns:  # torchvision's way: the longer side is cut to whole pixels
            return (rows, int(rows * width / height)) if height <= width else (int(rows * height / width), rows)
        least = min if self.mode == "shortest" else max
        ratio = least(height / rows, width / columns)
        return round(height / ratio), round(width / ratio)
