"""What ingest writes shard by shard.

A shard's links and rejects are whole before its items appear, so a killed run goes on with the next shard. They stay beside
the items: when a file is added or changed, the shards of the others are taken over as they are.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.data.corpus import items_file
from likewise.data.earlier import earlier_number, take_over
from likewise.data.links import LINKS
from likewise.data.payloads import IMAGE, TEXT, as_column, digests, kind_of, stored_digests
from likewise.errors import DataError
from likewise.types import Items, Links, Reject, Source, Tally

_TEXT = pa.string()
_REJECT_COLUMNS: dict[str, pa.DataType] = {"file": _TEXT, "row": pa.int64(), "reason": _TEXT, "remedy": _TEXT}
REJECTS = pa.schema(_REJECT_COLUMNS)
ITEMS = pa.schema({"id": _TEXT, TEXT: _TEXT, "role": _TEXT, "shard": _TEXT})  # of a shard without items
GROUP_ROWS = 2048  # rows decoded at once by a reader that asks for a few: about 2 MB of abstracts
IMAGE_ROWS = 64  # of encoded images


class Parts:
    """The shards read so far: every item's row by its id, the number of rows, and the links and rejects on disk."""

    def __init__(self, draft: Draft, *, stop: bool) -> None:
        """`stop`: a bad row raises DataError."""
        self._draft = draft
        self._stop = stop
        self._digests = array("Q")  # of each item's payload, by row
        self.items: dict[str, int] = {}
        self.sizes: list[int] = []
        self.reused = 0
        self._as_before = True  # every shard so far is the earlier artifact's at the same place
        self.roles = {"queries": 0, "documents": 0}
        self.rows = 0
        self._first = self._repeated = 0  # of the shard being read: its first item's row, and items met in shards before it

    def recall(self, number: int) -> bool:
        """Take up a shard that an earlier attempt wrote whole; False if it did not."""
        if not self._draft.has(items_file(number)):
            return False
        with pq.ParquetFile(self._draft.file(items_file(number)), pre_buffer=False) as file:  # which would hold all of it
            kind = IMAGE if IMAGE in file.schema_arrow.names else TEXT
            for batch in file.iter_batches(columns=["id", f"{IMAGE}.digest" if kind == IMAGE else TEXT, "role"]):
                ids, roles = (batch.column(name).to_pylist() for name in ("id", "role"))
                told = stored_digests(kind, batch.column(kind))
                for name, digest, role in zip(ids, told.tolist(), roles, strict=True):
                    self._note(str(name), digest, str(role))
            self.sizes.append(file.metadata.num_rows)
        self.rows += self._draft.json(part_file("tally", number))["rows"]
        return True

    def reuse(self, number: int, shard: str, source: Source) -> bool:
        """Take over a shard whose files did not change since an earlier run read it; False where it must be read."""
        old, earlier = earlier_number(self._draft, source, shard), self._draft.earlier
        self._as_before = self._as_before and old == number
        if old is None or earlier is None or not (self._as_before or self._stands_alone(earlier, old)):
            return False
        kinds = ("tally", "links", "rejects", "items")  # the items last: they say that all are whole
        take_over(self._draft, {part_file(kind, number): part_file(kind, old) for kind in kinds})
        self.reused += 1
        return self.recall(number)

    def _stands_alone(self, earlier: Artifact, old: int) -> bool:
        """Whether no item of an earlier artifact's shard occurred in a shard before it, then or now: its file has them all."""
        if earlier.json(part_file("tally", old))["repeated"]:
            return False
        with pq.ParquetFile(earlier.file(part_file("items", old)), pre_buffer=False) as file:
            batches = file.iter_batches(columns=["id"])
            return not any(name in self.items for batch in batches for name in batch.column("id").to_pylist())

    def read(self, number: int, shard: str, source: Source) -> None:
        """Read a shard and write what it gives."""
        self._first, rows_before, self._repeated = len(self.items), self.rows, 0
        schemas = {"items": ITEMS, "links": LINKS, "rejects": REJECTS}
        with ExitStack() as files:  # the items are left last: they say that all are whole
            tables = {
                kind: _Tables(files.enter_context(self._draft.write(part_file(kind, number))), schema)
                for kind, schema in schemas.items()
            }
            self.rows += self._pour(shard, source, **tables)
            for table in tables.values():
                table.close()
            for sentence in getattr(source, "remarks", tuple)():
                self._draft.say(sentence)
            self._draft.write_json(part_file("tally", number), {"rows": self.rows - rows_before, "repeated": self._repeated})
        self.sizes.append(len(self.items) - self._first)

    def _pour(self, shard: str, source: Source, items: _Tables, links: _Tables, rejects: _Tables) -> int:
        """Write a shard as it is read; how many rows it had: as the source counts them, or one for each item and reject."""
        counted: int | None = None
        given = 0
        waiting: list[Reject] = []  # a row group for each would be slow to write and read
        for piece in source.read(shard):
            match piece:
                case Items():
                    self._add(piece, items)
                    given += len(piece)
                case Links():
                    links.add(_link_table(piece))
                case Tally():
                    counted = (counted or 0) + piece.rows
                case Reject():
                    self.refuse(piece)
                    waiting.append(piece)
                    given += 1
                    if len(waiting) == GROUP_ROWS:
                        rejects.add(reject_table(waiting))
                        waiting.clear()
        rejects.add(reject_table(waiting))
        return given if counted is None else counted

    def refuse(self, reject: Reject) -> None:
        """Stop at a bad row, if that was asked for."""
        refuse(reject, stop=self._stop)

    def links(self) -> Iterator[pa.Table]:
        """The links of every shard, in the order of reading."""
        for number in range(len(self.sizes)):
            with pq.ParquetFile(self._draft.file(part_file("links", number)), pre_buffer=False) as file:
                for batch in file.iter_batches():
                    yield pa.Table.from_batches([batch])

    def rejects(self) -> Iterator[Reject]:
        """The bad rows of every shard, in the order of reading."""
        for number in range(len(self.sizes)):
            for row in self._draft.table(part_file("rejects", number)).to_pylist():
                yield Reject(**row)

    def _add(self, items: Items, tables: _Tables) -> None:
        """Write the items that are new; an id met again must bring the same payload."""
        new: list[int] = []
        if not len(items):
            return
        kind = kind_of(items.payload)
        roles = items.columns.get("role", ["document"] * len(items))
        told = digests(kind, items.payload).tolist()
        for place, (name, value, role, digest) in enumerate(zip(items.ids, items.payload, roles, told, strict=True)):
            row = self.items.get(name)
            if row is None:
                self._note(name, digest, role)
                new.append(place)
            elif self._digests[row] != digest:
                raise DataError(
                    f'The id "{name}" stands for two different items (the {row + 1}th that was read, and "{str(value)[:60]}" '
                    f"in {items.shard}); give each item an id of its own."
                )
            else:
                self._repeated += row < self._first
        if new:
            columns = {"role": roles, **items.columns}
            tables.add(_item_table(kind, items, new, columns), IMAGE_ROWS if kind == IMAGE else GROUP_ROWS)

    def _note(self, name: str, digest: int, role: str) -> None:
        self.items[name] = len(self.items)
        self._digests.append(digest)
        self.roles["queries" if role == "query" else "documents"] += 1


