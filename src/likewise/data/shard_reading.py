"""One shard of a source, from reading it to its files; and several of them side by side.

A shard's links, rejects and tally are whole before its items appear, so a killed run goes on with the shards that are missing.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from likewise.artifacts.draft import Draft
from likewise.data.links import LINKS
from likewise.data.part_files import GROUP_ROWS, ITEMS, REJECTS, PartTable, item_table, part_file, refuse, reject_table, typed
from likewise.data.payloads import IMAGE, TEXT, digests, kind_of, stored_digests
from likewise.errors import DataError
from likewise.types import Items, Links, Reject, Remark, Source, Tally, Withdrawn

T = TypeVar("T")
Counted = Callable[[int], None]
"""Hears how many items of a shard were read so far; what it raises ends the reading."""


@dataclass(slots=True)
class ShardItems:
    """What a shard's file of items holds but for the payloads, of which `digests` has a number each."""

    ids: list[str] = field(default_factory=list)
    digests: array[int] = field(default_factory=lambda: array("Q"))
    roles: list[str] = field(default_factory=list)

    def add(self, name: str, digest: int, role: str) -> None:
        """One item more."""
        self.ids.append(name)
        self.digests.append(digest)
        self.roles.append(role)


def read_shard(draft: Draft, number: int, shard: str, source: Source, *, stop: bool, counted: Counted) -> ShardItems:
    """Read a shard and write what it gives; an item that it gives twice is written once.

    DataError where one id stands for two items, and with `stop` for what cannot be read.
    """
    reading = _Reading(shard, stop, counted)
    schemas = {"items": ITEMS, "links": LINKS, "rejects": REJECTS}
    with ExitStack() as files:  # the items are left last: they say that all are whole
        tables = {
            kind: PartTable(files.enter_context(draft.write(part_file(kind, number))), schema) for kind, schema in schemas.items()
        }
        rows = reading.pour(source, **tables)
        for table in tables.values():
            table.close()
        draft.write_json(part_file("tally", number), {"rows": rows, "repeated": 0, "remarks": reading.remarks})
    return reading.told


def read_back(draft: Draft, number: int) -> ShardItems:
    """What the file of a shard's items says, which was written before."""
    told = ShardItems()
    with pq.ParquetFile(draft.file(part_file("items", number)), pre_buffer=False) as file:  # which would hold all of it
        kind = IMAGE if IMAGE in file.schema_arrow.names else TEXT
        for batch in file.iter_batches(columns=["id", f"{IMAGE}.digest" if kind == IMAGE else TEXT, "role"]):
            ids, roles = (batch.column(name).to_pylist() for name in ("id", "role"))
            for name, digest, role in zip(ids, stored_digests(kind, batch.column(kind)).tolist(), roles, strict=True):
                told.add(str(name), digest, str(role))
    return told


def leave_out(draft: Draft, number: int, places: set[int]) -> None:
    """Write the file of a shard's items again, without those at some places; the tally says how many, before."""
    draft.write_json(part_file("tally", number), draft.json(part_file("tally", number)) | {"repeated": len(places)})

    def kept(rows: pa.Table, start: int) -> pa.Table:
        return rows.filter(pa.array([place not in places for place in range(start, start + len(rows))]))

    _write_again(draft, number, kept)


def empty_columns(metadata: pq.FileMetaData) -> list[str]:
    """The columns of a file that hold no value, be it for want of rows."""
    groups = [group for group in map(metadata.row_group, range(metadata.num_row_groups)) if group.num_rows]
    places = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
    names = [name for name in metadata.schema.to_arrow_schema().names if name in places]
    return [name for name in names if all(_nulls(group.column(places[name])) == group.num_rows for group in groups)]


def set_types(draft: Draft, number: int, types: Mapping[str, pa.DataType]) -> None:
    """Write the file of a shard's items again where columns have other types than these, which hold their values."""
    schema = pq.read_schema(draft.file(part_file("items", number)))
    wanted = pa.schema({field.name: types.get(field.name, field.type) for field in schema})
    if wanted != schema:
        _write_again(draft, number, lambda rows, start: typed(rows, wanted))


def _nulls(column: pq.ColumnChunkMetaData) -> int | None:
    return column.statistics.null_count if column.statistics is not None and column.statistics.has_null_count else None


