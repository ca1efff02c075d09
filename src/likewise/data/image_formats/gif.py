"""GIF: blocks of sub-blocks of at most 255 bytes (the 89a specification)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

from likewise.data.image_formats.base import MOST_FRAMES, Damaged, Facts, Header, Refused, Truncated, facts

MAGIC = (b"GIF87a", b"GIF89a")


def read(data: bytes, frame: int) -> Facts:
    """Size and number of frames."""
    if len(data) < 13:
        raise Truncated
    width, height = struct.unpack_from("<HH", data, 6)
    frames = 0
    try:
        for left, top, wide, high in islice(_frames(data), MOST_FRAMES + 1):
            if left + wide > width or top + high > height:
                raise Refused("has a frame that is larger than the picture", "save it anew as GIF or PNG")
            frames += 1
    except Truncated:  # the header's facts are known
        frames = max(frames, 1)
    if not frames:
        raise Damaged("it has no frame")
    return facts(Header("GIF", width, height, 3, 8, frames, "color"))


def whole(data: bytes, frame: int) -> bytes:
    """All of it: a frame builds on those before it."""
    for _ in _frames(data):
        pass
    return data


def _frames(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(left, top, width, height) of each, up to the trailer."""
    at = 13 + _colors(data, 10)
    while True:
        match _byte(data, at):
            case 0x3B:  # trailer
                return
            case 0x21:  # extension
                at = _after(data, at + 2)
            case 0x2C:  # image
                if at + 10 > len(data):
                    raise Truncated
                place = struct.unpack_from("<HHHH", data, at + 1)
                at = _after(data, at + 11 + _colors(data, at + 9))
                yield place
            case other:
                raise Damaged(f"there is no GIF block {other:#04x}")


def _colors(data: bytes, at: int) -> int:
    """The bytes of the colour table that the flags at a position announce."""
    flags = _byte(data, at)
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after(data: bytes, at: int) -> int:
    """What follows the sub-blocks at a position."""
    while size := _byte(data, at):
        at += 1 + size
    return at + 1


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise Truncated
    return data[at]
