"""What a vision model wants done to a picture, as its own image processor says it: read once, recorded, and done here.

Resizing and cropping are one step (only what the crop keeps is resized), frames of more than 8 bits stay in float32 throughout,
and JPEGs were decoded no larger than is needed. Pictures of 8 bits come out as transformers' own processor makes them, but for
the rounding of its steps (tested).

Shapes: H × W pixels in, h × w out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likewise.errors import DataError, first_line
from likewise.types import Float32

SAME = 0.05  # of the spread; of transformers' processors those that do the same are within 0.0001, the others beyond 0.18
WARPED = 384  # ConvNeXt's processor neither crops nor keeps proportions from this size on


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """The shorter side becomes `shortest`, or both sides `size` (height, width), by PIL's way `resample`; then a central `crop`.

    Then the three channels are centred by `mean` and divided by `std`; values of 8 bits are first multiplied by `scale`, those in
    [0, 1] by 255 times that.
    """

    shortest: int | None
    size: tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, processor: Any, model: str) -> ImagePreprocessing:
        """What a transformers image processor does; DataError where it does something else, too."""
        odd = [
            name
            for name in ("do_pad", "do_reduce_labels", "do_thumbnail", "do_align_long_axis")
            if getattr(processor, name, None)
        ]
        size, crop = _sizes(processor, model)
        if odd or size is None:
            told = ", ".join(odd) or f"size = {getattr(processor, 'size', None)}"
            sentence = f'[encoder] model = "{model}" prepares its pictures in a way that is not known here ({told})'
            raise DataError(f"{sentence}; choose another model.")
        shortest, fixed = size
        return cls(
            shortest=shortest,
            size=fixed,
            crop=crop,
            resample=int(processor.resample if processor.resample is not None else Image.Resampling.BILINEAR),
            scale=float(processor.rescale_factor) if processor.do_rescale else 1.0,
            mean=_three(processor.image_mean if processor.do_normalize else 0.0),
            std=_three(processor.image_std if processor.do_normalize else 1.0),
        )

    @property
    def out(self) -> tuple[int, int]:
        """(height, width) of what comes out."""
        if self.crop is not None:
            return self.crop
        assert self.size is not None, "without a crop the size is fixed"
        return self.size

    @property
    def at_least(self) -> int:
        """What the shorter side of a decoded picture must have, so that nothing is enlarged that was larger."""
        return self.shortest if self.shortest is not None else max(self.out)

    def as_json(self) -> Mapping[str, Any]:
        """For the space: all of it."""
        return asdict(self)

    def __call__(self, frame: NDArray[Any]) -> Float32:
        """[3, h, w] of colours uint8 [H, W, 3], or of one channel [H, W], uint8 or float32 in [0, 1], which is repeated."""
        values = self._resized(frame)
        factor = self.scale if frame.dtype == np.uint8 else self.scale * 255
        std = np.array(self.std, np.float32)
        by, shift = np.float32(factor) / std, np.array(self.mean, np.float32) / std
        planes = np.empty((3, *values.shape[:2]), np.float32)
        for channel, plane in enumerate(planes):  # one at a time: a third of the time of all three, transposed
            np.multiply(values if values.ndim == 2 else values[..., channel], by[channel], out=plane, dtype=np.float32)
            plane -= shift[channel]
        return planes

    def _resized(self, frame: NDArray[Any]) -> NDArray[Any]:
        """[h, w] or [h, w, 3]: the part that the crop keeps, resized."""
        height, width = frame.shape[:2]
        tall, wide = self.size or _in_proportion(height, width, self.shortest or 0)
        rows, columns = self.crop or (tall, wide)
        if rows > tall or columns > wide:
            return self._padded(frame, (tall, wide))
        top, left = (tall - rows) // 2, (wide - columns) // 2
        box = (left * width / wide, top * height / tall, (left + columns) * width / wide, (top + rows) * height / tall)
        return np.asarray(_pillow(frame).resize((columns, rows), self.resample, box=box))

    def _padded(self, frame: NDArray[Any], resized: tuple[int, int]) -> NDArray[Any]:
        """A picture that is smaller than the crop, in the middle of black, as transformers does."""
        whole = np.asarray(_pillow(frame).resize((resized[1], resized[0]), self.resample))
        assert self.crop is not None
        rows, columns = self.crop
        out = np.zeros((max(rows, resized[0]), max(columns, resized[1]), *whole.shape[2:]), whole.dtype)
        top, left = (out.shape[0] - resized[0] + 1) // 2, (out.shape[1] - resized[1] + 1) // 2
        out[top : top + resized[0], left : left + resized[1]] = whole
        top, left = (out.shape[0] - rows) // 2, (out.shape[1] - columns) // 2
        return out[top : top + rows, left : left + columns]


def check_same(processor: Any, processing: ImagePreprocessing, model: str) -> None:
    """DataError where a transformers image processor makes something else of a picture than `processing` does."""
    down, across = np.mgrid[0:260, 0:340]
    picture = np.stack([across * 0.7, down * 0.9, 128 + 100 * np.sin(across / 40) * np.cos(down / 30)], axis=2).astype(np.uint8)
    try:
        theirs = np.asarray(processor(images=[Image.fromarray(picture)], return_tensors="np")["pixel_values"][0])
    except Exception as error:  # processors are others' code, and raise what they like
        raise DataError(f'[encoder] model = "{model}" cannot prepare a picture ({first_line(error)}); choose another.') from error
    ours = processing(picture)
    if theirs.shape != ours.shape or float(np.abs(theirs - ours).mean()) > SAME * float(theirs.std()):
        raise DataError(
            f'[encoder] model = "{model}" prepares its pictures in a way that is not known here; choose another model.'
        )


def _pillow(frame: NDArray[Any]) -> Image.Image:
    """As PIL sees it: "RGB", "L", or "F" for float32."""
    return Image.fromarray(np.ascontiguousarray(frame))


def _in_proportion(height: int, width: int, shortest: int) -> tuple[int, int]:
    """(height, width) with the shorter side as asked for; transformers cuts the longer one to whole pixels."""
    if height <= width:
        return shortest, int(shortest * width / height)
    return int(shortest * height / width), shortest


def _sizes(processor: Any, model: str) -> tuple[tuple[int | None, tuple[int, int] | None] | None, tuple[int, int] | None]:
    """(shortest side, fixed size) and crop; the first is None where it is not understood."""
    size = _as_dict(processor.size) if processor.do_resize else {}
    crop = _fixed(_as_dict(processor.crop_size)) if getattr(processor, "do_center_crop", None) else None
    shortest = size.get("shortest_edge")
    if shortest and getattr(processor, "crop_pct", None) is not None:  # ConvNeXt's own way
        if shortest >= WARPED:
            return (None, (shortest, shortest)), None
        return (int(shortest / processor.crop_pct), None), (shortest, shortest)
    if shortest and not size.get("longest_edge") and crop is not None:
        return (int(shortest), None), crop
    fixed = _fixed(size)
    return (None, fixed) if fixed is not None else None, crop


def _as_dict(size: Any) -> dict[str, int]:
    if isinstance(size, int):
        return {"height": size, "width": size}
    return {name: value for name, value in dict(size or {}).items() if value is not None}


def _fixed(size: Mapping[str, int]) -> tuple[int, int] | None:
    return (int(size["height"]), int(size["width"])) if {"height", "width"} <= size.keys() else None


def _three(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in (values if isinstance(values, (list, tuple)) else [values] * 3))