def _write_again(draft: Draft, number: int, change: Callable[[pa.Table, int], pa.Table]) -> None:
    """Write the file of a shard's items anew, of what `change` makes of each slice and of the place where this begins."""
    name = part_file("items", number)
    with draft.write(name) as path, pq.ParquetFile(draft.file(name), pre_buffer=False) as file:
        table, start = PartTable(path, file.schema_arrow), 0
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            table.add(change(rows, start))
            start += len(rows)
        table.close()


class _Reading:
    """A shard while it is read."""

    def __init__(self, shard: str, stop: bool, counted: Counted) -> None:
        self.told = ShardItems()
        self.remarks: list[str] = []
        self._shard = shard
        self._stop = stop
        self._counted = counted
        self._places: dict[str, int] = {}

    def pour(self, source: Source, items: PartTable, links: PartTable, rejects: PartTable) -> int:
        """Write a shard as it is read; how many rows it had: as the source counts them, or one for each item and reject."""
        counted: int | None = None
        given = 0
        waiting: list[Reject] = []  # a row group for each would be slow to write and read
        for piece in source.read(self._shard):
            match piece:
                case Items():
                    self._add(piece, items)
                    given += len(piece)
                case Links():
                    links.add(_link_table(piece))
                case Tally():
                    counted = (counted or 0) + piece.rows
                case Remark():
                    self.remarks.append(piece.sentence)
                case Reject():
                    refuse(piece, stop=self._stop)
                    waiting.append(piece)
                    given += 1
                    if len(waiting) == GROUP_ROWS:
                        rejects.add(reject_table(waiting))
                        waiting.clear()
                case Withdrawn():
                    refuse(piece.reject, stop=self._stop)
                    for table in (items, links, rejects):
                        table.restart()
                    self.told, self.remarks, self._places = ShardItems(), [], {}
                    waiting, given, counted = [piece.reject], 1, None
            self._counted(len(self.told.ids))
        rejects.add(reject_table(waiting))
        return given if counted is None else counted

    def _add(self, items: Items, table: PartTable) -> None:
        """Write the items that are new; an id met again must bring the same payload."""
        new: list[int] = []
        if not len(items):
            return
        kind = kind_of(items.payload)
        roles = items.columns.get("role", ["document"] * len(items))
        told = digests(kind, items.payload).tolist()
        for place, (name, digest, role) in enumerate(zip(items.ids, told, roles, strict=True)):
            first = self._places.setdefault(name, len(self._places))
            if first == len(self.told.ids):
                self.told.add(name, digest, role)
                new.append(place)
            elif self.told.digests[first] != digest:
                raise DataError(
                    f'The id "{name}" stands for two different items of {self._shard} (the second is '
                    f'"{str(items.payload[place])[:60]}"); give each item an id of its own.'
                )
        if new:
            table.add(item_table(kind, items, new))


def _link_table(links: Links) -> pa.Table:
    columns = {"a": links.a, "b": links.b, "label": links.label, "weight": links.weight, "split": links.split, "row": links.row}
    return pa.table({**columns, "file": [links.file] * len(links)}, schema=LINKS)


class Stopped(Exception):
    """Another shard has ended the reading."""


def in_order(
    work: Callable[[int, Callable[[], None]], T], count: int, threads: int, waited: Callable[[], None]
) -> Generator[T, None, None]:
    """What `work` gives for the numbers below `count`, in their order, several at a time; the first error in that order.

    `work` is also given what it must call now and then, and must not catch: it raises when an error has ended the whole. While
    the next result is waited for, `waited` is called every second.
    """
    if threads == 1:
        yield from (work(number, lambda: None) for number in range(count))
        return
    ended = threading.Event()

    def go_on() -> None:
        if ended.is_set():
            raise Stopped

    with ThreadPoolExecutor(threads, thread_name_prefix="likewise-shards") as pool:
        ahead: deque[Future[T]] = deque()
        upcoming = iter(range(count))
        try:
            for _ in range(count):
                while len(ahead) < 2 * threads and (number := next(upcoming, None)) is not None:
                    ahead.append(pool.submit(work, number, go_on))
                yield _result(ahead.popleft(), waited)
        finally:
            ended.set()
            for future in ahead:
                future.cancel()


def _result(future: Future[T], waited: Callable[[], None]) -> T:
    while not wait([future], timeout=1).done:
        waited()
    return future.result()
