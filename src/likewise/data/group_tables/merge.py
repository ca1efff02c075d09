"""Several tables as one folder of tables of equal columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from likewise.data.corpus import items_file
from likewise.data.group_tables.files import ID, Writer, anchored, filled_up, new_folder, schema_of, slices, tables_at
from likewise.data.group_tables.words import counted
from likewise.errors import DataError


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged: tables read and written, rows, and for each column that some tables lack, those tables."""

    tables: int
    written: int
    rows: int
    missing: Mapping[str, tuple[Path, ...]]

    def sentences(self) -> list[str]:
        """The report in words."""
        told = [f"{counted(self.rows, 'row')} of {counted(self.tables, 'table')} written to {counted(self.written, 'table')}."]
        for column, paths in self.missing.items():
            lacking = f"{len(paths):,} of {counted(self.tables, 'table')}, such as {paths[0]}"
            told.append(f'The column "{column}" is missing in {lacking}, and null for the rows from there.')
        return told


def merge(paths: Sequence[Path], target: Path, *, rows_per_file: int = 100_000) -> Merged:
    """Write the rows of several tables, in their order, to a new folder `target` of tables of `rows_per_file` rows.

    The columns are those of all tables; a table that lacks one has null there. DataError where two tables have different types
    for a column, or `target` is there already.
    """
    if rows_per_file < 1:
        raise DataError(f"rows_per_file is {rows_per_file}; it must be at least 1.")
    tables = tables_at(paths)
    schemas = {path: schema_of(path, required=(ID,)) for path in tables}
    united = _united(schemas)
    rows, written, room = 0, 1, rows_per_file
    with new_folder(target) as folder, ExitStack() as open_one:
        writer = open_one.enter_context(Writer(folder / items_file(0), united))
        for path in tables:
            for part in slices(path):
                rows += len(part)
                part = filled_up(anchored(part, path), united)
                while len(part):
                    if not room:
                        open_one.close()
                        writer = open_one.enter_context(Writer(folder / items_file(written), united))
                        room, written = rows_per_file, written + 1
                    writer.add(part.slice(0, room))
                    part, room = part.slice(room), room - min(room, len(part))
    missing = {name: tuple(path for path in tables if name not in schemas[path].names) for name in united.names}
    return Merged(len(tables), written, rows, {name: lacking for name, lacking in missing.items() if lacking})


def _united(schemas: Mapping[Path, pa.Schema]) -> pa.Schema:
    """The columns of all tables, in the order in which they are met; DataError where their types differ."""
    types: dict[str, tuple[pa.DataType, Path]] = {}
    for path, schema in schemas.items():
        for field in schema:
            known, first = types.setdefault(field.name, (field.type, path))
            if pa.types.is_null(known):
                types[field.name] = (field.type, path)
            elif known != field.type and not pa.types.is_null(field.type):
                raise DataError(
                    f'The column "{field.name}" is {known} in {first} and {field.type} in {path}; '
                    "cast one of them, or repair both tables if they are older ones."
                )
    return pa.schema({name: pa.string() if pa.types.is_null(type_) else type_ for name, (type_, _) in types.items()})
