"""The files that hold what was read of one shard: its items, links and rejects as tables, and a tally."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from likewise.data.corpus import items_file
from likewise.data.payloads import IMAGE, TEXT, as_column
from likewise.errors import DataError, first_line
from likewise.types import Items, Reject

_TEXT = pa.string()
_REJECT_COLUMNS: dict[str, pa.DataType] = {"file": _TEXT, "row": pa.int64(), "reason": _TEXT, "remedy": _TEXT}
REJECTS = pa.schema(_REJECT_COLUMNS)
ITEMS = pa.schema({"id": _TEXT, TEXT: _TEXT, "role": _TEXT, "shard": _TEXT})  # of a shard without items
GROUP_ROWS = 2048  # rows decoded at once by a reader that asks for a few: about 2 MB of abstracts
IMAGE_ROWS = 64  # of encoded images


def part_file(kind: str, number: int) -> str:
    """The file of a shard's items, links, rejects or tally."""
    return items_file(number) if kind == "items" else f"parts/{kind}-{number:05d}.{'json' if kind == 'tally' else 'parquet'}"


class PartTable:
    """Slices of one table, written as they come. A column has the type that holds its values in all of them."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """`schema`: that of a table without any row."""
        self._path = path
        self._empty = self._schema = schema
        self._writer: pq.ParquetWriter | None = None
        self._without: set[str] = set()  # columns that have no value so far, and so any type

    def add(self, table: pa.Table) -> None:
        """Write a slice; DataError where it has other columns than the first, or values that go with none of its types."""
        without = {name for name in table.column_names if table[name].null_count == len(table)}
        try:
            if self._writer is None:
                self._schema, self._without = table.schema, without
                self._open()
            schema = self._united(table.schema, without)
            if schema != self._schema:
                self._write_again(schema)
            self._write(typed(table.select(schema.names), schema))
        except (KeyError, TypeError, pa.ArrowException) as error:
            told = f"{self._path.name} has columns that change from row to row ({error.args[0]})"
            raise DataError(f"{told}; write each column in one way.") from error
        self._without &= without

    def _united(self, given: pa.Schema, without: set[str]) -> pa.Schema:
        if more := sorted(set(given.names) - set(self._schema.names)):
            raise KeyError(f"the first rows have no {', '.join(more)}")
        fields = {}
        for known in self._schema:
            new = given.field(known.name).type
            if known.name in without:
                fields[known.name] = known.type
            else:
                fields[known.name] = new if known.name in self._without else united(known.name, known.type, new)
        return pa.schema(fields)

    def _open(self) -> None:
        self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd", write_page_checksum=True)

    def _write(self, table: pa.Table) -> None:
        assert self._writer is not None
        self._writer.write_table(table, row_group_size=IMAGE_ROWS if IMAGE in self._schema.names else GROUP_ROWS)

    def _write_again(self, schema: pa.Schema) -> None:
        """What was written, with other types."""
        assert self._writer is not None
        self._writer.close()
        before = self._path.with_name(f"{self._path.name}.before")
        os.replace(self._path, before)
        self._schema = schema
        self._open()
        with pq.ParquetFile(before, pre_buffer=False) as file:
            for group in range(file.num_row_groups):
                self._write(typed(file.read_row_group(group), schema))
        before.unlink()

    def restart(self) -> None:
        """Forget what was written."""
        if self._writer is not None:
            self._writer.close()
        self._schema, self._writer = self._empty, None

    def close(self) -> None:
        """End the file."""
        if self._writer is None:
            self.add(self._schema.empty_table())
        assert self._writer is not None
        self._writer.close()


def united(name: str, first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """The type that holds a column's values of both, as float64 those of whole and other numbers; TypeError where none does.

    Groups are names, and whole numbers are not made others.
    """
    if first.equals(second):
        return first
    exact = (pa.types.is_decimal, pa.types.is_binary, pa.types.is_string)  # others would lose digits, or become bytes
    if name != "group" and not any(is_(type_) for is_ in exact for type_ in (first, second)):
        schemas = [pa.schema({name: type_}) for type_ in (first, second)]
        with suppress(pa.ArrowException):
            return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    raise TypeError(f'"{name}" is {first} and {second}')


def typed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with the types of a schema; a column without a value takes any. TypeError where values would be lost."""
    columns = []
    for field in schema:
        column = rows[field.name]
        try:
            cast = pa.nulls(len(rows), field.type) if column.null_count == len(rows) else column.cast(field.type)
        except pa.ArrowException as error:
            raise TypeError(f'"{field.name}" cannot be {field.type}: {first_line(error)}') from error
        columns.append(cast)
    return pa.Table.from_arrays(columns, schema=schema)


def item_table(kind: str, items: Items, places: Sequence[int]) -> pa.Table:
    """The items at some places of a slice, with their columns; a document is what the source does not call a query."""

    def chosen(values: Any) -> list[Any]:
        return [values[place] for place in places]

    columns: Mapping[str, Sequence[Any]] = {"role": ["document"] * len(items), **items.columns}
    table = {
        "id": pa.array(chosen(items.ids), pa.string()),
        kind: as_column(kind, chosen(items.payload)),
        "role": pa.array(chosen(columns["role"]), pa.string()),
        "shard": pa.array([items.shard] * len(places), pa.string()),
    }
    for name in sorted(set(columns) - set(table)):
        try:
            values = pa.array(chosen(columns[name]))
        except (pa.ArrowException, OverflowError) as error:
            raise DataError(
                f'The column "{name}" of {items.shard} holds values of several types ({first_line(error)}); write it in one way.'
            ) from error
        table[name] = values.cast(pa.string()) if pa.types.is_null(values.type) else values
    return pa.table(table)


def reject_table(rejects: Sequence[Reject]) -> pa.Table:
    """Rejects as a table."""
    return pa.table({name: [getattr(reject, name) for reject in rejects] for name in REJECTS.names}, schema=REJECTS)


def refuse(reject: Reject, *, stop: bool) -> None:
    """DataError for what could not be read, if that is to end the run."""
    if stop:
        raise DataError(f'{str(reject).removesuffix(".")}, or set on_bad = "reject" in [ingest] to go on without it.')
