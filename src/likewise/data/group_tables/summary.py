"""What tables of grouped items hold, counted."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from likewise.data.group_tables.files import GROUP, ID, tables_at
from likewise.data.group_tables.small_groups import group_sizes, ids_and_groups
from likewise.data.group_tables.words import counted


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many groups have from `low` to `high` images."""

    low: int
    high: int
    groups: int

    def words(self) -> str:
        """The sizes and their number, as "3–4: 12"."""
        images = f"{self.low:,}" if self.low == self.high else f"{self.low:,}–{self.high:,}"
        return f"{images}: {self.groups:,}"


@dataclass(frozen=True, slots=True)
class GroupSizes:
    """Images per group: extremes, median and mean, and a histogram whose buckets double (1, 2, 3 to 4, 5 to 8, …)."""

    least: int
    median: float
    mean: float
    most: int
    histogram: tuple[Bucket, ...]

    def words(self) -> str:
        """The sizes and, in brackets, how many groups have so many images."""
        counts = ", ".join(bucket.words() for bucket in self.histogram)
        return f"{self.least:,} to {self.most:,}, median {self.median:g}, mean {self.mean:.3g} ({counts})"


@dataclass(frozen=True, slots=True)
class Summary:
    """What tables hold: their bytes on the disk, rows, different ids, groups, rows without a group; no sizes without groups."""

    tables: int
    bytes: int
    rows: int
    ids: int
    groups: int
    without_group: int
    images_per_group: GroupSizes | None

    def sentences(self) -> list[str]:
        """The summary in words."""
        rows, ids = counted(self.rows, "row"), counted(self.ids, "id")
        told = [f"{counted(self.tables, 'table')} of {self.bytes:,} bytes: {rows}, {ids}, {counted(self.groups, 'group')}."]
        if self.without_group:
            told.append(f"{counted(self.without_group, 'row')} without a group.")
        if sizes := self.images_per_group:
            told.append(f"Images per group: {sizes.words()}.")
        return told


def summary(paths: Sequence[Path]) -> Summary:
    """Count what tables hold. A group's images are its different ids over all tables. Reads and holds ids and groups only."""
    tables = tables_at(paths)
    rows = ids_and_groups(tables)
    sizes = list(group_sizes(rows).values())
    return Summary(
        tables=len(tables),
        bytes=sum(path.stat().st_size for path in tables),
        rows=len(rows),
        ids=int(pc.count_distinct(rows[ID]).as_py()),
        groups=len(sizes),
        without_group=rows[GROUP].null_count,
        images_per_group=_spread(sizes) if sizes else None,
    )


def _spread(sizes: Sequence[int]) -> GroupSizes:
    buckets = Counter((size - 1).bit_length() for size in sizes)
    histogram = tuple(Bucket((1 << bits >> 1) + 1, 1 << bits, count) for bits, count in sorted(buckets.items()))
    return GroupSizes(min(sizes), statistics.median(sizes), statistics.fmean(sizes), max(sizes), histogram)
