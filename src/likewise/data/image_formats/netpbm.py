"""Binary PBM, PGM and PPM: a header in text, then rows as they are (netpbm's own manual pages). Decoded here, exactly.

Only the first picture of a file is read.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from likewise.data.image_formats.base import Damaged, Facts, Header, Kind, Refused, Truncated, facts

MAGIC = (b"P4", b"P5", b"P6")
PLAIN = (b"P1", b"P2", b"P3")
BITMAP, COLOR = b"P4", b"P6"
SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"  # blanks and comments
BITMAP_HEADER = re.compile(rb"P4" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})\s")
HEADER = re.compile(rb"P[56]" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})\s")


class Layout(NamedTuple):
    """What the header says, and where the rows begin; `highest` is the value that means white."""

    width: int
    height: int
    channels: int
    bits: int
    highest: int
    start: int

    @property
    def row(self) -> int:
        """Bytes of one row."""
        return (self.width * self.channels * self.bits + 7) // 8


def read(data: bytes, frame: int) -> Facts:
    """Size, channels and depth."""
    layout = _layout(data)
    kind: Kind = "single" if layout.channels == 1 else "color"
    return facts(Header("PPM", layout.width, layout.height, layout.channels, layout.bits, 1, kind))


def whole(data: bytes, frame: int) -> bytes:
    """The first picture."""
    layout = _layout(data)
    stop = layout.start + layout.row * layout.height
    if stop > len(data):
        raise Truncated
    return data[:stop]


def decoded(data: bytes) -> NDArray[Any]:
    """Of a whole file: uint8 [H, W] or [H, W, 3], of which 255 is white; or uint16 [H, W], values as stored."""
    layout = _layout(data)
    if layout.bits == 1:
        packed = np.frombuffer(data, np.uint8, offset=layout.start).reshape(layout.height, layout.row)
        white: NDArray[np.uint8] = np.unpackbits(packed, axis=1, count=layout.width) == 0
        return white * np.uint8(255)
    shape = (layout.height, layout.width) if layout.channels == 1 else (layout.height, layout.width, layout.channels)
    stored = np.frombuffer(data, np.uint8 if layout.bits == 8 else ">u2", offset=layout.start).reshape(shape)
    if stored.max() > layout.highest:
        raise Damaged(f"a value is above the {layout.highest} that its header calls the highest")
    if layout.bits == 16:
        return stored.astype(np.uint16)
    if layout.highest == 255:
        return stored
    shown = np.minimum(np.round(np.arange(256) * (255 / layout.highest)), 255).astype(np.uint8)
    scaled: NDArray[np.uint8] = shown[stored]
    return scaled


def _layout(data: bytes) -> Layout:
    if data.startswith(PLAIN):
        raise Refused("is a plain (text) PNM, which cannot be told from a cut one", "save it in binary form, or as PNG")
    bitmap = data.startswith(BITMAP)
    found = (BITMAP_HEADER if bitmap else HEADER).match(data)
    if found is None:
        raise Damaged("its header is not that of a PNM")
    width, height = int(found[1]), int(found[2])
    if bitmap:
        return Layout(width, height, 1, 1, 1, found.end())
    highest = int(found[3])
    if not 1 <= highest <= 65535:
        raise Damaged(f"its highest value is {highest}")
    return Layout(width, height, 3 if data.startswith(COLOR) else 1, 8 if highest <= 255 else 16, highest, found.end())
