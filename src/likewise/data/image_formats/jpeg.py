"""JPEG: a chain of marked segments, then scans of compressed data up to a mark of its end (ITU-T T.81, annex B).

Only the first picture of a file is read: what some cameras append behind it (MPO, previews, films) is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from likewise.data.image_formats.base import Damaged, Facts, Header, Kind, Refused, Truncated, exif_orientation, facts

MAGIC = b"\xff\xd8\xff"
END, SCAN = 0xD9, 0xDA
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # "start of frame", of any process
ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # marks without a segment
APP0, APP1, APP2, APP4, APP6, APP14, APP15, COMMENT = 0xE0, 0xE1, 0xE2, 0xE4, 0xE6, 0xEE, 0xEF, 0xFE
# Where the segments of thermal cameras' measurements say what they are (FLIR, Parrot; InfiRay; DJI): ExifTool, JPEG.pm.
RADIOMETRIC = {
    APP1: ((0, b"FLIR\0"), (0, b"PARROT\0")),
    APP2: ((4, b"IJPEG\0"),),
    APP4: ((0, b"\xaa\x55\x12\x06"),),
    APP6: ((0, b"DTAT\0\0"),),
}
# In compressed data 0xFF is followed by 0, by the number of a restart, or by itself as filling; anything else is a mark.
MARK = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


class Segment(NamedTuple):
    """A segment `data[start:stop]` from its mark to its end; its content begins at `start + 4`."""

    mark: int
    start: int
    stop: int


def read(data: bytes, frame: int) -> Facts:
    """Size, channels, orientation, and whether a thermal camera's measurements are aboard."""
    shape = None
    orientation, radiometric = 1, False
    for mark, start, stop in _segments(data):
        content = data[start + 4 : stop]
        if mark == APP1 and content.startswith(b"Exif\0\0"):
            orientation = exif_orientation(content)
        radiometric = radiometric or any(content.startswith(magic, at) for at, magic in RADIOMETRIC.get(mark, ()))
        if mark in FRAMES:
            shape = _shape(content)
    if shape is None:
        raise Damaged("it has no frame header")
    width, height, channels = shape
    kind: Kind = "single" if channels == 1 else "color"
    return facts(Header("JPEG", width, height, channels, 8, 1, kind, radiometric), orientation)


def whole(data: bytes, frame: int) -> bytes:
    """The first picture without its metadata; of the application segments those that tell its colours are kept."""
    parts: list[bytes | memoryview] = [data[:2]]
    scans = None
    for mark, start, stop in _segments(data):
        if mark == SCAN:
            scans = start
            break
        if mark in (APP0, APP14) or not (APP0 <= mark <= APP15 or mark == COMMENT):
            parts.append(data[start:stop])
    if scans is None:
        raise Damaged("it has no scan")
    parts.append(memoryview(data)[scans : _end(data, scans)])
    return b"".join(parts)


def _shape(content: bytes) -> tuple[int, int, int]:
    """(width, height, channels), of a frame header."""
    if len(content) < 6:
        raise Damaged("its frame header is too short")
    bits, channels = content[0], content[5]
    if bits != 8 or channels not in (1, 3, 4):
        raise Refused(f"has {channels} channels of {bits} bits, which is not read from JPEG", "save it as PNG or TIFF")
    return int.from_bytes(content[3:5], "big"), int.from_bytes(content[1:3], "big"), channels


def _segments(data: bytes) -> Iterator[Segment]:
    """Up to the first scan, whose header is the last one."""
    at = 2
    while True:
        segment = _segment(data, at)
        if segment.mark == END:
            raise Damaged("it ends before its first scan")
        yield segment
        if segment.mark == SCAN:
            return
        at = segment.stop


def _segment(data: bytes, at: int) -> Segment:
    """The next one at or after a position; bytes between segments are passed over, as decoders do."""
    while True:
        found = MARK.search(data, at)
        if found is None:
            raise Truncated
        start, mark = found.start(), data[found.start() + 1]
        if mark == END:
            return Segment(mark, start, start + 2)
        if mark not in ALONE:
            break
        at = start + 2
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    stop = start + 2 + length
    if start + 4 > len(data) or stop > len(data):
        raise Truncated
    if length < 2:
        raise Damaged("a segment is shorter than its own length")
    return Segment(mark, start, stop)


def _end(data: bytes, scans: int) -> int:
    """Where the picture ends whose first scan begins at a position."""
    at = scans
    while True:
        segment = _segment(data, at)
        if segment.mark == END:
            return segment.stop
        at = segment.stop
