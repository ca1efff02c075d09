"""The files that hold what was read of one shard: its items, links and rejects as tables, and a tally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Slices of one table, written as they come; the first one's columns hold for all."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """`schema`: that of a table without any row."""
        self._path = path
        self._empty = self._schema = schema
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Write a slice; DataError where it has other columns than the first."""
        if self._writer is None:
            self._schema = table.schema
            self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd", write_page_checksum=True)
        rows = IMAGE_ROWS if IMAGE in self._schema.names else GROUP_ROWS
        try:
            self._writer.write_table(table.select(self._schema.names).cast(self._schema), row_group_size=rows)
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{self._path.name} has columns that change from slice to slice ({error}); give every slice the same ones."
            ) from error

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
        except pa.ArrowException as error:
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
