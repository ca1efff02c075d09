"""BMP: a header, a palette, and rows as they are (Microsoft's BITMAPINFOHEADER and its kin)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from likewise.data.image_formats.base import Damaged, Facts, Header, Kind, Refused, Truncated, facts

MAGIC = b"BM"
CORE = 12  # bytes of the oldest header, whose fields are shorter
HEADERS = (CORE, 40, 52, 56, 64, 108, 124)
PLAIN, MASKS = 0, 3
GREYS = 8  # bits: a palette


class Layout(NamedTuple):
    """What the header says: bits of a pixel, where the rows begin and where the file must not end before."""

    width: int
    height: int
    bits: int
    alpha: bool
    grey: bool
    stop: int


def read(data: bytes, frame: int) -> Facts:
    """Size and depth; one whose palette holds only greys is of a single channel."""
    layout = _layout(data)
    kind: Kind = "single" if layout.grey else "color"
    channels = 1 if layout.grey else 3 + layout.alpha
    return facts(Header("BMP", layout.width, layout.height, channels, min(layout.bits, 8), 1, kind))


def whole(data: bytes, frame: int) -> bytes:
    """All of it."""
    if _layout(data).stop > len(data):
        raise Truncated
    return data


def _layout(data: bytes) -> Layout:
    if len(data) < 26:
        raise Truncated
    offset, size = struct.unpack_from("<II", data, 10)
    if size not in HEADERS:
        raise Damaged(f"there is no BMP header of {size} bytes")
    if len(data) < 14 + size:
        raise Truncated
    if size == CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = colors = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<IiHHI", data, 18)
        (colors,) = struct.unpack_from("<I", data, 46)
    if compression not in (PLAIN, MASKS):
        raise Refused("is a compressed BMP, which is not read", "save it as PNG")
    if bits not in (1, 4, 8, 16, 24, 32):
        raise Damaged(f"there is no BMP of {bits} bits")
    height = abs(height)
    stop = offset + (width * bits + 31) // 32 * 4 * height
    return Layout(width, height, bits, _alpha(data, size, bits, compression), _grey(data, size, bits, colors), stop)


def _alpha(data: bytes, size: int, bits: int, compression: int) -> bool:
    return compression == MASKS and bits == 32 and size >= 56 and data[66:70] != bytes(4)


def _grey(data: bytes, size: int, bits: int, colors: int) -> bool:
    if bits > GREYS:
        return False
    colors, each = colors or 1 << bits, 3 if size == CORE else 4
    if colors > 1 << bits:
        raise Damaged(f"its palette has {colors} colours, more than {bits} bits can tell apart")
    palette = data[14 + size : 14 + size + colors * each]
    if len(palette) < colors * each:
        raise Truncated
    return palette[0::each] == palette[1::each] == palette[2::each]
