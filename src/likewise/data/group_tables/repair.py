"""Older tables, brought to what this version writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from likewise.artifacts.artifact import MANIFEST
from likewise.artifacts.files import replacing
from likewise.data.corpus import items_file
from likewise.data.group_tables.files import Writer, anchored, new_folder, schema_of, slices, tables_at
from likewise.data.group_tables.repair_plan import Plan
from likewise.data.group_tables.words import counted
from likewise.errors import DataError


@dataclass(frozen=True, slots=True)
class RepairedTable:
    """What changes in one table: columns renamed, made and cast, in words; and its rows, with digests filled in and put right."""

    path: Path
    rows: int
    changes: tuple[str, ...]
    digests_filled: int
    digests_corrected: int

    @property
    def changed(self) -> bool:
        """Whether anything does."""
        return bool(self.changes or self.digests_filled or self.digests_corrected)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was repaired, or, where `dry_run`, what would be."""

    tables: tuple[RepairedTable, ...]
    dry_run: bool

    def sentences(self) -> list[str]:
        """The report in words."""
        changed = [table for table in self.tables if table.changed]
        told = [f"{len(changed)} of {counted(len(self.tables), 'table')} {'to be ' if self.dry_run else ''}repaired."]
        for table in changed:
            what = list(table.changes)
            what += [f"{counted(table.digests_filled, 'digest')} filled in"] if table.digests_filled else []
            what += [f"{counted(table.digests_corrected, 'digest')} corrected"] if table.digests_corrected else []
            told.append(f"{table.path}: {', '.join(what)}.")
        return told


def repair(paths: Sequence[Path], target: Path | None = None, *, dry_run: bool = False) -> Repaired:
    """Bring older tables to what this version writes: as new tables in a new folder `target`, or in place where that is None.

    Known old columns get their names of today (`OLD_COLUMNS`), ids and groups become texts, numbers of `street_view.COLUMNS` get
    their types, and `image` its parts: encoded bytes that stand alone become one of them, and digests are computed from the bytes
    where these are. Repairing again changes nothing. In place, all tables are read through before the first one is written, and
    those of a run are refused. With `dry_run` nothing is written. DataError for a value that cannot be cast, a row without an id
    or an image.
    """
    tables = tables_at(paths)
    if target is not None and not dry_run:
        with new_folder(target) as folder:
            found = tuple(_repaired(path, folder / items_file(number), moved=True) for number, path in enumerate(tables))
        return Repaired(found, dry_run)
    found = tuple(_repaired(path, None) for path in tables)
    changed = [] if dry_run else [table.path.resolve() for table in found if table.changed]
    for path in changed:
        if (path.parent / MANIFEST).is_file():
            raise DataError(f"{path} belongs to a run, which would find it damaged; name a new folder to write.")
    for path in changed:
        with replacing(path) as temporary:
            _repaired(path, temporary)
    return Repaired(found, dry_run)


def _repaired(path: Path, written: Path | None, *, moved: bool = False) -> RepairedTable:
    """Repair one table, and write it where asked to; `moved` to another folder."""
    plan = Plan(path, schema_of(path, plain=False))
    digests: Counter[str] = Counter()
    rows = 0
    with ExitStack() as files:
        writer = None if written is None else files.enter_context(Writer(written, plan.schema))
        for part in slices(path, plain=False):
            repaired = plan.apply(part, rows, digests)
            rows += len(part)
            if writer is not None:
                writer.add(anchored(repaired, path) if moved else repaired)
    return RepairedTable(path, rows, plan.changes, digests["filled"], digests["corrected"])
