"""Tables of pictures that ingest has written, read again: merged, freed of repeated ids or small groups, repaired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from likewise.data.group_tables.archive_list import LIST
from likewise.data.group_tables.files import GROUP, ID, found_by, schema_of, slices, tables_at
from likewise.data.images import Wanted, read_images
from likewise.data.options import ImageItemsOptions
from likewise.data.pairs import safe_name
from likewise.data.payloads import IMAGE
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
        start, found = 0, found_by(path)
        for part in slices(path):
            names = [name for name in part.column_names if name not in OWN]
            columns = {name: part[name].to_pylist() for name in names}
            groups = columns.get(GROUP)
            if groups is not None:
                columns[GROUP] = [None if group is None else str(group) for group in groups]
            for place, (identity, image) in enumerate(zip(part[ID].to_pylist(), part[IMAGE].to_pylist(), strict=True)):
                row = start + place + 1
                data, name = (image["bytes"], image["path"]) if image else (None, None)
                source = found(name) if data is None and name else data
                if not identity or source is None:
                    reason = "its image has neither bytes nor a path" if identity else "it has no id"
                    yield Reject(str(path), row, reason, "give it one, or leave the row out")
                else:
                    mine = {column: values[place] for column, values in columns.items()}
                    yield Wanted(source, identity, mine, str(path), row, name)
            start += len(part)

    @cached_property
    def _tables(self) -> dict[str, Path]:
        """The tables by their names; those of archives that were read apart by the archives' names, too."""
        root = Path(self._options.path)
        named = {}
        for path in tables_at([root]):
            name = path.name.removesuffix(".parquet")
            folder = path.relative_to(root).parts[0] if root.is_dir() else ""
            named[safe_name(f"{folder}-{name}" if (root / LIST).is_file() else name)] = path
        return named
