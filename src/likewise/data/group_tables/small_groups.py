"""Tables without the groups that are too small to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from likewise.data.group_tables.files import GROUP, ID, copy_rows, filled_up, ids_of, schema_of, slices, tables_at
from likewise.data.group_tables.words import EXAMPLES, counted, examples
from likewise.errors import DataError


@dataclass(frozen=True, slots=True)
class SmallGroupsDropped:
    """Rows read, kept, and kept without a group; groups read and left out, with the names of a few."""

    at_least: int
    rows: int
    kept: int
    without_group: int
    groups: int
    dropped: int
    examples: tuple[str, ...]

    def sentences(self) -> list[str]:
        """The report in words."""
        told = [f"{self.kept} of {counted(self.rows, 'row')} kept, in {counted(self.groups - self.dropped, 'group')}."]
        if self.dropped:
            few = examples(self.examples, self.dropped)
            told.append(f"{counted(self.dropped, 'group')} of fewer than {self.at_least} images left out: {few}.")
        if self.without_group:
            told.append(f"{counted(self.without_group, 'row')} without a group kept.")
        return told


def drop_single(paths: Sequence[Path], target: Path, *, at_least: int = 2) -> SmallGroupsDropped:
    """Write the rows of groups of `at_least` images or more to a new folder `target` with a table for each table read.

    A group's images are counted over all tables, an id once. Rows without a group are in no group that could be too small, and
    are kept. Two passes: one reads ids and groups, one copies. Memory: ids and groups as they stand, and their counts.
    """
    if at_least < 2:
        raise DataError(f"at_least is {at_least}; it must be 2 or more, since every group has an image.")
    tables = tables_at(paths)
    for path in tables:
        schema_of(path, required=(ID, GROUP))
    sizes = group_sizes(ids_and_groups(tables))
    small = dict.fromkeys(name for name, count in sizes.items() if count < at_least)
    rows = kept_rows = without = 0

    def kept(part: pa.Table, path: Path, start: int) -> pa.Array[Any]:
        nonlocal rows, kept_rows, without
        ids_of(part, path, start)  # rows without an id were in no count
        chosen = [name not in small for name in part[GROUP].cast(pa.string()).to_pylist()]
        rows += len(part)
        kept_rows += sum(chosen)
        without += part[GROUP].null_count
        return pa.array(chosen, pa.bool_())

    copy_rows(tables, target, kept)
    return SmallGroupsDropped(at_least, rows, kept_rows, without, len(sizes), len(small), tuple(islice(small, EXAMPLES)))


def ids_and_groups(tables: Sequence[Path]) -> pa.Table:
    """The columns `id` and `group` of all tables as texts; groups are null where a table has none."""
    schema = pa.schema({ID: pa.string(), GROUP: pa.string()})
    pieces = [schema.empty_table()]
    for path in tables:
        present = [name for name in schema_of(path, required=(ID,)).names if name in (ID, GROUP)]
        pieces += [filled_up(part, schema) for part in slices(path, present)]
    return pa.concat_tables(pieces)


def group_sizes(rows: pa.Table) -> dict[str, int]:
    """How many different ids each group has; in the order in which the groups are met."""
    totals = rows.group_by(GROUP, use_threads=False).aggregate([(ID, "count_distinct")])
    counts = zip(totals[GROUP].to_pylist(), totals[f"{ID}_count_distinct"].to_pylist(), strict=True)
    return {name: count for name, count in counts if name is not None}
