"""PNG: chunks with checksums (ISO/IEC 15948). Of an animated one (APNG) the default image is read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from likewise.data.image_formats.base import Damaged, Facts, Header, Kind, Refused, Truncated, exif_orientation, facts

MAGIC = b"\x89PNG\r\n\x1a\n"
# colour type: channels, kind, depths that the standard allows
TYPES: dict[int, tuple[int, Kind, tuple[int, ...]]] = {
    0: (1, "single", (1, 2, 4, 8, 16)),
    2: (3, "color", (8, 16)),
    3: (3, "color", (1, 2, 4, 8)),
    4: (2, "single", (8, 16)),
    6: (4, "color", (8, 16)),
}
KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


class Chunk(NamedTuple):
    """A chunk `data[start:stop]` with its length, name and checksum; its content begins at `start + 8`."""

    name: bytes
    start: int
    stop: int


def read(data: bytes, frame: int) -> Facts:
    """Size, depth, colours and orientation."""
    chunks = _chunks(data)
    first = next(chunks)
    if first.name != b"IHDR" or first.stop - first.start != 25:
        raise Damaged("it does not begin with its header")
    width, height, depth, color = struct.unpack_from(">IIBB", data, first.start + 8)
    if color not in TYPES or depth not in TYPES[color][2]:
        raise Damaged(f"there is no PNG of colour type {color} with {depth} bits")
    channels, kind, _ = TYPES[color]
    orientation, transparent = 1, False
    try:
        for name, start, stop in chunks:
            transparent = transparent or name == b"tRNS"
            if name == b"eXIf":
                orientation = exif_orientation(data[start + 8 : stop - 4])
    except Refused:  # what follows the header is not looked at here
        pass
    return facts(Header("PNG", width, height, channels + (transparent and channels in (1, 3)), depth, 1, kind), orientation)


def whole(data: bytes, frame: int) -> bytes:
    """The chunks that describe pixels, whose checksums are right."""
    view = memoryview(data)
    parts = [view[: len(MAGIC)]]
    header = read(data, frame).header
    if header.kind == "single" and header.channels == 2 and header.bits < 8:
        raise Refused(f"has a transparent grey of {header.bits} bits, which is not read", "save it without transparency")
    for name, start, stop in _chunks(data):
        if name not in KEPT:
            if name[:1].isupper():
                raise Refused(f'has a chunk "{name.decode("latin-1")}" that is not of the standard', "save it anew as PNG")
            continue
        if zlib.crc32(view[start + 4 : stop - 4]) != int.from_bytes(view[stop - 4 : stop], "big"):
            raise Damaged("a checksum is wrong")
        parts.append(view[start:stop])
    return b"".join(parts)


def _chunks(data: bytes) -> Iterator[Chunk]:
    """To the end mark; a refusal where the file is cut before it."""
    at = len(MAGIC)
    while True:
        if at + 12 > len(data):
            raise Truncated
        length, name = struct.unpack_from(">I4s", data, at)
        stop = at + 12 + length
        if stop > len(data):
            raise Truncated
        yield Chunk(name, at, stop)
        if name == b"IEND":
            return
        at = stop
