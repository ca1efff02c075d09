"""The items of a run and what is known about them, read from the artifact that ingest left.

A row is the position of an item over all shards, in the order of ingest. Small columns (ids, roles, pairs) are held in
memory; payloads stay on disk, and the row groups in use are kept decoded up to a budget of bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from likewise.artifacts.artifact import Folder
from likewise.data.groups import Groups
from likewise.data.payloads import ENCODED, FEATURES, IMAGE, PAYLOADS, TOLD, matrix, references
from likewise.types import ROLES, Float32, Int64, Items, Pairs, Role, Scope

OPEN_FILES = 64  # at once: a process may have about 1,000, and a folder more folders


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard's place in the corpus: rows `start` (inclusive) to `stop` (exclusive)."""

    name: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class WholeShard:
    """All of one shard: the row of its first item, features [n, F], metadata columns [n], and pairs by position in the shard."""

    name: str
    start: int
    features: Float32
    columns: Mapping[str, NDArray[Any]]
    pairs: Pairs[Int64]

    def __len__(self) -> int:
        return len(self.features)


class Corpus:
    """Items by row: ids, roles, payloads and metadata, and the pairs that came with them."""

    def __init__(self, artifact: Folder, *, budget: int = 512 << 20) -> None:
        """`budget`: bytes of decoded payload to keep at hand."""
        counts = artifact.json("counts.json")
        self._artifact = artifact
        self._budget = budget
        self.scope: Scope = counts.get("scope", "corpus")
        self._grouped: bool = counts.get("grouped", False)
        self.frame: int = counts.get("frame", 0)
        """Which page of a picture of several pages was looked at."""
        self.shards: tuple[Shard, ...] = _shards(counts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._artifact, self._budget)

    def __len__(self) -> int:
        return self.shards[-1].stop if self.shards else 0

    @cached_property
    def ids(self) -> Sequence[str]:
        """The id of every item."""
        return [str(name) for name in self._small_column("id").to_pylist()]

    @cached_property
    def roles(self) -> NDArray[np.int8]:
        """[N] int8: the place of each item's role in `types.ROLES`; 1 (document) for items without one."""
        codes: dict[str, int] = {role: code for code, role in enumerate(ROLES)}
        roles = [codes.get(str(role), codes["document"]) for role in self._small_column("role").to_pylist()]
        return np.array(roles, dtype=np.int8)

    @cached_property
    def pairs(self) -> Pairs[Int64]:
        """The pairs that came with the data: `a` query rows, `b` document rows, `label` 1 or 0."""
        table = self._artifact.table("pairs.parquet")
        a, b, label, weight = (table[name].to_numpy() for name in ("a", "b", "label", "weight"))
        pairs: Pairs[Int64] = Pairs(a.astype(np.int64), b.astype(np.int64), label.astype(np.int8), weight.astype(np.float32))
        return pairs

    @cached_property
    def pair_splits(self) -> NDArray[np.int8]:
        """[P] int8: the place of each pair's split in `types.SPLITS`, or -1 where the data brings none."""
        column: NDArray[np.int8] = self._artifact.table("pairs.parquet")["split"].to_numpy().astype(np.int8)
        return column

    @cached_property
    def groups(self) -> Groups | None:
        """The items' groups, where the source says that items of one group are alike, and there are any."""
        if not self._grouped or "group" not in self.columns:
            return None
        return Groups.of(self.metadata(np.arange(len(self)), ("group",))["group"].to_pylist())

    @cached_property
    def asking(self) -> Int64:
        """The rows that ask for others, ascending: queries, and items of a group, which ask for one another."""
        queries = self.rows("query")
        return queries if self.groups is None else np.union1d(queries, self.groups.rows)

    @cached_property
    def _row_by_id(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids)}

    def rows(self, role: Role) -> Int64:
        """The rows of one role, ascending."""
        return np.flatnonzero(self.roles == ROLES.index(role)).astype(np.int64)

    def row_of(self, item: str) -> int:
        """The row of an id; KeyError if there is none."""
        return self._row_by_id[item]

    def payload(self, rows: Sequence[int] | Int64) -> Any:
        """The payloads of the given rows, in their order: a list of texts or `ImageRef`s, or features [n, F] float32.

        Encoded images that the corpus holds are read when a reference is asked for them.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if self.kind == IMAGE:
            encoded = [partial(self._encoded, row) for row in rows.tolist()]
            return references(self._parts.take(rows, TOLD), encoded, self._artifact.place)
        column = self._parts.take(rows, (self.kind,))[self.kind]
        return matrix(column) if self.kind == FEATURES else [str(text) for text in column.to_pylist()]

    def _encoded(self, row: int) -> bytes | None:
        column: pa.ChunkedArray[Any] = self._parts.take(np.array([row]), (ENCODED,))[ENCODED]
        encoded: bytes | None = column[0].as_py()
        return encoded

    def shard(self, number: int) -> WholeShard:
        """One shard whole, for corpora whose evidence stays within shards. Nothing of it is kept."""
        table = self._artifact.table(items_file(number))
        pairs = self._artifact.table(pairs_file(number))
        a, b, label, weight = (pairs[name].to_numpy() for name in ("a", "b", "label", "weight"))
        features = matrix(table[FEATURES]) if len(table) else np.empty((0, 0), np.float32)
        names = [name for name in table.column_names if name not in ("id", "shard", FEATURES)]
        columns = {name: table[name].to_numpy() for name in names}
        place = self.shards[number]
        return WholeShard(place.name, place.start, features, columns, Pairs(a, b, label, weight))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns but the payload."""
        return tuple(name for name in self._parts.schema.names if name not in PAYLOADS)

    def metadata(self, rows: Sequence[int] | Int64, columns: Sequence[str] | None = None) -> pa.Table:
        """The named columns (all, by default) for the given rows, in their order; null where a shard lacks a column."""
        return self._parts.take(np.asarray(rows, dtype=np.int64), self.columns if columns is None else columns)

    def items(self, rows: Sequence[int] | Int64 | None = None, size: int = 8192) -> Iterator[Items]:
        """The given rows (all, by default) in slices of at most `size`, each from one shard, with their metadata."""
        chosen = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        shard_of = np.searchsorted([shard.stop for shard in self.shards], chosen, side="right")
        edges = np.flatnonzero(np.diff(shard_of)) + 1
        for run in np.split(chosen, edges):
            for start in range(0, len(run), size):
                yield self._slice(run[start : start + size])

    def _slice(self, rows: Int64) -> Items:
        shard = self.shards[int(np.searchsorted([shard.stop for shard in self.shards], rows[0], side="right"))]
        metadata = self.metadata(rows).drop_columns(["id", "shard"])
        columns = {name: metadata[name].to_pylist() for name in metadata.column_names}
        return Items(shard.name, [self.ids[row] for row in rows], self.payload(rows), columns)

    def _small_column(self, name: str) -> pa.ChunkedArray[Any]:
        """A column of texts of all items; null where a shard lacks it."""
        pieces: list[pa.Array[Any]] = []
        for number, shard in enumerate(self.shards):
            with pq.ParquetFile(self._file(number)) as file:
                if name in file.schema_arrow.names:
                    pieces += file.read(columns=[name])[name].chunks
                else:
                    pieces.append(pa.nulls(len(shard), pa.string()))
        return pa.chunked_array(pieces, pa.string())

    def _file(self, number: int) -> Path:
        return self._artifact.file(items_file(number))

    @cached_property
    def kind(self) -> str:
        """The column of the payloads: "text", "image" or "features"."""
        return next(name for name in PAYLOADS if name in self._parts.schema.names)

    @cached_property
    def _parts(self) -> _RowGroups:
        return _RowGroups([self._file(number) for number in range(len(self.shards))], self._budget)


