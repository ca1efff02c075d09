"""Any vision model of transformers as an encoder: its own preprocessing, its pooled features, at unit length.

Shapes: B pictures, h × w pixels as the model takes them, T patches and other tokens, D dimensions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel, PreTrainedModel

from likewise.data.image_refs import ImageRef
from likewise.data.intensity import Window, window_of, windowed
from likewise.data.pixels import decode, from_array
from likewise.encoders.base import Encoder
from likewise.encoders.hub import opened, without_progress_bars
from likewise.encoders.image_preprocessing import ImagePreprocessing
from likewise.encoders.options import ImageEncoderOptions, PixelOptions
from likewise.errors import DataError, RecipeError
from likewise.options import Options
from likewise.types import Float32, Int64, Items, Prepared, Role

PATCH = 16  # a picture costs as many tokens as it has patches of this side, whatever the model
VOLATILE_SETTINGS = {"_name_or_path", "transformers_version", "dtype", "architectures"}
WINDOW_FILE = "window.json"


class ImageEncoder(Encoder):
    """A vision model, or the vision half of one for pictures and texts; weights are float32 whatever they were stored as.

    Pictures are `ImageRef`s, encoded bytes, numpy arrays or PIL images. Frames of one channel are windowed to [0, 1] as the
    options say, kept in float32, and repeated for the model's three channels.
    """

    def __init__(self, options: ImageEncoderOptions, model: PreTrainedModel | None = None, window: Window | None = None) -> None:
        super().__init__()
        self.options: ImageEncoderOptions = options
        source = options.model
        self.model = model if model is not None else _open_model(source, options)
        self._processor = _open_processor(source, options)
        self.processing = ImagePreprocessing.of(self._processor, source)
        self.window = window
        self._pictures = Pictures()
        self._projects = options.pooling == "auto" and hasattr(self.model, "get_image_features")
        with torch.inference_mode():
            self._dimension = int(self._pooled(torch.zeros(1, 3, *self.processing.out)).shape[1])
        if options.channels_last:
            self.model.to(memory_format=torch.channels_last)

    @property
    def dimension(self) -> int:
        """D."""
        return self._dimension

    def preprocessing(self) -> Mapping[str, Any]:
        """The model's settings, what its processor does, the pooling, and how frames of one channel are windowed."""
        config = self.model.config.to_dict()
        window = None if self.window is None else [self.window.low, self.window.high]
        return {
            "config": {name: str(config[name]) for name in sorted(config) if name not in VOLATILE_SETTINGS},
            "processing": self.processing.as_json(),
            "pooling": self.options.pooling,
            "pixels": {**self.options.pixels.model_dump(mode="json"), "range": window},
            "single_channel": "repeated",
        }

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """JPEGs are decoded no larger than needed, and convolutions add up in another order where channels stand together."""
        return {"decoded_at_least": self.processing.at_least, "channels_last": self.options.channels_last}

    def prepare(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Prepared:
        """[B, 3, h, w] float32."""
        return torch.from_numpy(np.stack([self.processing(self.frame(each)) for each in payload]))

    def frame(self, picture: Any) -> NDArray[Any]:
        """The pixels of a picture as the preprocessing takes them: uint8 [H, W, 3], or [H, W] float32 in [0, 1] of one channel.

        DataError for what cannot be decoded.
        """
        return self._pictures.pixels(picture, self.options.pixels, self.processing.at_least, self.window)

    def remarks(self) -> Sequence[str]:
        """What was cut off by the window, if anything was."""
        return self._pictures.remarks()

    def forward(self, prepared: Prepared) -> Tensor:
        """Unit vectors [B, D] float32."""
        pixels = prepared.contiguous(memory_format=torch.channels_last) if self.options.channels_last else prepared
        return nn.functional.normalize(self._pooled(pixels).float(), dim=1)

    def lengths(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Int64:
        """Patches of 16 × 16 [B]: the same for every picture."""
        height, width = self.processing.out
        return np.full(len(payload), max(1, (height * width) // PATCH**2), dtype=np.int64)

    def fit(self, shards: Iterable[Items]) -> Self:
        """With window = "data", the least and the greatest value of the frames of one channel; else nothing is learnt."""
        self.window = window_of_all(self.options.pixels, shards)
        return self

    def save(self, folder: Path) -> None:
        """A folder that `AutoModel.from_pretrained` and `AutoImageProcessor.from_pretrained` open."""
        folder.mkdir(parents=True, exist_ok=True)
        with without_progress_bars():
            self.model.save_pretrained(folder)
        self._processor.save_pretrained(folder)
        if self.window is not None:
            (folder / WINDOW_FILE).write_text(json.dumps([self.window.low, self.window.high]), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, options: Options) -> Self:
        """What `save` wrote; `options.model` is not opened."""
        assert isinstance(options, ImageEncoderOptions)
        file = folder / WINDOW_FILE
        window = Window(*json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None
        stored = options.model_copy(update={"model": str(folder), "revision": None})
        encoder = cls(stored, window=window)
        encoder.options = options
        return encoder

    def _pooled(self, pixels: Tensor) -> Tensor:
        """[B, D], of any length."""
        if self._projects:
            features: Any = self.model.get_image_features(pixel_values=pixels)
            whole: Tensor = features if isinstance(features, Tensor) else features.pooler_output
            return whole
        vision = getattr(self.model, "vision_model", self.model)
        out = vision(pixel_values=pixels)
        return pooled(out, self.options.pooling, self.options.model)


def pooled(out: Any, pooling: str, model: str) -> Tensor:
    """[B, D] of a model's outputs: `auto` takes its own pooled features and, where it has none, the mean."""
    hidden: Tensor = out.last_hidden_state
    own: Tensor | None = getattr(out, "pooler_output", None)
    tokens = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden
    match pooling:
        case "auto" | "pooler" if own is not None:
            return own.flatten(1)
        case "pooler":
            raise RecipeError(f'[encoder] pooling = "pooler", but "{model}" has no pooler; use "cls" or "mean".')
        case "cls":
            if hidden.ndim == 4:
                raise RecipeError(f'[encoder] pooling = "cls", but "{model}" has no class token; use "pooler" or "mean".')
            return tokens[:, 0]
        case "patches":
            return torch.cat([tokens.mean(dim=1), tokens.std(dim=1)], dim=1)
        case _:
            return tokens.mean(dim=1)


class Pictures:
    """Pictures to pixels, from many threads; it remembers how much the window has cut off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames = self._cut = self._pixels = 0

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]  # a copy counts for itself

    def pixels(self, picture: Any, options: PixelOptions, at_least: int, data: Window | None) -> NDArray[Any]:
        """uint8 [H, W, 3], or float32 in [0, 1] [H, W] of one channel, of an `ImageRef`, encoded bytes, an array or a PIL image.

        JPEGs are decoded to a shorter side of `at_least` or more. DataError for what is none of these, or cannot be decoded.
        """
        if isinstance(picture, ImageRef):
            pixels = decode(picture.read(), picture.name, at_least=at_least, frame=options.frame)
        elif isinstance(picture, bytes):
            pixels = decode(picture, "a picture", at_least=at_least, frame=options.frame)
        else:
            pixels = from_array(picture, "a picture")
        if pixels.ndim == 3:
            return pixels
        frame, cut = one_channel(pixels, options, data)
        with self._lock:
            self._frames += cut > 0
            self._cut += cut
            self._pixels += pixels.size
        return frame

    def remarks(self) -> Sequence[str]:
        """A sentence, if anything was cut off."""
        if not self._cut:
            return []
        share = f"{self._cut / self._pixels:.2%} of the pixels of one channel"
        return [f"The window cut off values in {self._frames:,} frames ({share}); widen it where they matter."]


def window_of_all(options: PixelOptions, shards: Iterable[Items]) -> Window | None:
    """With window = "data", the range of all frames of one channel; else None. DataError where there is no such frame."""
    if options.window != "data":
        return None
    low, high = np.inf, -np.inf
    for items in shards:
        low = np.nanmin([low, *items.columns.get("lowest", ())])
        high = np.nanmax([high, *items.columns.get("highest", ())])
    if not low <= high:
        raise DataError('[encoder] pixels.window = "data" found no picture of one channel; leave it out.')
    return Window(float(low), float(high))


def one_channel(frame: NDArray[Any], options: PixelOptions, data: Window | None) -> tuple[Float32, int]:
    """[H, W] float32 in [0, 1] of a frame of one channel, windowed as the options say, and how many pixels were cut off.

    `data` is the range of all frames. 8 bits are taken as they are (0 to 255) unless a window is asked for.
    """
    match options.window:
        case "frame":
            window = window_of(frame, *options.percentiles)
        case "data":
            assert data is not None, "fit comes first"
            window = data
        case "limits":
            assert options.limits is not None, "the options were checked"
            window = Window(*options.limits)
        case _:
            window = Window(0.0, 255.0) if frame.dtype == np.uint8 else window_of(frame, 0.0, 100.0)
    return windowed(frame, window, gamma=options.gamma, clahe=options.clahe)


def _open_model(model: str, options: ImageEncoderOptions) -> PreTrainedModel:
    def open_(name: str, local: bool) -> PreTrainedModel:
        where: Any = {"cache_dir": options.cache_dir, "revision": options.revision, "local_files_only": local}
        return AutoModel.from_pretrained(name, dtype=torch.float32, **where).eval()

    return opened(model, open_, writer="save_pretrained")


def _open_processor(model: str, options: ImageEncoderOptions) -> Any:
    def open_(name: str, local: bool) -> Any:
        where: Any = {"cache_dir": options.cache_dir, "revision": options.revision, "local_files_only": local}
        return AutoImageProcessor.from_pretrained(name, backend="pil", **where)

    return opened(model, open_, writer="save_pretrained")
