"""The shards that ingest has read so far.

Shards are read one after another or side by side, each into its own files; here they are put together in their order, so that
the result does not depend on it: an item that a shard before it has leaves the later file. When a file is added or changed, the
shards of the others are taken over as they are.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import accumulate

import pyarrow as pa
import pyarrow.parquet as pq

from likewise.artifacts.draft import Draft
from likewise.data.earlier import earlier_number, take_over
from likewise.data.part_files import part_file, refuse, united
from likewise.data.shard_reading import ShardItems, empty_columns, in_order, leave_out, read_back, read_shard, set_types
from likewise.errors import DataError
from likewise.types import ParallelSource, Reject, Source

KINDS = ("tally", "links", "rejects", "items")  # the items last: they say that all are whole


class Parts:
    """Every item's row by its id, the number of rows, and the links and rejects on disk."""

    def __init__(self, draft: Draft, source: Source, *, stop: bool) -> None:
        """`stop`: a bad row raises DataError."""
        self._draft = draft
        self._source = source
        self._stop = stop
        self._digests = array("Q")  # of each item's payload, by row
        self.shards = list(source.shards())
        self._read = [0] * len(self.shards)  # items, so far
        self._reused: set[int] = set()
        self.items: dict[str, int] = {}
        self.sizes: list[int] = []
        self.roles = {"queries": 0, "documents": 0}
        self.rows = 0

    def gather(self) -> None:
        """Read all shards but those that an earlier attempt wrote, or whose files an earlier run has read."""
        threads = self._source.readers if isinstance(self._source, ParallelSource) else 1
        numbers = [earlier_number(self._draft, self._source, shard) for shard in self.shards]
        as_before = list(accumulate((old == place for place, old in enumerate(numbers)), operator.and_))

        def work(number: int, go_on: Callable[[], None]) -> ShardItems:
            if self._draft.has(part_file("items", number)):
                return read_back(self._draft, number)
            old = numbers[number]
            if old is not None and (as_before[number] or self._stands_alone(old)):
                take_over(self._draft, {part_file(kind, number): part_file(kind, old) for kind in KINDS})
                self._reused.add(number)
                return read_back(self._draft, number)

            def counted(items: int) -> None:
                self._read[number] = items
                go_on()
                if threads == 1:
                    self._tell()

            return read_shard(self._draft, number, self.shards[number], self._source, stop=self._stop, counted=counted)

        with closing(in_order(work, len(self.shards), threads, self._tell)) as read:
            for number, told in enumerate(read):
                self._settle(number, told)
                self._tell()

    def match_columns(self) -> None:
        """Give each column one type in all shards, which holds its values in all of them (texts, if none has any).

        DataError where there is no such type.
        """
        types: dict[str, tuple[pa.DataType, str]] = {}
        names: dict[int, list[str]] = {}
        for number, shard in enumerate(self.shards):
            metadata = pq.read_metadata(self._draft.file(part_file("items", number)))
            schema, empty = metadata.schema.to_arrow_schema(), set(empty_columns(metadata))
            names[number] = schema.names
            for column in schema:
                if column.name in empty:
                    continue
                before, elsewhere = types.setdefault(column.name, (column.type, shard))
                try:
                    both = united(column.name, before, column.type)
                    types[column.name] = both, elsewhere if both.equals(before) else shard
                except TypeError:
                    held = f"holds {column.type} in {shard} and {before} in {elsewhere}"
                    raise DataError(f'The column "{column.name}" {held}; write it in one way.') from None
        for number, columns in names.items():
            try:
                set_types(self._draft, number, {name: types[name][0] if name in types else pa.string() for name in columns})
            except TypeError as error:
                told = f"A column of {self.shards[number]} does not go with those of the other shards ({error})"
                raise DataError(f"{told}; write it in one way.") from error

    @property
    def reused(self) -> int:
        """How many shards were taken over from an earlier run."""
        return len(self._reused)

    def _tell(self) -> None:
        """How far the reading is."""
        self._draft.progress(len(self.sizes), len(self.shards), f"{sum(self._read):,} items")

    def _stands_alone(self, old: int) -> bool:
        """Whether the file of an earlier artifact's shard has all its items: none of them was left out."""
        assert self._draft.earlier is not None
        return not self._draft.earlier.json(part_file("tally", old))["repeated"]

    def _settle(self, number: int, told: ShardItems) -> None:
        """Take up the items of the next shard; those that a shard before it has leave its file."""
        repeated: set[int] = set()
        for place, (name, digest, role) in enumerate(zip(told.ids, told.digests, told.roles, strict=True)):
            row = self.items.setdefault(name, len(self.items))
            if row == len(self._digests):
                self._digests.append(digest)
                self.roles["queries" if role == "query" else "documents"] += 1
            elif self._digests[row] == digest:
                repeated.add(place)
            else:
                raise DataError(
                    f'The id "{name}" stands for two different items, in {self._shard_of(row)} and in '
                    f"{self.shards[number]}; give each item an id of its own."
                )
        if repeated:
            leave_out(self._draft, number, repeated)
        self.sizes.append(len(told.ids) - len(repeated))
        self._read[number] = len(told.ids)
        tally = self._draft.json(part_file("tally", number))
        self.rows += tally["rows"]
        for sentence in tally["remarks"]:
            self._draft.say(sentence)

    def _shard_of(self, row: int) -> str:
        return next(shard for shard, end in zip(self.shards, accumulate(self.sizes), strict=False) if row < end)

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
