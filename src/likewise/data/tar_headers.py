"""The headers of tar archives: V7, ustar, pax (POSIX.1-2017, "pax", Extended Description) and GNU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

BLOCK = 512  # bytes: everything in a tar archive starts at a multiple of it
LARGEST_OCTAL = 8 << 30  # bytes: from here on a pax header tells the size, since the header's digits cannot

REGULAR, HARD_LINK, FOLDER, SPARSE, VOLUME = (b"0", b"\0"), b"1", b"5", b"S", b"V"
PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK = (b"x", b"X"), b"g", b"L", b"K"
FOLDERS = (FOLDER, b"D")  # D: GNU's, with a list of names as its data
WITHOUT_DATA = (HARD_LINK, b"2", b"3", b"4", FOLDER, b"6", VOLUME)
SPARSE_KEYS = ("GNU.sparse.", "SCHILY.realsize", "SUN.holesdata")


class Damaged(Exception):
    """Headers that do not tell where the next one stands, or tell it in two ways."""


class Header(NamedTuple):
    """What one header says."""

    name: bytes
    kind: bytes
    size: int


class Entry(NamedTuple):
    """A member as its headers tell it: stored name, kind (one byte), bytes of data that follow."""

    name: bytes
    kind: bytes
    size: int
    two_names: bool


def parsed(block: bytes) -> Header:
    """One header; Damaged if it is damaged."""
    summed = block[:148] + b" " * 8 + block[156:]  # the checksum's own field counts as blanks
    checksum = _number(block[148:156])
    if checksum != sum(summed) and checksum != sum(summed) - 256 * sum(byte > 127 for byte in summed):  # old writers: signed
        raise Damaged("the checksum of a header is wrong")
    name = _until_zeros(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _until_zeros(block[345:500])):  # in GNU's headers other things stand there
        name = prefix + b"/" + name
    return Header(name, block[156:157], _number(block[124:136]))


def _until_zeros(field: bytes) -> bytes:
    """A text without the zeros that fill up its field; others stay, and are refused with the name."""
    return field.rstrip(b"\0")


def _number(field: bytes) -> int:
    """Octal digits amid blanks and zeros, or GNU's binary form; Damaged for any other."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if re.fullmatch(rb"[0-7]*", digits) is None:
        raise Damaged(f"a header has {field!r} where a number belongs")
    return int(digits or b"0", 8)


def padded(size: int) -> int:
    """Bytes up to the next block, of so many."""
    return -(-size // BLOCK) * BLOCK


def pax_records(body: bytes) -> dict[str, bytes]:
    """`length key=value` lines, the length that of the whole line; Damaged where one is not so."""
    records: dict[str, bytes] = {}
    place = 0
    while place < len(body):
        start = re.compile(rb"([1-9][0-9]{0,6}) ([^=\n]+)=").match(body, place)
        end = place + int(start[1]) if start else 0
        if start is None or not start.end() < end <= len(body) or body[end - 1 : end] != b"\n":
            raise Damaged("an extended header is damaged")
        tell(records, start[2].decode("utf-8", "backslashreplace"), body[start.end() : end - 1])
        place = end
    return records


def tell(told: dict[str, bytes], key: str, value: bytes) -> None:
    """Note what a header tells; Damaged if it tells two things of what decides name and size."""
    if of_one_member(key) and told.get(key, value) != value:
        raise Damaged(f'the extended headers of a member tell "{key}" twice, differently')
    told[key] = value


def of_one_member(key: str) -> bool:
    """Whether a key of an extended header decides a member's name, size or form, so that it can stand for one member only."""
    return key in ("path", "size", "linkpath", "long name") or key.startswith(SPARSE_KEYS)


def entry_of(header: Header, told: Mapping[str, bytes]) -> Entry:
    """A header, and what its extended headers change; Damaged if they contradict one another on the size."""
    size, kind = header.size, header.kind
    if "size" in told:
        if re.fullmatch(rb"[0-9]{1,19}", told["size"]) is None:
            raise Damaged(f"an extended header has {told['size'][:40]!r} where the size belongs")
        size = int(told["size"])
        if size != header.size and size < LARGEST_OCTAL:
            raise Damaged(f"a member has {header.size} bytes by its header, and {size} by its extended header")
    names = [told[key] for key in ("path", "long name") if key in told]
    name = names[0] if names else header.name
    if kind in REGULAR and name.endswith(b"/"):  # how V7 wrote folders
        kind = FOLDER
    if size and kind in WITHOUT_DATA:
        raise Damaged(f'"{shown_name(name)}" holds no data, but has {size} bytes by its header')
    if any(key.startswith(SPARSE_KEYS) for key in told):
        kind = SPARSE
    return Entry(name, kind, size, len(set(names)) > 1)


def shown_name(name: bytes) -> str:
    """A name as messages show it: on one line, not too long."""
    text = name.decode("utf-8", "backslashreplace")
    text = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text[:100])
    return text if len(text) <= 80 else f"{text[:80]}…"
