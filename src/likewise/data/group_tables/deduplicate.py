"""One row for each id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from likewise.data.group_tables.files import ID, copy_rows, digests_of, ids_of, schema_of, tables_at
from likewise.data.group_tables.words import EXAMPLES, counted, examples
from likewise.data.payloads import IMAGE
from likewise.errors import DataError


@dataclass(frozen=True, slots=True)
class Conflict:
    """An id that stands for two images: the table whose row was kept, and the one whose row was left out."""

    id: str
    kept: Path
    left_out: Path


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """Rows read and kept; rows left out since an earlier one has their id, with the same image (`repeated`) or with another."""

    rows: int
    kept: int
    repeated: int
    repeated_ids: tuple[str, ...]
    conflicts: tuple[Conflict, ...]

    def sentences(self) -> list[str]:
        """The report in words."""
        told = [f"{self.kept} of {counted(self.rows, 'row')} kept, one for each id."]
        if self.repeated:
            told.append(f"{counted(self.repeated, 'row')} left out as repeated: {examples(self.repeated_ids, self.repeated)}.")
        if self.conflicts:
            ids = examples([each.id for each in self.conflicts])
            told.append(f"{counted(len(self.conflicts), 'row')} left out whose id has another image in an earlier row: {ids}.")
        return told


def deduplicate(paths: Sequence[Path], target: Path, *, on_conflict: Literal["error", "first"] = "error") -> Deduplicated:
    """Write one row for each id, the first one met, to a new folder `target` with a table for each table read.

    Images are compared by their digests. Different images of one id are a DataError, or, with `on_conflict` "first", left out and
    listed. Two ids of one image are left alone: that is for fingerprints to find. Memory: some 300 bytes for each id.
    """
    tables = tables_at(paths)
    for path in tables:
        schema_of(path, required=(ID, IMAGE))
    ids = _FirstOfEachId(keep_first=on_conflict == "first")
    copy_rows(tables, target, ids.kept)
    kept = ids.rows - ids.repeated - len(ids.conflicts)
    return Deduplicated(ids.rows, kept, ids.repeated, tuple(ids.examples), tuple(ids.conflicts))


class _FirstOfEachId:
    """Which rows are the first of their ids; counts the others."""

    def __init__(self, *, keep_first: bool) -> None:
        """`keep_first`: an id with two images is no error."""
        self._keep_first = keep_first
        self._seen: dict[str, tuple[bytes, Path]] = {}
        self.rows = self.repeated = 0
        self.examples: list[str] = []
        self.conflicts: list[Conflict] = []

    def kept(self, part: pa.Table, path: Path, start: int) -> pa.Array[Any]:
        """Whether each row of a slice is to be kept."""
        self.rows += len(part)
        pairs = zip(ids_of(part, path, start), digests_of(part, path, start), strict=True)
        return pa.array(
            [self._is_first(name, digest, path, row) for row, (name, digest) in enumerate(pairs, start + 1)], pa.bool_()
        )

    def _is_first(self, name: str, digest: bytes, path: Path, row: int) -> bool:
        if name not in self._seen:
            self._seen[name] = digest, path
            return True
        known, first = self._seen[name]
        if known == digest:
            self.repeated += 1
            self.examples += [name] if len(self.examples) < EXAMPLES else []
        elif self._keep_first:
            self.conflicts.append(Conflict(name, first, path))
        else:
            raise DataError(
                f'The id "{name}" stands for two different images, in {first} and in {path}, row {row}; '
                "give each image an id of its own, or keep the first of them with --on-conflict first."
            )
        return False
