"""WEBP: chunks in a RIFF container whose length stands at its beginning (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from likewise.data.image_formats.base import Damaged, Facts, Header, Refused, Truncated, exif_orientation, facts

FIRST = (b"VP8 ", b"VP8L", b"VP8X")
ALPHA = 0x10  # of VP8X's flags


def matches(data: bytes) -> bool:
    """Whether it begins as a WEBP file."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read(data: bytes, frame: int) -> Facts:
    """Size, alpha, number of frames and orientation."""
    if len(data) < 30:
        raise Truncated
    width, height, alpha = _size(data)
    frames, orientation = 0, 1
    try:
        for name, start, stop in _chunks(data):
            frames += name == b"ANMF"
            if name == b"EXIF":
                orientation = exif_orientation(data[start:stop])
    except Refused:  # what follows the header is not looked at here
        pass
    return facts(Header("WEBP", width, height, 3 + alpha, 8, max(frames, 1), "color"), orientation)


def whole(data: bytes, frame: int) -> bytes:
    """All of the container."""
    for _ in _chunks(data):
        pass
    return data[: _length(data)]


def _size(data: bytes) -> tuple[int, int, bool]:
    """(width, height, whether with alpha), of the first chunk."""
    match data[12:16]:
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF, False
        case b"VP8L" if data[20] == 0x2F:
            (packed,) = struct.unpack_from("<I", data, 21)
            return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, bool(packed >> 28 & 1)
        case b"VP8X":
            width, height = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
            return width + 1, height + 1, bool(data[20] & ALPHA)
    raise Damaged("it does not begin with its header")


def _length(data: bytes) -> int:
    return 8 + int.from_bytes(data[4:8], "little")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, stop) of the contents of each chunk; a refusal where the file is cut."""
    length = _length(data)
    if length > len(data):
        raise Truncated
    at = 12
    while at < length:
        if at + 8 > length:
            raise Damaged("a chunk is cut")
        name, size = struct.unpack_from("<4sI", data, at)
        if at + 8 + size > length:
            raise Damaged("a chunk is longer than the file")
        yield name, at + 8, at + 8 + size
        at += 8 + size + (size & 1)
