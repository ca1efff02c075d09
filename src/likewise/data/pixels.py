"""From encoded bytes, arrays or PIL images to pixels that an encoder may trust: all of them, upright, opaque, and exact.

What comes out is uint8 [H, W, 3] (RGB, colour), or [H, W] of one channel in its own depth: uint8, uint16 or float32. EXIF
orientation is applied; alpha, a palette's or a grey's transparency too, is composited on white; palettes, CMYK, YCbCr, LAB and
HSV become RGB (colour profiles are not applied). Whatever cannot be had exactly is refused. Arrays may be read-only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from likewise.data.image_formats import netpbm
from likewise.data.image_formats.base import AGAIN, Damaged, Facts, Refused, exif_orientation
from likewise.data.image_header import MOST_PIXELS, format_of, limited_facts
from likewise.data.intensity import keeps_enough
from likewise.errors import DataError

UInt8 = NDArray[np.uint8]

# Pillow's readers, by themselves: `Image.open` would try others, and apply its own limits, which anyone may change.
READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
DRAFT_SCALES = (8, 4, 2)  # the parts of its size at which Pillow decodes a JPEG for less
OUTLIERS = 0.005  # the share of a deep frame's pixels that a look cuts at each end
GREY_SHAPE, DIFFERENCE_SHAPE, COLOR_SHAPE = (32, 32), (8, 9), (16, 16)
EIGHT_BITS = "give uint8 [H, W, 3]"
UNKNOWN_VALUES = "unknown pixel mode"  # what Pillow says of a TIFF that is whole, but whose kind of values it does not read
OTHER_VALUES = "save it with 8 or 16 bits, or as float32"


def decode(data: bytes, name: str, *, at_least: int | None = None, frame: int = 0) -> NDArray[Any]:
    """The pixels of an encoded image: uint8 [H, W, 3], or [H, W] uint8, uint16 or float32 of one channel.

    `frame` chooses a page. A JPEG is decoded at the smallest of 1/8, 1/4, 1/2 and 1 of its size whose shorter side is still
    `at_least` pixels. DataError, which names `name`, for all that `header` refuses; for a file that is cut, wherever;
    a page that is not there; colours of more than 8 bits; values that float32 cannot hold; and floats that are not finite.
    """
    try:
        return _decode(data, at_least, frame)
    except Refused as refused:
        raise refused.named(name) from None


def from_array(array: NDArray[Any] | Image.Image, name: str) -> NDArray[Any]:
    """The pixels of a numpy array or a PIL image, as `decode` gives them; DataError, which names `name`, for any other.

    Arrays are [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (the last one alpha). Of one channel, uint8 and uint16 are taken as they
    are, bool as 0 and 255, float32 as it is and float64 as float32. Colour is uint8, bool, or floats in [0, 1], which are taken
    times 255 and rounded. An array that needs no change is returned itself.
    """
    try:
        return _from_image(array) if isinstance(array, Image.Image) else _from_array(array)
    except Refused as refused:
        raise refused.named(name) from None


@dataclass(frozen=True, slots=True, eq=False)
class SmallLook:
    """An image made small in three ways: `gray` uint8 [32, 32], `difference` uint8 [8, 9] and `color` uint8 [16, 16, 3]."""

    gray: UInt8
    difference: UInt8
    color: UInt8

    def to_bytes(self) -> bytes:
        """All three, one after the other: 1024 + 72 + 768 bytes."""
        return self.gray.tobytes() + self.difference.tobytes() + self.color.tobytes()


LOOK_SHAPES = (GREY_SHAPE, DIFFERENCE_SHAPE, (*COLOR_SHAPE, 3))
LOOK_BYTES = sum(int(np.prod(shape)) for shape in LOOK_SHAPES)


def small_look(pixels: NDArray[Any]) -> SmallLook:
    """The one small look that fingerprints are made of, of pixels as `decode` gives them.

    Means over areas (a box filter); grey is the luminance of ITU-R BT.601, `difference` the same at 9 × 8 pixels. Frames of more
    than 8 bits are windowed first, by their least and greatest value but for the outermost 0.5% at each end: one broken pixel
    would leave all others alike.
    """
    if pixels.ndim == 3:
        image = Image.fromarray(pixels)
        gray = image.convert("L")
        return SmallLook(_small(gray, *GREY_SHAPE), _small(gray, *DIFFERENCE_SHAPE), _small(image, *COLOR_SHAPE))
    image = Image.fromarray(pixels if pixels.dtype == np.uint8 else _stretched(pixels))
    color = np.repeat(_small(image, *COLOR_SHAPE)[..., None], 3, axis=2)
    return SmallLook(_small(image, *GREY_SHAPE), _small(image, *DIFFERENCE_SHAPE), color)


def looks_from_bytes(looks: list[bytes]) -> tuple[UInt8, UInt8, UInt8]:
    """What `SmallLook.to_bytes` wrote, of n looks: uint8 [n, 32, 32], [n, 8, 9] and [n, 16, 16, 3]."""
    wrong = next((len(look) for look in looks if len(look) != LOOK_BYTES), None)
    if wrong is not None:
        raise DataError(f"A small look has {wrong} bytes instead of {LOOK_BYTES}; run ingest again.")
    flat = np.frombuffer(b"".join(looks), np.uint8).reshape(len(looks), LOOK_BYTES)
    ends = np.cumsum([int(np.prod(shape)) for shape in LOOK_SHAPES])
    gray, difference, color = (
        np.ascontiguousarray(part).reshape(len(looks), *shape)
        for part, shape in zip(np.split(flat, ends[:-1], axis=1), LOOK_SHAPES, strict=True)
    )
    return gray, difference, color


def describe(frame: NDArray[Any]) -> dict[str, int | float]:
    """Of a frame of one channel: `lowest`, `highest` and `mean` value, and how many `distinct` ones; as JSON has them."""
    if frame.dtype in (np.uint8, np.uint16):
        counts = np.bincount(frame.ravel())
        present = np.flatnonzero(counts)
        lowest: int | float = int(present[0])
        highest: int | float = int(present[-1])
        distinct = len(present)
    else:
        ordered = np.sort(frame, axis=None)
        lowest, highest = float(ordered[0]), float(ordered[-1])
        distinct = 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
    return {"lowest": lowest, "highest": highest, "distinct": distinct, "mean": float(frame.mean(dtype=np.float64))}


def _decode(data: bytes, at_least: int | None, frame: int) -> NDArray[Any]:
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise Refused("is not decoded while PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set", "set it back to False")
    format_ = format_of(data)
    facts = limited_facts(format_, data, frame, MOST_PIXELS)
    _check(facts, frame)
    content = format_.whole(data, frame)
    if format_.name == "PPM":
        return _upright(netpbm.decoded(content), facts.orientation)
    with _refusing():
        pixels = _pixels(_loaded(READERS[format_.name], content, facts, at_least, frame), facts.wraps)
    if facts.header.kind == "color" and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    elif facts.header.kind == "single" and pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[..., 0])  # a palette of greys
    return _upright(pixels, facts.orientation)


def _check(facts: Facts, frame: int) -> None:
    header = facts.header
    if not 0 <= frame < header.frames:
        told = f"has {header.frames} page{'' if header.frames == 1 else 's'}, and page {frame} is asked for, counted from 0"
        raise Refused(told, "choose another frame")
    if header.format in ("PNG", "PPM") and header.bits == 16 and header.channels > 1:
        told = "a transparent colour or alpha beside 16 bits" if header.kind == "single" else "colours of 16 bits"
        raise Refused(f"has {told}, of which only 8 would be kept", "save it with 8 bits per channel")


@contextmanager
def _refusing() -> Iterator[None]:
    """Refused for whatever a decoder stumbles over."""
    try:
        yield
    except (Refused, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # nobody's but this process's: ours is checked before
        told = f"has more pixels than PIL.Image.MAX_IMAGE_PIXELS = {Image.MAX_IMAGE_PIXELS}, which something here has set"
        raise Refused(told, "set it higher, or leave it alone") from None
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, ValueError, struct.error, AssertionError…
        told = " ".join(str(error).replace(";", ",").split()).rstrip(".")  # part of one sentence
        remedy = OTHER_VALUES if told == UNKNOWN_VALUES else AGAIN
        raise Refused(f"cannot be decoded ({told or type(error).__name__})", remedy) from error


def _loaded(reader: type[ImageFile.ImageFile], content: bytes, facts: Facts, at_least: int | None, frame: int) -> Image.Image:
    image = reader(BytesIO(content))
    if image.size != (facts.header.width, facts.header.height):  # the limits were checked on the header's
        raise Damaged(f"its size is {facts.header.width}×{facts.header.height} and {image.width}×{image.height}")
    if isinstance(image, JpegImagePlugin.JpegImageFile) and at_least is not None:
        image.draft(None, _draft_size(image.width, image.height, at_least))
    if facts.header.format in ("GIF", "WEBP"):
        image.seek(frame)
    image.load()
    return image


def _draft_size(width: int, height: int, at_least: int) -> tuple[int, int]:
    """What Pillow must be asked for, so that it decodes at the smallest scale with enough pixels."""
    for scale in DRAFT_SCALES:
        if -(-min(width, height) // scale) >= at_least:
            return max(1, width // scale), max(1, height // scale)
    return width, height


def _pixels(image: Image.Image, wraps: bool = False) -> NDArray[Any]:
    """Of a loaded image of any mode: uint8 [H, W, 3], or [H, W] of one channel; orientation is left as it is."""
    mode = image.mode
    if mode.startswith("I;16"):
        if "transparency" in image.info:
            raise Refused("has a transparent value beside 16 bits", "save it without transparency")
        stored = np.asarray(image)
        return stored.astype(np.uint16, copy=False)
    match mode:
        case "1":
            return np.asarray(image.convert("L"))
        case "I":
            return _exact(np.asarray(image), wraps)
        case "F":
            return _finite(np.asarray(image))
        case "L" if "transparency" not in image.info:
            return np.asarray(image)
        case "RGB" if "transparency" not in image.info:
            return np.asarray(image)
        case "L" | "LA" | "La":
            return _on_white(image.convert("LA"), "L")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"), "RGB")
    return np.asarray(image.convert("RGB"))


def _on_white(image: Image.Image, mode: str) -> UInt8:
    """An image with alpha, composited on white."""
    paper = Image.new(mode, image.size, "white")
    paper.paste(image.convert(mode), mask=image.getchannel("A"))
    return np.asarray(paper)


def _exact(values: NDArray[Any], wraps: bool) -> NDArray[np.float32]:
    """32-bit integers as float32, where that changes none."""
    floats = values.astype(np.float32)
    if wraps and values.min() < 0:
        raise Refused("has integers of 2147483648 and more", "save them as float32")
    lost = int(np.count_nonzero(floats.astype(np.int64) != values))
    if lost:
        raise Refused(f"has {lost} integers that float32 cannot hold exactly", "save it with 16 bits, or as float32")
    return floats


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    wrong = values.size - int(np.count_nonzero(np.isfinite(values)))
    if wrong:
        raise Refused(f"has {wrong} values that are not finite numbers", "fill them in, or leave the frame out")
    return values


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """As EXIF's orientation says it is to be shown."""
    if orientation == 1:
        return pixels
    turned = {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[:, ::-1],
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: pixels.swapaxes(0, 1)[::-1],
    }[orientation]
    return np.ascontiguousarray(turned)


def _from_image(image: Image.Image) -> NDArray[Any]:
    if not all(image.size):
        raise Refused(f"has {image.width}×{image.height} pixels", "leave it out")
    with _refusing():  # an image may be opened and not read yet
        image.load()
        exif = image.info.get("exif", b"") if image.format != "TIFF" else b""  # Pillow itself turns a TIFF upright
        return _upright(_pixels(image), exif_orientation(exif))


def _from_array(array: NDArray[Any]) -> NDArray[Any]:
    if not isinstance(array, np.ndarray):
        raise Refused(f"is a {type(array).__name__}", "give a numpy array or a PIL image")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        told = f"has the shape {list(array.shape)}"
        raise Refused(told, "give [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]")
    array = array * np.uint8(255) if array.dtype == np.bool_ else array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise Refused(f"has values of type {array.dtype}", "give uint8, uint16, float32, float64 or bool")
    if array.ndim == 3:
        return _color(array)
    if array.dtype == np.float64:
        return _single_precision(_finite(array))
    return np.ascontiguousarray(_finite(array) if array.dtype == np.float32 else array)


def _color(array: NDArray[Any]) -> UInt8:
    if array.dtype == np.uint16:
        raise Refused("has colours of 16 bits", EIGHT_BITS)
    if array.dtype != np.uint8:
        _finite(array)
        if array.min() < 0 or array.max() > 1:
            told = f"has colours from {array.min():g} to {array.max():g}, but floats are taken from 0 to 1"
            raise Refused(told, f"divide them, or {EIGHT_BITS}")
        array = np.round(array * 255).astype(np.uint8)
    array = np.ascontiguousarray(array)
    return _on_white(Image.fromarray(array), "RGB") if array.shape[2] == 4 else array


def _single_precision(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(array.astype(np.float32))
    if not np.isfinite(floats).all():
        raise Refused("has values beyond the range of float32", "scale them down")
    if not keeps_enough(array, floats):
        raise Refused("has values that float32 cannot tell apart", "take an offset from them")
    return floats


def _small(image: Image.Image, height: int, width: int) -> UInt8:
    """[height, width] or [height, width, 3], rounded."""
    small = np.asarray(image.resize((width, height), Image.Resampling.BOX))
    return small if small.dtype == np.uint8 else np.clip(np.round(small), 0, 255).astype(np.uint8)


def _stretched(frame: NDArray[Any]) -> NDArray[np.float32]:
    """A frame with nearly its least value as 0 and nearly its greatest as 255, what lies outside cut; a constant one is 127.5."""
    last = frame.size - 1
    places = math.ceil(OUTLIERS * last), math.floor((1 - OUTLIERS) * last)
    low, high = (float(value) for value in np.partition(frame, places, axis=None)[list(places)])
    if not low < high:  # few values, or nearly all alike
        low, high = float(frame.min()), float(frame.max())
    if low == high:
        return np.full(frame.shape, 127.5, np.float32)
    scaled = (frame.astype(np.float64) - low) * (255 / (high - low))
    return scaled.clip(0, 255).astype(np.float32)
