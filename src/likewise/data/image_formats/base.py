"""What the image formats share: the facts that a header tells, the refusal of a file, and the EXIF orientation.

Each format has a module with two functions. `read(data, frame) -> Facts` takes only the header (and of several pages their
number). `whole(data, frame) -> bytes` follows the file's structure to its last byte, which refuses a cut file wherever it was
cut, and gives the file as a decoder may have it: one page where that can be, without what does not describe pixels. So no
decoder ever sees a colour profile, a text, a comment or a thumbnail.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal, NamedTuple

from likewise.errors import DataError

Kind = Literal["color", "single"]

MOST_FRAMES = 1000
AGAIN = "copy or download it again, or leave it out"
ORIENTATION = 0x0112  # EXIF's and TIFF's tag


class Refused(Exception):
    """An image that is not read; the reason follows the file's name in a sentence, and the remedy follows the reason."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy

    def named(self, name: str) -> DataError:
        """The error for the user."""
        return DataError(f"{name} {self.reason}; {self.remedy}.")


class Truncated(Refused):
    """A file that ends before its content does."""

    def __init__(self) -> None:
        super().__init__("is cut off: it ends before its picture does", AGAIN)


class Damaged(Refused):
    """A file that contradicts its own format; `what` completes "is damaged:"."""

    def __init__(self, what: str) -> None:
        super().__init__(f"is damaged: {what}", AGAIN)


@dataclass(frozen=True, slots=True)
class Header:
    """What an encoded image says of itself.

    `width` and `height` are in pixels as stored, before any EXIF orientation. `channels` are those of a pixel with its alpha (a
    palette counts as 3 colours, or 4 with transparency) and `bits` are those of one channel as stored. `frames` counts pages.
    `kind` says what decoding gives: "color" [H, W, 3], or "single" [H, W]. `radiometric` tells a thermal camera's JPEG, which
    holds measured temperatures beside the picture that it shows; what it shows is read.
    """

    format: str
    width: int
    height: int
    channels: int
    bits: int
    frames: int
    kind: Kind
    radiometric: bool = False


class Facts(NamedTuple):
    """A header; the EXIF orientation (1 to 8); the pixels of the largest page, and of all pages.

    `wraps` warns that a decoder gives values of 2³¹ and more as negative ones.
    """

    header: Header
    orientation: int
    largest: int
    total: int
    wraps: bool = False


def facts(header: Header, orientation: int = 1) -> Facts:
    """Of a format whose pages are all of one size."""
    pixels = header.width * header.height
    return Facts(header, orientation, pixels, pixels * header.frames)


def exif_orientation(exif: bytes) -> int:
    """1 to 8, as an EXIF block says in its first directory; 1 where it says nothing that can be understood."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, directory)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", exif, directory + 2 + 12 * entry)
            if tag == ORIENTATION:
                return value if kind == 3 and count == 1 and 1 <= value <= 8 else 1
    except struct.error:  # points beyond its end
        return 1
    return 1
