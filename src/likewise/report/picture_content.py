"""What the page says of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from likewise.types import Float64


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture as a data URI, what it is called, and a word beside it."""

    name: str
    note: str
    uri: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """A picture and those whose vectors are nearest, nearest first."""

    query: Thumbnail
    nearest: Sequence[Thumbnail]


@dataclass(frozen=True, slots=True, eq=False)
class VectorQuality:
    """The quality of vectors, of a sample where there are many: `scores` [N], the lowest with what is wrong, and the drift."""

    scores: Float64
    lowest: Sequence[tuple[str, str, str]]
    below: int
    threshold: float
    drift: str


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """`sheet` is a sample of all, `alike` are some of `groups` groups of near-duplicates, `remarks` what people should know."""

    total: int
    sheet: Sequence[Thumbnail]
    groups: int
    alike: Sequence[Sequence[Thumbnail]]
    galleries: Sequence[Gallery]
    quality: VectorQuality | None
    remarks: Sequence[str]
