"""A finished run that recognises: which new pictures are near-duplicates of those that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from likewise.data.near_hashes.checks import check
from likewise.data.near_hashes.index import HashIndex
from likewise.errors import UserError
from likewise.publishing.finished import FinishedRun

if TYPE_CHECKING:
    from likewise.artifacts.artifact import Artifact
    from likewise.data.new_pictures import Pictures
    from likewise.data.perceptual import UInt64
    from likewise.types import Int64

HASHES = "hashes.npy"
MOST = 20  # near-duplicates of one picture that are told


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A known picture: its id, in how many of 64 bits its hash differs, and whether its file is the same to the byte."""

    id: str
    bits: int
    same_file: bool


@dataclass(frozen=True, slots=True)
class Recognized:
    """A new picture and its nearest near-duplicates, `count` in all; of equally near ones the one that was known first."""

    id: str
    near: tuple[NearDuplicate, ...]
    count: int


class DuplicateFinder:
    """The hashes of a finished run's pictures, and of those added since: each new picture is compared with all of them.

    A million are compared in less than a millisecond. Not for several threads at once.
    """

    def __init__(self, folder: Path | str, bits: int | None = None) -> None:
        """`bits`: how many of the 64 of two hashes may differ, 0 to 16; by default as in the run's recipe.

        UserError where the folder is no run, or one that has fingerprinted no pictures; DataError for other bits.
        """
        self._run = FinishedRun(Path(folder))
        self._looks = self._fingerprint()
        options = self._run.options["fingerprint"]
        self._image_hash = options["image_hash"]
        self._frame = self._run.options["ingest"].get("frame", 0)
        self.bits: int = options["image_bits"] if bits is None else bits
        check(np.empty(0, np.uint64), self.bits)
        self._added: list[_Known] = []

    def __len__(self) -> int:
        """How many pictures are known."""
        return len(self._index)

    def find(self, items: Sequence[Any], *, ids: Sequence[str] | None = None, most: int = MOST) -> list[Recognized]:
        """The near-duplicates of each new picture, at most `most`, among the known ones and among the items before it.

        Items are paths, encoded bytes, arrays ([H, W] or [H, W, 3]), PIL images or `ImageRef`s; `ids` are what they are called:
        by default their paths, or their numbers. DataError for what cannot be read.
        """
        new = self._looked_at(items, ids)
        before = HashIndex()
        found = []
        for hashed, own in zip(new.hashes, new.known, strict=True):
            near, also = self._index.near(hashed, self.bits), before.near(hashed, self.bits)
            others = [*self._known(near.row[:most]), *(new.known[row] for row in also.row[:most].tolist())]
            bits = [*near.distance[:most].tolist(), *also.distance[:most].tolist()]
            nearest = sorted(map(_near, repeat(own), others, bits), key=lambda one: one.bits)  # stable: what was known first
            found.append(Recognized(own.id, tuple(nearest[:most]), len(near.row) + len(also.row)))
            before.add(np.array([hashed]))
        return found

    def add(self, items: Sequence[Any], *, ids: Sequence[str] | None = None) -> None:
        """Know these pictures, too, as long as this object lives; the run stays as it is. Items and `ids` as for `find`."""
        new = self._looked_at(items, ids)
        self._index.add(new.hashes)
        self._added += new.known

    def read(self, paths: Sequence[Path]) -> Pictures:
        """The pictures that files and folders hold, and what cannot be read; see `read_pictures`."""
        from likewise.data.new_pictures import read_pictures

        return read_pictures(paths, self._frame)

    @cached_property
    def _index(self) -> HashIndex:
        index = HashIndex()
        index.add(self._looks.array(HASHES).astype(np.uint64, copy=False))
        return index

    def _fingerprint(self) -> Artifact:
        artifact = self._run.find("fingerprint")
        if artifact is not None and artifact.has(HASHES):
            self._run.check_current(artifact, self._run.items)
            return artifact
        if self._run.items.json("counts.json").get("scope") == "shard" or self._run.corpus.kind != "image":
            raise UserError(f"{self._run.folder} is not a run on pictures; name one.")
        raise UserError(
            f"{self._run.folder} has no hashes of its pictures: add [fingerprint] to its recipe and run it (likewise run "
            f"{self._run.folder / 'recipe.toml'} --folder {self._run.folder})."
        )

    def _known(self, rows: Int64) -> list[_Known]:
        """The known pictures of these numbers."""
        corpus = self._run.corpus
        own = rows[rows < len(corpus)]
        keys = {row: ref.key for row, ref in zip(own.tolist(), corpus.payload(own), strict=True)}
        return [_Known(corpus.ids[row], keys[row]) if row in keys else self._added[row - len(corpus)] for row in rows.tolist()]

    def _looked_at(self, items: Sequence[Any], ids: Sequence[str] | None) -> _New:
        from likewise.data.image_looks import picture_hashes
        from likewise.data.new_pictures import look_of, names_of

        names = names_of(items, ids)
        looked = [look_of(item, name, self._frame) for item, name in zip(items, names, strict=True)]
        known = [_Known(name, digest) for name, (_, digest) in zip(names, looked, strict=True)]
        return _New(picture_hashes([look for look, _ in looked], self._image_hash), known)


class _Known(NamedTuple):
    """A picture: its id, and the digest of its file (None of an array)."""

    id: str
    digest: bytes | None


class _New(NamedTuple):
    """New pictures and their hashes."""

    hashes: UInt64
    known: list[_Known]


def _near(new: _Known, other: _Known, bits: int) -> NearDuplicate:
    return NearDuplicate(other.id, bits, new.digest is not None and new.digest == other.digest)
