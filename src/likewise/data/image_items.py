"""Tables of pictures that ingest has written, read again: merged, freed of repeated ids or small groups, repaired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from likewise.data.group_tables.files import GROUP, ID, ids_of, schema_of, slices, tables_at
from likewise.data.image_refs import ImageRef
from likewise.data.images import Wanted, read_images
from likewise.data.options import ImageItemsOptions
from likewise.data.pairs import safe_name
from likewise.data.payloads import IMAGE, from_column
from likewise.errors import DataError
from likewise.types import Items, Reject

OWN = (ID, IMAGE, "shard", "role")  # what ingest gives anew


class ImageItemsSource:
    """The rows of Parquet tables with the columns `id`, `image` and, for evidence, `group`; each table is a shard.

    Pictures are read and looked at again: a table may come from anywhere.
    """

    Options = ImageItemsOptions

    def __init__(self, options: ImageItemsOptions, seed: int = 0) -> None:
        self._options = options

    def shards(self) -> Sequence[str]:
        """The tables, by name."""
        return list(self._tables)

    def files(self, shard: str) -> Sequence[Path]:
        """The table."""
        return [self._tables[shard]]

    def read(self, shard: str) -> Iterator[Items | Reject]:
        """The pictures of a table, with all its other columns."""
        path = self._tables[shard]
        schema_of(path, (ID, IMAGE))
        return read_images(shard, self._wanted(path), self._options.frame)

    def _wanted(self, path: Path) -> Iterator[Wanted | Reject]:
        start = 0
        for part in slices(path):
            ids = ids_of(part, path, start)
            names = [name for name in part.column_names if name not in OWN]
            columns = {name: part[name].to_pylist() for name in names}
            groups = columns.get(GROUP)
            if groups is not None:
                columns[GROUP] = [None if group is None else str(group) for group in groups]
            for place, (identity, ref) in enumerate(zip(ids, _refs(part, path, start), strict=True)):
                row = start + place + 1
                mine = {name: column[place] for name, column in columns.items()}
                if ref.data is None and ref.path is None:
                    yield Reject(str(path), row, "its image has neither bytes nor a path", "give it one, or leave the row out")
                else:
                    yield Wanted(Path(ref.path or "") if ref.data is None else ref.data, identity, mine, str(path), row, ref.path)
            start += len(part)

    @cached_property
    def _tables(self) -> dict[str, Path]:
        return {safe_name(path.stem): path for path in tables_at([Path(self._options.path)])}


def _refs(part: pa.Table, path: Path, start: int) -> list[ImageRef]:
    refs: list[Any] = part[IMAGE].to_pylist()
    missing = next((place for place, ref in enumerate(refs) if ref is None), None)
    if missing is not None:
        raise DataError(f"{path} has no image in row {start + missing + 1}; give every row one.")
    found: list[ImageRef] = from_column(IMAGE, part[IMAGE])
    return found
