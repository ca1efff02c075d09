"""What an encoded image says of itself, read from its header before anything is decoded; and what is not read at all.

The format is told by content, never by a file's name: JPEG, PNG, TIFF, WEBP, BMP, GIF, and binary PBM, PGM and PPM. No other
format is handed to any decoder, so nothing here runs a program or follows a link (as EPS, PDF and SVG would have it).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from likewise.data.image_formats import bmp, gif, jpeg, netpbm, png, tiff, webp
from likewise.data.image_formats.base import MOST_FRAMES, Facts, Header, Refused

__all__ = ["MOST_FRAMES", "MOST_PIXELS", "Format", "Header", "format_of", "header", "limited_facts"]

MOST_PIXELS = 64 << 20  # 67 million: 8192 × 8192
# A photograph has a few pixels per byte, a blank PNG a thousand, a bomb far more. Small ones do no harm.
MOST_PIXELS_PER_BYTE = 5000
HARMLESS_PIXELS = 4 << 20


@dataclass(frozen=True, slots=True)
class Format:
    """One format: `matches` tells it by the first bytes; `read` and `whole` are as in `image_formats.base`."""

    name: str
    matches: Callable[[bytes], bool]
    read: Callable[[bytes, int], Facts]
    whole: Callable[[bytes, int], bytes]


FORMATS = (
    Format("JPEG", lambda data: data.startswith(jpeg.MAGIC), jpeg.read, jpeg.whole),
    Format("PNG", lambda data: data.startswith(png.MAGIC), png.read, png.whole),
    Format("TIFF", lambda data: data.startswith(tiff.MAGIC), tiff.read, tiff.whole),
    Format("WEBP", webp.matches, webp.read, webp.whole),
    Format("BMP", lambda data: data.startswith(bmp.MAGIC), bmp.read, bmp.whole),
    Format("GIF", lambda data: data.startswith(gif.MAGIC), gif.read, gif.whole),
    Format("PPM", lambda data: data.startswith(netpbm.MAGIC + netpbm.PLAIN), netpbm.read, netpbm.whole),
)
READABLE = "JPEG, PNG, TIFF, WEBP, BMP, GIF, PGM or PPM"
# What people have instead, by its first bytes.
OTHERS = {
    b"%!PS": "PostScript (EPS)",
    b"\xc5\xd0\xd3\xc6": "PostScript (EPS)",
    b"%PDF": "a PDF",
    b"8BPS": "a Photoshop file",
    b"\0\0\1\0": "an icon",
    b"<svg": "an SVG drawing",
    b"<?xml": "XML",
    b"<!DOC": "a web page",
    b"<html": "a web page",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "gzip-compressed",
}


def header(data: bytes, name: str, *, most_pixels: int = MOST_PIXELS) -> Header:
    """The facts of an encoded image; only its header is read, and of several pages how many there are.

    DataError, which names `name`, reason and remedy, for what is not an image of a readable format, is damaged where this is
    told, has no pixels, more than `most_pixels` on a page, more than MOST_FRAMES pages, or so many pixels for its bytes that
    it can only be a decompression bomb.
    """
    try:
        return limited_facts(format_of(data), data, 0, most_pixels).header
    except Refused as refused:
        raise refused.named(name) from None


def format_of(data: bytes) -> Format:
    """By its first bytes; Refused for any other."""
    for format_ in FORMATS:
        if format_.matches(data):
            return format_
    raise Refused(_other(data), f"save it as {READABLE}, or leave it out")


def limited_facts(format_: Format, data: bytes, frame: int, most_pixels: int) -> Facts:
    """What the header says of a page; Refused where that is beyond the limits."""
    found = format_.read(data, frame)
    width, height, frames = found.header.width, found.header.height, found.header.frames
    if not width or not height:
        raise Refused(f"has {width}×{height} pixels", "leave it out")
    if frames > MOST_FRAMES:
        raise Refused(f"has more than {MOST_FRAMES} pages", "cut it into files of fewer")
    if found.largest > most_pixels:
        raise Refused(f"has {width}×{height} pixels, over the {most_pixels} that are decoded at most", "scale it down")
    if found.total > max(HARMLESS_PIXELS, MOST_PIXELS_PER_BYTE * len(data)):
        told = f"claims {found.total} pixels in {len(data)} bytes, as only decompression bombs do"
        raise Refused(told, "leave it out, or save it with less compression")
    return found


def _other(data: bytes) -> str:
    """How a sentence about something else goes on."""
    if not data:
        return "is empty"
    if data[4:8] == b"ftyp":
        return "is HEIC, AVIF or a film, which is not read as an image"
    start = data[:64].lstrip()[:16]
    for magic, told in OTHERS.items():
        if data.startswith(magic) or start.lower().startswith(magic.lower()):
            return f"is {told}, which is not read as an image"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:64]):
        return "is text, not an image"
    return "is not an image of a format that is read"
