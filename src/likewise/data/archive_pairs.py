"""Pictures of an archive with their annotations: `b/0001_123.jpg` belongs to `b/0001_123.txt`, whichever comes first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from posixpath import splitext

from likewise.data.image_refs import PICTURES
from likewise.data.tar_members import Member
from likewise.errors import DataError
from likewise.types import Reject

TEXT = ".txt"
TEXT_BYTES = 1 << 20  # of an annotation, which has a few hundred
WAITING_BYTES = 512 << 20
ENTRY_BYTES = 500  # what a waiting member takes beside its name and data: Python's objects for it


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its annotation: what their names share, the picture's own name, its encoded bytes, and the text."""

    stem: str
    image_name: str
    image: bytes
    text: str


def paired(members: Iterable[Member | Reject], archive: str, *, waiting_bytes: int = WAITING_BYTES) -> Iterator[Pair | Reject]:
    """Each picture with its text as soon as both were met; rejects as they come; at the end those that remain alone, as rejects.

    Members may come in any order. What waits for its partner is held in memory up to `waiting_bytes`; DataError above, with the
    archive named. An annotation is UTF-8, with or without a byte order mark; one that is not makes its pair a reject.
    """
    waiting: dict[tuple[str, bool], Member] = {}  # by stem, and whether it is a picture
    held = 0
    for each in members:
        if isinstance(each, Reject):
            yield each
            continue
        stem, ending = splitext(each.name)
        ending = ending.lower()
        if ending not in (TEXT, *PICTURES):
            known = ", ".join((*PICTURES, TEXT))
            yield Reject(archive, None, f'"{each.name}" is neither picture nor annotation', f"use the endings {known}")
            continue
        is_picture = ending != TEXT
        partner = waiting.pop((stem, not is_picture), None)
        if partner is not None:
            held -= _size(partner)
            yield _pair(stem, *((each, partner) if is_picture else (partner, each)), archive)
        elif other := waiting.get((stem, is_picture)):
            yield Reject(archive, None, f'"{each.name}" has the stem of "{other.name}"', "give every picture a stem of its own")
        else:
            waiting[stem, is_picture] = each
            held += _size(each)
            if held > waiting_bytes:
                raise DataError(
                    f"{archive} has {len(waiting)} members that wait for their partner, above {waiting_bytes} bytes in all; "
                    "pack it again with each picture beside its .txt (tar --sort=name)."
                )
    for (stem, is_picture), alone in waiting.items():
        yield _alone(stem, is_picture, alone, archive)


def _size(member: Member) -> int:
    return len(member.data) + 2 * len(member.name) + ENTRY_BYTES


def _pair(stem: str, image: Member, annotation: Member, archive: str) -> Pair | Reject:
    if len(annotation.data) > TEXT_BYTES:
        reason = f'"{annotation.name}" has {len(annotation.data)} bytes, an annotation at most {TEXT_BYTES}'
        return Reject(archive, None, reason, "write one line of values")
    try:
        text = annotation.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Reject(archive, None, f'"{annotation.name}" is not UTF-8', "save it as UTF-8")
    return Pair(stem, image.name, image.data, text)


def _alone(stem: str, is_picture: bool, member: Member, archive: str) -> Reject:
    partner = f"annotation {stem}{TEXT}" if is_picture else f"picture {stem}.jpg (or another ending)"
    return Reject(archive, None, f'"{member.name}" has no {partner} beside it', "add it, or leave both out")