def refuse(reject: Reject, *, stop: bool) -> None:
    """DataError for what could not be read, if that is to end the run."""
    if stop:
        raise DataError(f'{str(reject).removesuffix(".")}, or set on_bad = "reject" in [ingest] to go on without it.')


def part_file(kind: str, number: int) -> str:
    """The file of a shard's items, links, rejects or tally."""
    return items_file(number) if kind == "items" else f"parts/{kind}-{number:05d}.{'json' if kind == 'tally' else 'parquet'}"


class _Tables:
    """Slices of one table, written as they come; the first one's columns hold for all."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """`schema`: that of a table without any row."""
        self._path = path
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table, rows: int = GROUP_ROWS) -> None:
        """`rows`: of a row group."""
        if self._writer is None:
            self._schema = table.schema
            self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd", write_page_checksum=True)
        try:
            self._writer.write_table(table.select(self._schema.names).cast(self._schema), row_group_size=rows)
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{self._path.name} has columns that change from slice to slice ({error}); give every slice the same ones."
            ) from error

    def close(self) -> None:
        if self._writer is None:
            self.add(self._schema.empty_table())
        assert self._writer is not None
        self._writer.close()


def _item_table(kind: str, items: Items, places: Sequence[int], columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    def chosen(values: Any) -> list[Any]:
        return [values[place] for place in places]

    table = {
        "id": pa.array(chosen(items.ids), pa.string()),
        kind: as_column(kind, chosen(items.payload)),
        "role": pa.array(chosen(columns["role"]), pa.string()),
        "shard": pa.array([items.shard] * len(places), pa.string()),
    }
    for name in sorted(set(columns) - set(table)):
        values = pa.array(chosen(columns[name]))
        table[name] = values.cast(pa.string()) if pa.types.is_null(values.type) else values
    return pa.table(table)


def _link_table(links: Links) -> pa.Table:
    columns = {"a": links.a, "b": links.b, "label": links.label, "weight": links.weight, "split": links.split, "row": links.row}
    return pa.table({**columns, "file": [links.file] * len(links)}, schema=LINKS)


def reject_table(rejects: Sequence[Reject]) -> pa.Table:
    """Rejects as a table."""
    return pa.table({name: [getattr(reject, name) for reject in rejects] for name in REJECTS.names}, schema=REJECTS)
