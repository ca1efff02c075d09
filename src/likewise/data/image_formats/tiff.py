"""TIFF and BigTIFF: directories of tags, one per page, that point to strips or tiles anywhere in the file (TIFF 6.0).

A decoder gets one page whose directory holds only the tags that describe pixels: no other tag, however absurd, reaches it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from likewise.data.image_formats.base import MOST_FRAMES, ORIENTATION, Damaged, Facts, Header, Kind, Refused, Truncated

MAGIC = (b"II\x2a\x00", b"MM\x00\x2a", b"II\x2b\x00", b"MM\x00\x2b")

WIDTH, HEIGHT, BITS, COMPRESSION, MEANING = 256, 257, 258, 259, 262
STRIPS, SAMPLES, STRIP_ROWS, STRIP_BYTES, PLANES = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 322, 323, 324, 325
EXTRA, SAMPLE_FORMAT = 338, 339
ROLE, INNER = 254, 330  # what a page is to others, and pages within it
REDUCED = 1  # of ROLE's bits
# … and: bit order, fax options, predictor, palette, JPEG tables, and what YCbCr means.
PIXEL_TAGS = frozenset(
    {WIDTH, HEIGHT, BITS, COMPRESSION, MEANING, STRIPS, SAMPLES, STRIP_ROWS, STRIP_BYTES, PLANES}
    | {TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, EXTRA, SAMPLE_FORMAT}
    | {266, 292, 293, 317, 320, 347, 529, 530, 531, 532}
)
OTHER_TAGS = frozenset({ORIENTATION, ROLE, INNER})  # that are read here, and kept from decoders
REQUIRED = {WIDTH: "width", HEIGHT: "height", MEANING: "meaning of its values"}
INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}  # the types whose values are read here
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

WHITE_IS_ZERO, PALETTE = 0, 3
UNCOMPRESSED = 1
# Fax, LZW, JPEG, deflate, PackBits, LZMA and Zstandard, by their numbers.
COMPRESSIONS = {UNCOMPRESSED, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000}
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
SEPARATE = 2
MOST_SAMPLES = 6  # of a pixel, as Pillow reads them
MOST_TILE_PIXELS = 64 << 20
SAVE_8 = "save it with 8 bits per channel"


@dataclass(frozen=True)
class Page:
    """A directory: its entries as they stand in the file, and the integers that they mean, by tag."""

    entries: tuple[bytes, ...]
    values: Mapping[int, tuple[int, ...]]

    def one(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return self.values.get(tag, (default,))[0]

    @property
    def width(self) -> int:
        """In pixels."""
        return self.one(WIDTH, 0)

    @property
    def height(self) -> int:
        """In pixels."""
        return self.one(HEIGHT, 0)

    @property
    def samples(self) -> int:
        """Values of a pixel."""
        return self.one(SAMPLES, 1)

    @property
    def bits(self) -> int:
        """Of a value, at most."""
        return max(self.values.get(BITS, (1,)))

    @property
    def sample_format(self) -> int:
        """UNSIGNED, SIGNED or FLOAT."""
        return max(self.values.get(SAMPLE_FORMAT, (UNSIGNED,)))

    @property
    def single(self) -> bool:
        """Whether a pixel is one grey, with or without alpha."""
        return self.one(MEANING, WHITE_IS_ZERO) < 2

    @cached_property
    def pieces(self) -> tuple[tuple[int, ...], tuple[int, ...] | None, int, int]:
        """Offsets of the strips or tiles, their lengths where told, and the width and height of each."""
        if TILES in self.values and STRIPS in self.values:
            raise Damaged("it has both strips and tiles")
        if TILES in self.values:
            size = self.one(TILE_WIDTH, 0), self.one(TILE_HEIGHT, 0)
            return self.values[TILES], self.values.get(TILE_BYTES), *size
        if STRIPS not in self.values:
            raise Damaged("it does not say where its pixels are")
        rows = min(self.one(STRIP_ROWS, self.height), self.height)
        return self.values[STRIPS], self.values.get(STRIP_BYTES), self.width, rows


class Pages(NamedTuple):
    """The directories of a file, and how its numbers are written: "<" or ">", of BigTIFF or not."""

    pages: tuple[Page, ...]
    order: str
    big: bool


def read(data: bytes, frame: int) -> Facts:
    """Size and depth of a page, and the number of pages."""
    pages = _pages(data).pages
    page = pages[min(frame, len(pages) - 1)]
    missing = [told for tag, told in REQUIRED.items() if tag not in page.values]
    if missing:
        raise Damaged(f"it does not tell the {missing[0]}")
    palette = page.one(MEANING, WHITE_IS_ZERO) == PALETTE
    channels = page.samples + 2 * palette
    orientation = page.one(ORIENTATION, 1)
    kind: Kind = "single" if page.single else "color"
    sizes = [each.width * each.height for each in pages]
    return Facts(
        Header("TIFF", page.width, page.height, channels, page.bits, len(pages), kind),
        orientation if 1 <= orientation <= 8 else 1,
        max(sizes),
        sum(sizes),
        wraps=page.sample_format == UNSIGNED and page.bits == 32,
    )


def whole(data: bytes, frame: int) -> bytes:
    """One page of it; the strips or tiles of all pages must be there."""
    found = _pages(data)
    page = found.pages[frame]
    _refuse_inexact(page)
    for each in found.pages:
        _check_pieces(each, len(data))
    word, count = ("Q", "Q") if found.big else ("I", "H")
    pad = len(data) % 2  # directories begin at even positions
    head = data[: 8 if found.big else 4] + struct.pack(f"{found.order}{word}", len(data) + pad)
    directory = [struct.pack(f"{found.order}{count}", len(page.entries)), *page.entries, bytes(struct.calcsize(f"={word}"))]
    return b"".join([head, memoryview(data)[len(head) :], bytes(pad), *directory])


def _pages(data: bytes) -> Pages:
    """The first pages, one more than may be at most."""
    order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"\x2b\0", b"\0\x2b")
    at = _integer(data, 8, order, "Q") if big else _integer(data, 4, order, "I")
    pages: list[Page] = []
    seen: set[int] = set()
    while at and len(pages) <= MOST_FRAMES:
        if at in seen:
            raise Damaged("its pages go round in a circle")
        seen.add(at)
        page, at = _page(data, at, order, big)
        pages.append(page)
    if not pages:
        raise Damaged("it has no page")
    return Pages(tuple(pages), order, big)


def _page(data: bytes, at: int, order: str, big: bool) -> tuple[Page, int]:
    """The directory at a position, and where the next one is."""
    count, at = (_integer(data, at, order, "Q"), at + 8) if big else (_integer(data, at, order, "H"), at + 2)
    each, word, inline = (20, "Q", 8) if big else (12, "I", 4)
    stop = at + count * each
    if stop + inline > len(data):
        raise Truncated
    entries: list[bytes] = []
    values: dict[int, tuple[int, ...]] = {}
    for place in range(at, stop, each):
        tag, kind, number = struct.unpack_from(f"{order}HH{word}", data, place)
        if tag not in PIXEL_TAGS | OTHER_TAGS:
            continue
        if tag in values:
            raise Damaged(f"its tag {tag} stands twice")
        if kind not in TYPE_BYTES or not number:
            raise Damaged(f"its tag {tag} holds nothing that can be read")
        where, size = place + each - inline, number * TYPE_BYTES[kind]
        if size > inline:
            where = _integer(data, where, order, word)
        if where + size > len(data):
            raise Truncated
        values[tag] = struct.unpack_from(f"{order}{number}{INTEGERS[kind]}", data, where) if kind in INTEGERS else (0,)
        if tag in PIXEL_TAGS:
            entries.append(data[place : place + each])
    return Page(tuple(entries), values), _integer(data, stop, order, word)


def _integer(data: bytes, at: int, order: str, form: str) -> int:
    if at + struct.calcsize(f"={form}") > len(data):
        raise Truncated
    value: int = struct.unpack_from(f"{order}{form}", data, at)[0]
    return value


def _refuse_inexact(page: Page) -> None:
    """What Pillow would read as something else than it is, without a word."""
    bits, form = page.bits, page.sample_format
    compression = page.one(COMPRESSION, UNCOMPRESSED)
    if page.one(ROLE, 0) & REDUCED and INNER in page.values:
        raise Refused("is a camera's raw file, of which only a preview could be read", "develop it, and save it as TIFF or JPEG")
    if not 1 <= page.samples <= MOST_SAMPLES:
        raise Refused(f"has {page.samples} channels", "save the three or the one that are wanted")
    if compression not in COMPRESSIONS:
        raise Refused(f"is compressed in TIFF's way {compression}, which is not read", "save it with LZW or deflate")
    if bits > 8 and not page.single:
        raise Refused(f"has colours of {bits} bits, of which only 8 would be kept", SAVE_8)
    if bits > 8 and page.samples > 1:
        raise Refused(f"has {page.samples} channels of {bits} bits", "save the one that is wanted alone")
    if bits > 8 and page.one(MEANING, WHITE_IS_ZERO) == WHITE_IS_ZERO:
        raise Refused(f"has {bits} bits of which 0 is white", "save it with 0 as black")
    if form == SIGNED and bits == 8:
        raise Refused("has signed values of 8 bits", "save it with 16 bits")
    if form == FLOAT and bits != 32:
        raise Refused(f"has floats of {bits} bits", "save it as float32")


def _check_pieces(page: Page, length: int) -> None:
    """As many strips or tiles as the page needs, and each within the file."""
    offsets, sizes, width, height = page.pieces
    if not width or not height or width * height > max(MOST_TILE_PIXELS, page.width * page.height):
        raise Damaged(f"its strips or tiles are of {width}×{height} pixels")
    planes = page.samples if page.one(PLANES, 1) == SEPARATE else 1
    across, down = -(-page.width // width), -(-page.height // height)
    if len(offsets) != across * down * planes or (sizes is not None and len(sizes) != len(offsets)):
        raise Damaged(f"it has {len(offsets)} strips or tiles instead of {across * down * planes}")
    if page.one(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED:
        row = (width * _pixel_bits(page, planes) + 7) // 8
        tiled = TILES in page.values
        rows = [
            height if tiled or place % down < down - 1 else page.height - height * (down - 1) for place in range(len(offsets))
        ]
        sizes = tuple(row * number for number in rows)
    elif sizes is None:
        raise Damaged("it does not say how long its strips or tiles are")
    if any(offset + size > length for offset, size in zip(offsets, sizes, strict=True)):
        raise Truncated


def _pixel_bits(page: Page, planes: int) -> int:
    """Of a pixel in one plane."""
    bits = page.values.get(BITS, (1,))
    return max(bits) if planes > 1 else sum(bits) if len(bits) == page.samples else max(bits) * page.samples
