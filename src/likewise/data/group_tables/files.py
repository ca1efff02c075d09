"""Tables as files: which ones are named, what they have, their rows a few at a time; new ones in a folder that appears whole."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from likewise.artifacts.artifact import MANIFEST, Artifact
from likewise.artifacts.files import sync, sync_tree
from likewise.artifacts.run import current, is_stage
from likewise.data.corpus import items_file
from likewise.data.group_tables.archive_list import ArchiveList
from likewise.data.image_refs import DIGEST_BYTES
from likewise.data.payloads import IMAGE, IMAGES
from likewise.data.table import missing_column
from likewise.errors import DamagedArtifact, DataError, first_line

ID, GROUP = "id", "group"
ROWS = 64  # images in memory at a time, and rows of a row group
SMALL_ROWS = 8192  # rows in memory at a time where no column that is read holds bytes
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)  # what pyarrow raises for damaged files


def tables_at(paths: Sequence[Path]) -> list[Path]:
    """The Parquet files named, and those of the folders named, by name; DataError where there is none, or one twice.

    Of a run, and of a folder that ingest or `likewise tables read` has written, these are the tables of items; of other folders
    all that lie in them.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = _tables_in(path)
            if not inside:
                raise DataError(f"{path} holds no .parquet file; name a folder that does.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"{path} does not exist; name a Parquet file or a folder of them.")
    twice = next((path for path, count in Counter(path.resolve() for path in found).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{twice} is named twice; name it once.")
    if not found:
        raise DataError("No table is named; name Parquet files, or folders of them.")
    return found


def _tables_in(folder: Path) -> list[Path]:
    if (listed := ArchiveList.of(folder)) is not None:
        return listed.tables()
    if is_stage(folder) and (listed := ArchiveList.of(folder.parent)) is not None and folder.name in listed.archives:
        return listed.tables(folder.name)
    ingested = current(folder, "" if is_stage(folder) else "ingest")
    place = folder if ingested is None else ingested.path
    ours = (place / MANIFEST).is_file()  # what ingest has written, of which other tables are no items
    return sorted(
        file
        for file in place.iterdir()
        if file.name.lower().endswith(".parquet") and not file.name.startswith(".") and file.is_file()
        if file.name.startswith("items-") or not ours
    )


def schema_of(path: Path, required: Sequence[str] = (), *, plain: bool = True) -> pa.Schema:
    """A table's columns and their types (`plain`: as `plain_type` gives them); DataError where it cannot serve."""
    with _opened(path) as file:
        found = file.schema_arrow
    if twice := next((name for name, count in Counter(found.names).items() if count > 1), None):
        raise DataError(f'{path} has several columns called "{twice}"; rename all but one.')
    schema = pa.schema({field.name: plain_type(field.type) if plain else field.type for field in found})
    for name in required:
        if name not in schema.names:
            raise DataError(f"{missing_column(path, name, schema.names)}; repair the table if it is an older one.")
    if ID in required and not pa.types.is_string(schema.field(ID).type):
        raise DataError(f"{path} has ids of the type {schema.field(ID).type}, not texts; repair the table.")
    group = schema.field(GROUP).type if GROUP in schema.names else pa.null()
    if required and not (pa.types.is_string(group) or pa.types.is_integer(group) or pa.types.is_null(group)):
        raise DataError(f"{path} has groups of the type {group}, not texts or whole numbers; make them texts.")
    if IMAGE in required and schema.field(IMAGE).type != IMAGES:
        raise DataError(f'{path} has {schema.field(IMAGE).type} as its column "{IMAGE}", not {IMAGES}; repair the table.')
    return schema


def plain_type(type_: pa.DataType) -> pa.DataType:
    """The type as this project writes it: other programs have large strings and dictionaries for the same values."""
    if pa.types.is_dictionary(type_):
        return plain_type(type_.value_type)
    if pa.types.is_struct(type_):
        return pa.struct({field.name: plain_type(field.type) for field in type_})
    if pa.types.is_large_string(type_):
        return pa.string()
    return pa.binary() if pa.types.is_large_binary(type_) else type_


def slices(path: Path, columns: Sequence[str] | None = None, *, plain: bool = True) -> Iterator[pa.Table]:
    """The rows of a table, a few at a time; DataError where it is damaged."""
    row = 0
    with _opened(path) as file:
        read = [field.type for field in file.schema_arrow if columns is None or field.name in columns]
        batches = file.iter_batches(ROWS if any(map(_holds_bytes, read)) else SMALL_ROWS, columns=columns and list(columns))
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                table = pa.Table.from_batches([batch]).replace_schema_metadata()
                if plain:
                    table = table.cast(pa.schema({field.name: plain_type(field.type) for field in table.schema}))
                table.validate(full=True)
            except UNREADABLE as error:
                raise DataError(f"{path} is damaged after row {row} ({first_line(error)}); write the file again.") from error
            row += len(table)
            yield table


def found_by(path: Path) -> Callable[[str], Path]:
    """How the paths of pictures in the table at `path` are found: relative ones start from its folder, but those that ingest
    has written from where it was done or, if that is gone, from the working folder.
    """
    place = path.parent
    if (place / MANIFEST).is_file():
        with suppress(DamagedArtifact):  # another program's, which has the same name
            worked_in = Path(Artifact(place).place)
            place = worked_in if worked_in.is_dir() else Path()
    return lambda name: place / name


def anchored(table: pa.Table, path: Path) -> pa.Table:
    """A slice of the table at `path`, to be written elsewhere: relative paths of pictures as absolute ones. What stands beside
    the bytes of a picture is no path, but what it is called.
    """
    fields = {field.name: field for field in table.schema.field(IMAGE).type} if _holds_paths(table.schema) else {}
    if not fields:
        return table
    images = table[IMAGE].combine_chunks()
    parts = {name: images.field(name) for name in fields}
    held = parts["bytes"].is_valid().to_pylist() if "bytes" in parts else [False] * len(images)
    found = found_by(path)
    paths = [
        name if stored or not name else str(found(name).absolute())
        for name, stored in zip(parts["path"].to_pylist(), held, strict=True)
    ]
    parts["path"] = pa.array(paths, pa.string())
    moved = pa.StructArray.from_arrays(list(parts.values()), fields=list(fields.values()), mask=images.is_null())
    return table.set_column(table.column_names.index(IMAGE), IMAGE, moved)


def _holds_paths(schema: pa.Schema) -> bool:
    if IMAGE not in schema.names:
        return False
    type_ = schema.field(IMAGE).type
    return pa.types.is_struct(type_) and any(field.name == "path" and pa.types.is_string(field.type) for field in type_)


def filled_up(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns and types of the schema, null where it has none."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def is_binary(type_: pa.DataType) -> bool:
    """Whether values are bytes, such as encoded images."""
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _holds_bytes(type_: pa.DataType) -> bool:
    return is_binary(type_) or any(_holds_bytes(type_.field(number).type) for number in range(type_.num_fields))


def _opened(path: Path) -> pq.ParquetFile:
    try:
        # Reading ahead would hold the whole file, and without a buffer's size a column of a row group is read at once.
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20)
        assert file.schema_arrow.names is not None  # they are parsed here
    except UNREADABLE as error:
        raise DataError(f"{path} is not a readable Parquet file ({first_line(error)}); write the file again.") from error
    return file


def ids_of(table: pa.Table, path: Path, start: int) -> list[str]:
    """The ids of a slice before which `start` rows stand; DataError for a row without one."""
    ids: list[Any] = table[ID].to_pylist()
    if not all(ids):
        row = start + 1 + next(place for place, name in enumerate(ids) if not name)
        raise DataError(f"{path} has no id in row {row}; give every row one.")
    return ids


def digests_of(table: pa.Table, path: Path, start: int) -> list[bytes]:
    """The digests of a slice's images; DataError for a row without one."""
    digests: list[Any] = pc.struct_field(table[IMAGE], "digest").to_pylist()
    for row, digest in enumerate(digests, start + 1):
        if digest is None or len(digest) != DIGEST_BYTES:
            raise DataError(f"{path} has no digest of the image in row {row}; repair the table.")
    return digests


def copy_rows(tables: Sequence[Path], target: Path, kept: Callable[[pa.Table, Path, int], Any]) -> None:
    """Write the rows for which `kept(slice, path, rows before it)` is true: a new table for each."""
    with new_folder(target) as folder:
        for number, path in enumerate(tables):
            start = 0
            with Writer(folder / items_file(number), schema_of(path)) as writer:
                for part in slices(path):
                    writer.add(anchored(part, path).filter(kept(part, path, start)))
                    start += len(part)


class Writer:
    """A Parquet file, written in row groups of `ROWS` whatever slices come."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
        self._waiting = schema.empty_table()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None and len(self._waiting):
            self._writer.write_table(self._waiting)
        self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Write a slice, of which less than a row group may wait for the next one."""
        if not len(table):
            return  # else empty pieces would pile up
        self._waiting = pa.concat_tables([self._waiting, table])
        whole = len(self._waiting) // ROWS * ROWS
        if whole:
            self._writer.write_table(self._waiting.slice(0, whole), row_group_size=ROWS)
            self._waiting = self._waiting.slice(whole)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill; it becomes `target`, whole, when the block ends without an error."""
    target = target.absolute()
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
            raise DataError(f"{target} is there already; name a new folder.")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror}); name a folder elsewhere.") from error
    try:
        yield beside
        sync_tree(beside)
        os.rename(beside, target)  # an empty folder gives way
        sync(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