def pairs_file(number: int) -> str:
    """The file of a shard's pairs, where evidence stays within shards."""
    return f"pairs-{number:05d}.parquet"


def items_file(number: int) -> str:
    """The file of a shard's items."""
    return f"items-{number:05d}.parquet"


def _reopen(artifact: Folder, budget: int) -> Corpus:
    return Corpus(artifact, budget=budget)


def _shards(counts: dict[str, Any]) -> tuple[Shard, ...]:
    shards: list[Shard] = []
    for entry in counts["shards"]:
        start = shards[-1].stop if shards else 0
        shards.append(Shard(entry["name"], start, start + entry["items"]))
    return tuple(shards)


class _RowGroups:
    """Rows of several Parquet files by their global number; the row groups last used stay decoded, up to a budget."""

    def __init__(self, paths: Sequence[Path], budget: int) -> None:
        self._paths = paths
        self._told = [pq.read_metadata(path) for path in paths]
        self._schemas = [told.schema.to_arrow_schema() for told in self._told]
        self._open: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._places = [(number, group) for number, told in enumerate(self._told) for group in range(told.num_row_groups)]
        sizes = [self._told[number].row_group(group).num_rows for number, group in self._places]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._budget = budget
        self._held: OrderedDict[tuple[int, str], pa.ChunkedArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()  # payloads are also asked for from threads that read ahead
        self.schema: pa.Schema = pa.unify_schemas(self._schemas) if paths else pa.schema([])

    def take(self, rows: Int64, names: Sequence[str]) -> pa.Table:
        """The named columns of the given rows, in their order; "image.path" is that part of the column "image"."""
        assert rows.size == 0 or (rows.min() >= 0 and rows.max() < self._starts[-1]), "rows outside the corpus"
        group_of = np.searchsorted(self._starts, rows, side="right") - 1
        schema = pa.schema({name: self._type(name) for name in names})
        if not rows.size:
            return schema.empty_table()
        order = np.argsort(group_of, kind="stable")
        groups, first = np.unique(group_of[order], return_index=True)
        pieces = []
        for group, members in zip(groups.tolist(), np.split(order, first[1:]), strict=True):
            within = pa.array(rows[members] - self._starts[group])
            with self._lock:
                columns = [self._column(group, name) for name in names]
            pieces.append(pa.Table.from_arrays([column.take(within) for column in columns], schema=schema))
        return pa.concat_tables(pieces).take(pa.array(np.argsort(order), pa.int64()))

    def _parted(self, name: str) -> tuple[str, str | None]:
        """A column's name, and that of one of its parts if it is asked for."""
        whole, _, part = name.rpartition(".")
        return (whole, part) if name not in self.schema.names else (name, None)

    def _type(self, name: str) -> pa.DataType:
        whole, part = self._parted(name)
        type_: Any = self.schema.field(whole).type
        return type_ if part is None else type_.field(part).type

    def _file(self, number: int) -> pq.ParquetFile:
        """A file, open; those used last stay so."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        if len(self._open) == OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        file = self._open[number] = pq.ParquetFile(self._paths[number], memory_map=True, metadata=self._told[number])
        return file

    def _column(self, group: int, name: str) -> pa.ChunkedArray[Any]:
        key = (group, name)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        number, within = self._places[group]
        whole, part = self._parted(name)
        if whole in self._schemas[number].names:
            column = self._file(number).read_row_group(within, columns=[name])[whole]
            column = column if part is None else pc.struct_field(column, part)
        else:
            rows = int(self._starts[group + 1] - self._starts[group])
            column = pa.chunked_array([pa.nulls(rows, self._type(name))])
        self._held[key] = column
        self._bytes += column.nbytes
        while self._bytes > self._budget and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].nbytes
        return column
