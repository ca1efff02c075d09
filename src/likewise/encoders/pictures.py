"""What all encoders of pictures share: from whatever a picture is given as to what a model takes, window and layout included.

Shapes: B pictures, H × W pixels in, h × w as the model takes them.
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
from torch import Tensor

from likewise.data.group_tables.words import counted
from likewise.data.image_refs import ImageRef
from likewise.data.intensity import WINDOW_FILE, Window, window_of, windowed
from likewise.data.pixels import decode, from_array
from likewise.encoders.base import Encoder
from likewise.encoders.image_preprocessing import ImagePreprocessing
from likewise.encoders.options import PixelOptions
from likewise.errors import DataError
from likewise.types import Float32, Int64, Items, Prepared, Role

PATCH = 16  # a picture costs as many tokens as it has patches of this side, whatever the model


class PictureEncoder(Encoder):
    """Pictures are `ImageRef`s, encoded bytes, numpy arrays or PIL images.

    Frames of one channel are windowed to [0, 1] as the options say, kept in float32, and repeated for the model's three channels.
    A subclass sets `options` and `processing`.
    """

    processing: ImagePreprocessing

    def __init__(self, pixels: PixelOptions, window: Window | None = None) -> None:
        super().__init__()
        self.window = window
        self._pixels = pixels
        self._cut = Cut()

    def prepare(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Prepared:
        """[B, 3, h, w] float32. With a `max_length` a sample is only tried: `remarks` counts it when it is prepared without."""
        if max_length is None:
            return torch.from_numpy(np.stack([self.ready(picture) for picture in payload]))
        return torch.from_numpy(np.stack([self.shaped(self._frame(picture)[0]) for picture in payload]))

    def ready(self, picture: Any) -> Float32:
        """A picture as the model takes it: [3, h, w]. DataError for what cannot be decoded."""
        return self.shaped(self.frame(picture))

    def shaped(self, frame: NDArray[Any]) -> Float32:
        """What `frame` gives as the model takes it: [3, h, w]."""
        return self.processing(frame)

    def frame(self, picture: Any) -> NDArray[Any]:
        """The pixels of a picture as the preprocessing takes them: uint8 [H, W, 3], or [H, W] float32 in [0, 1] of one channel.

        DataError for what cannot be decoded.
        """
        frame, cut = self._frame(picture)
        if frame.ndim == 2:
            self._cut.add(cut, frame.size)
        return frame

    def _frame(self, picture: Any) -> tuple[NDArray[Any], int]:
        """As `frame`, not counted; and how many pixels the window cuts off."""
        pixels = pixels_of(picture, self.processing.at_least, self._pixels.frame)
        if pixels.ndim == 3:
            return pixels, 0
        try:
            return one_channel(pixels, self._pixels, self.window)
        except DataError as error:
            name = picture.name if isinstance(picture, ImageRef) else "a picture"
            raise DataError(f"{name}: {error}") from error

    def key_parts(self, role: Role) -> Mapping[str, Any]:
        """JPEGs are decoded no larger than needed."""
        return {"decoded_at_least": self.processing.at_least}

    def remarks(self) -> Sequence[str]:
        """What was cut off by the window, if anything was."""
        return self._cut.remarks()

    @property
    def frames_cut(self) -> int:
        """How many frames the window has cut anything off."""
        return self._cut.frames

    def lengths(self, payload: Sequence[Any], role: Role = "document", max_length: int | None = None) -> Int64:
        """Patches of 16 × 16 [B]: the same for every picture."""
        height, width = self.processing.out
        return np.full(len(payload), max(1, (height * width) // PATCH**2), dtype=np.int64)

    def fit(self, shards: Iterable[Items]) -> Self:
        """With window = "data", the least and the greatest value of the frames of one channel; else nothing is learnt."""
        self.window = window_of_all(self._pixels, shards)
        return self

    def _pixel_settings(self) -> Mapping[str, Any]:
        """How frames of one channel are windowed, for the space."""
        window = None if self.window is None else [self.window.low, self.window.high]
        return {**self._pixels.model_dump(mode="json"), "range": window}

    def _save_window(self, folder: Path) -> None:
        if self.window is not None:
            (folder / WINDOW_FILE).write_text(json.dumps([self.window.low, self.window.high]), encoding="utf-8")


def stored_window(folder: Path) -> Window | None:
    """What was fitted, if anything was."""
    file = folder / WINDOW_FILE
    return Window(*json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def laid_out(pixels: Tensor, *, channels_last: bool) -> Tensor:
    """Pixels [B, 3, h, w] as convolutions like them: with the channels standing together, or not."""
    return pixels.contiguous(memory_format=torch.channels_last) if channels_last else pixels


def pixels_of(picture: Any, at_least: int, frame: int) -> NDArray[Any]:
    """The pixels of an `ImageRef`, encoded bytes, an array or a PIL image, as `decode` gives them; of several pages that `frame`.

    JPEGs are decoded to a shorter side of `at_least` or more. DataError for what is none of these, or cannot be decoded.
    """
    if isinstance(picture, ImageRef):
        return decode(picture.read(), picture.name, at_least=at_least, frame=frame)
    if isinstance(picture, bytes):
        return decode(picture, "a picture", at_least=at_least, frame=frame)
    return from_array(picture, "a picture")


class Cut:
    """How much the window has cut off, counted from many threads; `frames` of which anything was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.frames = self._cut = self._pixels = 0

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]  # a copy counts for itself

    def add(self, cut: int, pixels: int) -> None:
        """Count a frame of so many pixels, some of them cut."""
        with self._lock:
            self.frames += cut > 0
            self._cut += cut
            self._pixels += pixels

    def remarks(self) -> Sequence[str]:
        """A sentence, if anything was cut off."""
        if not self._cut:
            return []
        share = f"{self._cut / self._pixels:.2%} of the pixels of one channel"
        return [f"The window cut off values in {counted(self.frames, 'frame')} ({share}); widen it where they matter."]


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
