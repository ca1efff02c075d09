"""Tables of grouped items, worked on as Parquet files: merged, freed of repeated ids and of small groups, repaired, summarised.

Tables have the columns `id` (string), `group` (string; null means none), `shard`, `image` (see `payloads.IMAGES`) and any
metadata. They are read in slices of a few rows; only ids, groups and digests of a whole table are ever in memory. What is written
is there whole or not at all: a folder of new tables appears when its last table is on the disk, and a table repaired in place
takes the place of the old one when it is. What a killed process leaves is a hidden folder beside, `.NAME.PID.tmp`.

DataError names the file for what cannot be read, a column that is missing, or one of the wrong type; nothing is written then.
"""

from __future__ import annotations

import os
import shutil
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from likewise.artifacts.files import replacing, sync, sync_tree
from likewise.data.corpus import items_file
from likewise.data.image_refs import DIGEST_BYTES, image_digest
from likewise.data.payloads import IMAGE, IMAGES
from likewise.data.street_view import COLUMNS, joined_id
from likewise.data.table import missing_column
from likewise.errors import DataError

ID, GROUP = "id", "group"
ROWS = 64  # images in memory at a time, and in a row group
SMALL_ROWS = 8192  # rows at a time where no image is read
EXAMPLES = 5  # named in sentences
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)  # what pyarrow raises for damaged files

OLD_COLUMNS: dict[str, str] = {
    "patch_id": ID,
    "image_id": ID,
    "item_id": ID,
    "filename": ID,
    "file_name": ID,
    "target_id": GROUP,
    "building_id": GROUP,
    "group_id": GROUP,
    "image_bytes": f"{IMAGE}.bytes",
    "jpg": f"{IMAGE}.bytes",
    "img": f"{IMAGE}.bytes",
    "image_path": f"{IMAGE}.path",
    "dataset_id": "dataset",
    "street_view_id": "street_view",
    "streetview_id": "street_view",
    "target_lat": "target_latitude",
    "lat": "target_latitude",
    "latitude": "target_latitude",
    "target_lon": "target_longitude",
    "target_lng": "target_longitude",
    "lon": "target_longitude",
    "lng": "target_longitude",
    "longitude": "target_longitude",
    "surface_normal_x": "normal_x",
    "surface_normal_y": "normal_y",
    "surface_normal_z": "normal_z",
    "camera_lat": "camera_latitude",
    "cam_lat": "camera_latitude",
    "camera_lon": "camera_longitude",
    "camera_lng": "camera_longitude",
    "cam_lon": "camera_longitude",
    "cam_lng": "camera_longitude",
    "cam_height": "camera_height",
}
"""Names in older tables, and what they are called now; `image.bytes` and `image.path` are parts of the column `image`.

Of several old names of one column, the first one here becomes it, and the others stay as they are.
"""

WITHIN_DATASET = {"target_id": (GROUP, "target"), "patch_id": (ID, "patch")}
"""Whole numbers that are unique within a dataset only: beside the dataset's they become `0001_123`, and stay as metadata."""


def tables_at(paths: Sequence[Path]) -> list[Path]:
    """The Parquet files named, and those directly in the folders named, by name; DataError where there is none, or one twice."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.glob("*.parquet") if file.is_file() and not file.name.startswith("."))
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


# Merge


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged: tables read and written, rows, and for each column that some tables lack, those tables."""

    tables: int
    written: int
    rows: int
    missing: Mapping[str, tuple[Path, ...]]

    def sentences(self) -> list[str]:
        """The report in words."""
        told = [f"{_count(self.rows, 'row')} of {_count(self.tables, 'table')} written to {_count(self.written, 'table')}."]
        for column, paths in self.missing.items():
            told.append(f'The column "{column}" is null for the rows of {_examples(paths)}, which do not have it.')
        return told


def merge(paths: Sequence[Path], target: Path, *, rows_per_file: int = 100_000) -> Merged:
    """Write the rows of several tables, in their order, to a new folder `target` of tables of `rows_per_file` rows.

    The columns are those of all tables; a table that lacks one has null there. DataError where two tables have different types
    for a column, or `target` is there already.
    """
    if rows_per_file < 1:
        raise DataError(f"rows_per_file is {rows_per_file}; it must be at least 1.")
    tables = tables_at(paths)
    schemas = {path: _schema(path, required=(ID,)) for path in tables}
    united = _united(schemas)
    rows = written = room = 0
    with _new_folder(target) as folder, ExitStack() as open_one:
        writer: _Writer | None = None
        for path in tables:
            for part in _slices(path):
                rows += len(part)
                part = _filled_up(part, united)
                while len(part):
                    if writer is None or not room:
                        open_one.close()
                        writer = open_one.enter_context(_Writer(folder / items_file(written), united))
                        room, written = rows_per_file, written + 1
                    writer.add(part.slice(0, room))
                    part, room = part.slice(room), room - min(room, len(part))
        if writer is None:
            open_one.enter_context(_Writer(folder / items_file(0), united))
            written = 1
        open_one.close()  # before the folder appears
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


def _filled_up(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of the schema, null where it has none."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


# Deduplicate


@dataclass(frozen=True, slots=True)
class Conflict:
    """An id that stands for two images: the table whose row was kept, and the one whose row was left out."""

    id: str
    kept: Path
    left_out: Path


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """Rows read and kept; rows left out since an earlier one has their id, with the same image (`repeated`) or with another."""

    rows: int
    kept: int
    repeated: int
    repeated_ids: tuple[str, ...]
    conflicts: tuple[Conflict, ...]

    def sentences(self) -> list[str]:
        """The report in words."""
        told = [f"{self.kept} of {_count(self.rows, 'row')} kept, one for each id."]
        if self.repeated:
            told.append(f"{_count(self.repeated, 'row')} left out as repeated: {_examples(self.repeated_ids, self.repeated)}.")
        if self.conflicts:
            ids = _examples([each.id for each in self.conflicts])
            told.append(f"{_count(len(self.conflicts), 'row')} left out whose id has another image in an earlier row: {ids}.")
        return told


def deduplicate(paths: Sequence[Path], target: Path, *, on_conflict: Literal["error", "first"] = "error") -> Deduplicated:
    """Write one row for each id, the first one met, to a new folder `target` with a table for each table read.

    Images are compared by their digests. Different images of one id are a DataError, or, with `on_conflict` "first", left out and
    listed. Two ids of one image are left alone: that is for fingerprints to find. Memory: some 300 bytes for each id.
    """
    tables = tables_at(paths)
    for path in tables:
        _schema(path, required=(ID, IMAGE))
    ids = _FirstOfEachId(keep_first=on_conflict == "first")
    _copy(tables, target, ids.kept)
    kept = ids.rows - ids.repeated - len(ids.conflicts)
    return Deduplicated(ids.rows, kept, ids.repeated, tuple(ids.examples), tuple(ids.conflicts))


class _FirstOfEachId:
    """Which rows are the first of their ids; counts the others."""

    def __init__(self, *, keep_first: bool) -> None:
        """`keep_first`: an id with two images is no error."""
        self._keep_first = keep_first
        self._seen: dict[str, tuple[bytes, Path]] = {}
        self.rows = self.repeated = 0
        self.examples: list[str] = []
        self.conflicts: list[Conflict] = []

    def kept(self, part: pa.Table, path: Path, start: int) -> pa.Array[Any]:
        """Whether each row of a slice is to be kept."""
        self.rows += len(part)
        pairs = zip(_ids(part, path, start), _digests(part, path, start), strict=True)
        return pa.array(
            [self._is_first(name, digest, path, row) for row, (name, digest) in enumerate(pairs, start + 1)], pa.bool_()
        )

    def _is_first(self, name: str, digest: bytes, path: Path, row: int) -> bool:
        if name not in self._seen:
            self._seen[name] = digest, path
            return True
        known, first = self._seen[name]
        if known == digest:
            self.repeated += 1
            self.examples += [name] if len(self.examples) < EXAMPLES else []
        elif self._keep_first:
            self.conflicts.append(Conflict(name, first, path))
        else:
            raise DataError(
                f'The id "{name}" stands for two different images, in {first} and in {path}, row {row}; '
                "give each image an id of its own, or keep the first of them."
            )
        return False


# Drop small groups


@dataclass(frozen=True, slots=True)
class SmallGroupsDropped:
    """Rows read, kept, and kept without a group; groups read and left out, with the names of a few."""

    at_least: int
    rows: int
    kept: int
    without_group: int
    groups: int
    dropped: int
    examples: tuple[str, ...]

    def sentences(self) -> list[str]:
        """The report in words."""
        told = [f"{self.kept} of {_count(self.rows, 'row')} kept, in {_count(self.groups - self.dropped, 'group')}."]
        if self.dropped:
            few = _examples(self.examples, self.dropped)
            told.append(f"{_count(self.dropped, 'group')} of fewer than {self.at_least} images left out: {few}.")
        if self.without_group:
            told.append(f"{_count(self.without_group, 'row')} without a group kept.")
        return told


def drop_single(paths: Sequence[Path], target: Path, *, at_least: int = 2) -> SmallGroupsDropped:
    """Write the rows of groups of `at_least` images or more to a new folder `target` with a table for each table read.

    A group's images are counted over all tables, an id once. Rows without a group are in no group that could be too small, and
    are kept. Two passes: one reads ids and groups, one copies. Memory: ids and groups as they stand, and their counts.
    """
    if at_least < 2:
        raise DataError(f"at_least is {at_least}; it must be 2 or more, since every group has an image.")
    tables = tables_at(paths)
    for path in tables:
        _schema(path, required=(ID, GROUP))
    sizes = _group_sizes(tables)
    small = [name for name, count in sizes.items() if count < at_least]
    small_groups = pa.array(small, pa.string())
    rows = kept_rows = without = 0

    def kept(part: pa.Table, path: Path, start: int) -> pa.Array[Any]:
        nonlocal rows, kept_rows, without
        group = part[GROUP].cast(pa.string())
        chosen = pc.invert(pc.is_in(group, value_set=small_groups, skip_nulls=True))
        rows += len(part)
        kept_rows += int(pc.sum(chosen).as_py() or 0)
        without += group.null_count
        return chosen

    _copy(tables, target, kept)
    return SmallGroupsDropped(at_least, rows, kept_rows, without, len(sizes), len(small), tuple(small[:EXAMPLES]))


def _group_sizes(tables: Sequence[Path]) -> dict[str, int]:
    """How many different ids each group has, over all tables; in the order in which the groups are met."""
    pieces: list[pa.Table] = [pa.table({ID: pa.array([], pa.string()), GROUP: pa.array([], pa.string())})]
    for path in tables:
        if GROUP in _schema(path, required=(ID,)).names:
            pieces += [part.select([ID, GROUP]).cast(pieces[0].schema) for part in _slices(path, (ID, GROUP))]
    counted = pa.concat_tables(pieces).group_by(GROUP, use_threads=False).aggregate([(ID, "count_distinct")])
    counts = zip(counted[GROUP].to_pylist(), counted[f"{ID}_count_distinct"].to_pylist(), strict=True)
    return {name: count for name, count in counts if name is not None}


# Repair


@dataclass(frozen=True, slots=True)
class RepairedTable:
    """What changes in one table: columns renamed, made and cast, in words; and its rows, with digests filled in and put right."""

    path: Path
    rows: int
    changes: tuple[str, ...]
    digests_filled: int
    digests_corrected: int

    @property
    def changed(self) -> bool:
        """Whether anything does."""
        return bool(self.changes or self.digests_filled or self.digests_corrected)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was repaired, or, where `dry_run`, what would be."""

    tables: tuple[RepairedTable, ...]
    dry_run: bool

    def sentences(self) -> list[str]:
        """The report in words."""
        changed = [table for table in self.tables if table.changed]
        told = [f"{len(changed)} of {_count(len(self.tables), 'table')} {'to be ' if self.dry_run else ''}repaired."]
        for table in changed:
            what = list(table.changes)
            what += [f"{_count(table.digests_filled, 'digest')} filled in"] if table.digests_filled else []
            what += [f"{_count(table.digests_corrected, 'digest')} corrected"] if table.digests_corrected else []
            told.append(f"{table.path}: {', '.join(what)}.")
        return told


def repair(paths: Sequence[Path], target: Path | None = None, *, dry_run: bool = False) -> Repaired:
    """Bring older tables to what this version writes: as new tables in a new folder `target`, or in place where that is None.

    Known old columns get their names of today (`OLD_COLUMNS`), ids and groups become texts, numbers of `street_view.COLUMNS` get
    their types, and `image` its parts: encoded bytes that stand alone become one of them, and digests are computed from the bytes
    where these are. Repairing again changes nothing. In place, all tables are read through before the first one is written.
    With `dry_run` nothing is written. DataError for a value that cannot be cast, a row without an id or an image.
    """
    tables = tables_at(paths)
    if target is not None and not dry_run:
        with _new_folder(target) as folder:
            found = tuple(_repaired(path, folder / items_file(number)) for number, path in enumerate(tables))
        return Repaired(found, dry_run)
    found = tuple(_repaired(path, None) for path in tables)
    for table in found:
        if table.changed and not dry_run:
            with replacing(table.path.resolve()) as temporary:
                _repaired(table.path, temporary)
    return Repaired(found, dry_run)


def _repaired(path: Path, written: Path | None) -> RepairedTable:
    """Repair one table, and write it where asked to."""
    plan = _Plan(path, _schema(path, plain=False))
    digests: Counter[str] = Counter()
    rows = 0
    with ExitStack() as files:
        writer = None if written is None else files.enter_context(_Writer(written, plan.schema))
        for part in _slices(path, plain=False):
            repaired = plan.apply(part, rows, digests)
            rows += len(part)
            if writer is not None:
                writer.add(repaired)
    return RepairedTable(path, rows, plan.changes, digests["filled"], digests["corrected"])


class _Plan:
    """How a table's columns become those of today, which its schema decides."""

    def __init__(self, path: Path, stored: pa.Schema) -> None:
        self._path = path
        self._stored = stored
        self._image = self._image_parts()
        self._made = {new: number for old, (new, number) in WITHIN_DATASET.items() if self._is_made(old, new, number)}
        self._names = self._new_names()
        kept = {name: new for name, new in self._names.items() if name not in self._image.values() and name != IMAGE}
        types = {new: self._new_type(name, new) for name, new in kept.items()}
        types |= dict.fromkeys(self._made, pa.string())
        if self._image or IMAGE in stored.names:
            types[IMAGE] = IMAGES
        self._kept = kept
        self.schema = pa.schema(types)
        if ID not in types:
            raise DataError(f"{missing_column(path, ID, stored.names)}; rename the one that holds the ids.")

    @property
    def changes(self) -> tuple[str, ...]:
        """What is renamed, made and cast, in words."""
        told = [f'"{name}" is now "{new}"' for name, new in self._names.items() if name != new]
        told += [f'"{new}" is made of "dataset" and "{number}"' for new, number in self._made.items()]
        for name, new in self._kept.items():
            before, after = self._stored.field(name).type, self.schema.field(new).type
            told += [f'"{new}" is cast from {before} to {after}'] if before != after else []
        if IMAGE in self.schema.names and (IMAGE not in self._stored.names or self._stored.field(IMAGE).type != IMAGES):
            told.append(f'"{IMAGE}" has the parts {", ".join(field.name for field in IMAGES)}')
        return tuple(told)

    def apply(self, table: pa.Table, start: int, digests: Counter[str]) -> pa.Table:
        """A slice as it is to be; `start` rows stand before it, and `digests` counts those filled in and corrected."""
        self._refuse_bare_numbers(table, start)
        columns: dict[str, Any] = {}
        for name, new in self._kept.items():
            columns[new] = self._cast(table[name], name, self.schema.field(new).type, start)
        for new, number in self._made.items():
            pairs = zip(columns["dataset"].to_pylist(), columns[number].to_pylist(), strict=True)
            columns[new] = pa.array([None if None in pair else joined_id(*pair) for pair in pairs], pa.string())
        if IMAGE in self.schema.names:
            columns[IMAGE] = self._images(table, start, digests)
        repaired = pa.Table.from_arrays([columns[name] for name in self.schema.names], schema=self.schema)
        _ids(repaired, self._path, start)
        return repaired

    def _is_made(self, old: str, new: str, number: str) -> bool:
        """Whether ids or groups are made of a dataset's number and another."""
        names = self._stored.names
        if old not in names or new in names or number in names or not self._has_dataset():
            return False
        return bool(pa.types.is_integer(self._stored.field(old).type))

    def _has_dataset(self) -> bool:
        """Whether there is a dataset's number; under today's name a text may be something else."""
        names = self._stored.names
        return pa.types.is_integer(self._stored.field("dataset").type) if "dataset" in names else "dataset_id" in names

    def _refuse_bare_numbers(self, table: pa.Table, start: int) -> None:
        """DataError for numbers within a dataset that are written as texts: alone they would join what belongs apart."""
        for old, (new, number) in WITHIN_DATASET.items():
            if self._names.get(old) != new or not self._has_dataset():
                continue
            values = enumerate(self._cast(table[old], old, pa.string(), start).to_pylist(), start + 1)
            if found := next(((row, value) for row, value in values if value and value.isdigit()), None):
                raise DataError(
                    f'{self._path} has "{found[1]}" as its {old} in row {found[0]}, which is unique within a dataset only; '
                    f'make the column whole numbers, to be joined with those of the dataset, or call it "{number}".'
                )

    def _image_parts(self) -> dict[str, str]:
        """The columns that become parts of `image`, by part; none where it has parts already, or there are no bytes."""
        names = self._stored.names
        parts: dict[str, str] = {}
        if IMAGE in names:
            stored = self._stored.field(IMAGE).type
            if pa.types.is_struct(stored):
                if unknown := next((field.name for field in stored if field.name not in _PARTS), None):
                    raise DataError(f'{self._path} has the unknown part "{unknown}" in its column "{IMAGE}"; make it a column.')
                return {}
            if not _is_binary(stored):
                raise DataError(
                    f'{self._path} has {stored} in its column "{IMAGE}", not encoded images; read the pictures in again.'
                )
            parts["bytes"] = IMAGE
        for name, new in OLD_COLUMNS.items():
            part = new.removeprefix(f"{IMAGE}.")
            if (
                name in names
                and new != part
                and part not in parts
                and (part != "bytes" or _is_binary(self._stored.field(name).type))
            ):
                parts[part] = name
        return parts if "bytes" in parts else {}

    def _new_names(self) -> dict[str, str]:
        """What each stored column is called, in the table's order."""
        stored = self._stored.names
        taken = {*stored, *self._made}
        chosen = {name: f"{IMAGE}.{part}" for part, name in self._image.items() if name != IMAGE}
        made_of = {old: number for old, (new, number) in WITHIN_DATASET.items() if new in self._made}
        for old, new in OLD_COLUMNS.items():
            new = made_of.get(old, new)
            if old in stored and new not in taken and not new.startswith(f"{IMAGE}."):
                chosen[old] = new
                taken.add(new)
        return {name: chosen.get(name, name) for name in stored}

    def _new_type(self, name: str, new: str) -> pa.DataType:
        stored = self._stored.field(name).type
        if new in (ID, GROUP):
            return pa.string()
        is_number = pa.types.is_integer(stored) or (pa.types.is_floating(stored) and COLUMNS.get(new) == pa.float64())
        if new in COLUMNS and (name != new or is_number):  # under a name of today, a text may be something else
            return COLUMNS[new]
        return _plain(stored)

    def _cast(self, column: Any, name: str, type_: pa.DataType, start: int) -> Any:
        try:
            if pa.types.is_string(type_) and pa.types.is_floating(column.type):  # whole numbers, where some were missing
                column = pc.if_else(pc.is_nan(column), None, column).cast(pa.int64())
            return column.cast(_plain(column.type)).cast(type_)
        except pa.ArrowException as error:
            raise DataError(
                f'{self._path} has in its column "{name}", rows {start + 1} to {start + len(column)}, what cannot be cast to '
                f"{type_} ({_first_line(error)}); mend the values, or rename the column."
            ) from error

    def _images(self, table: pa.Table, start: int, digests: Counter[str]) -> Any:
        """The column `image` of a slice: each digest that of the bytes, where these are."""
        parts = {name: self._part(table, name, start) for name in _PARTS}
        told: list[bytes] = []
        for row, (data, stored) in enumerate(zip(parts["bytes"], parts["digest"].to_pylist(), strict=True), start + 1):
            if not data.is_valid and (stored is None or len(stored) != DIGEST_BYTES):
                raise DataError(
                    f"{self._path} has neither image bytes nor their digest in row {row}; read its pictures in again."
                )
            told.append(image_digest(data.as_buffer()) if data.is_valid else stored)
            if told[-1] != stored:
                digests["filled" if stored is None else "corrected"] += 1
        parts["digest"] = pa.array(told, pa.binary())
        return pa.StructArray.from_arrays([parts[name] for name in _PARTS], fields=list(IMAGES))

    def _part(self, table: pa.Table, part: str, start: int) -> Any:
        type_ = IMAGES.field(part).type
        if part in self._image:
            return self._cast(table[self._image[part]], self._image[part], type_, start).combine_chunks()
        if not self._image and part in [field.name for field in table[IMAGE].type]:
            return self._cast(pc.struct_field(table[IMAGE], part), IMAGE, type_, start).combine_chunks()
        return pa.nulls(len(table), type_)


_PARTS = tuple(field.name for field in IMAGES)


def _is_binary(type_: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


# Summary


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many groups have from `low` to `high` images."""

    low: int
    high: int
    groups: int


@dataclass(frozen=True, slots=True)
class GroupSizes:
    """Images per group: extremes, median and mean, and a histogram whose buckets double (1, 2, 3 to 4, 5 to 8, …)."""

    least: int
    median: float
    mean: float
    most: int
    histogram: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What tables hold: their bytes on the disk, rows, different ids, groups, rows without a group; no sizes without groups."""

    tables: int
    bytes: int
    rows: int
    ids: int
    groups: int
    without_group: int
    images_per_group: GroupSizes | None

    def sentences(self) -> list[str]:
        """The summary in words."""
        rows, ids = _count(self.rows, "row"), _count(self.ids, "id")
        told = [f"{_count(self.tables, 'table')} of {self.bytes:,} bytes: {rows}, {ids}, {_count(self.groups, 'group')}."]
        if self.without_group:
            told.append(f"{_count(self.without_group, 'row')} without a group.")
        if sizes := self.images_per_group:
            told.append(
                f"Images per group: {sizes.least} to {sizes.most}, median {sizes.median:g}, mean {sizes.mean:.3g} "
                f"({', '.join(_bucket_words(bucket) for bucket in sizes.histogram)})."
            )
        return told


def summary(paths: Sequence[Path]) -> Summary:
    """Count what tables hold. A group's images are its different ids over all tables. Reads and holds ids and groups only."""
    tables = tables_at(paths)
    ids: list[Any] = [pa.array([], pa.string())]
    rows = without = 0
    for path in tables:
        has_group = GROUP in _schema(path, required=(ID,)).names
        for part in _slices(path, (ID, GROUP) if has_group else (ID,)):
            rows += len(part)
            without += part[GROUP].null_count if has_group else len(part)
            ids += part[ID].chunks
    sizes = list(_group_sizes(tables).values())
    return Summary(
        tables=len(tables),
        bytes=sum(path.stat().st_size for path in tables),
        rows=rows,
        ids=int(pc.count_distinct(pa.chunked_array(ids)).as_py()),
        groups=len(sizes),
        without_group=without,
        images_per_group=_group_sizes_of(sizes) if sizes else None,
    )


def _group_sizes_of(sizes: Sequence[int]) -> GroupSizes:
    buckets = Counter((size - 1).bit_length() for size in sizes)
    histogram = tuple(Bucket((1 << bits >> 1) + 1, 1 << bits, count) for bits, count in sorted(buckets.items()))
    return GroupSizes(min(sizes), statistics.median(sizes), statistics.fmean(sizes), max(sizes), histogram)


def _bucket_words(bucket: Bucket) -> str:
    images = f"{bucket.low}" if bucket.low == bucket.high else f"{bucket.low}–{bucket.high}"
    return f"{images}: {bucket.groups}"


# Reading and writing


def _schema(path: Path, required: Sequence[str] = (), *, plain: bool = True) -> pa.Schema:
    """A table's columns and their types (`plain`: as `_plain` gives them); DataError where it cannot serve."""
    with _opened(path) as file:
        found = file.schema_arrow
    if twice := next((name for name, count in Counter(found.names).items() if count > 1), None):
        raise DataError(f'{path} has several columns called "{twice}"; rename all but one.')
    schema = pa.schema({field.name: _plain(field.type) if plain else field.type for field in found})
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


def _plain(type_: pa.DataType) -> pa.DataType:
    """The type as this project writes it: other programs have large strings and dictionaries for the same values."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_struct(type_):
        return pa.struct({field.name: _plain(field.type) for field in type_})
    if pa.types.is_large_string(type_):
        return pa.string()
    return pa.binary() if pa.types.is_large_binary(type_) else type_


def _slices(path: Path, columns: Sequence[str] | None = None, *, plain: bool = True) -> Iterator[pa.Table]:
    """The rows of a table, a few at a time; DataError where it is damaged."""
    row = 0
    with _opened(path) as file:
        batches = file.iter_batches(ROWS if columns is None else SMALL_ROWS, columns=columns and list(columns))
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                table = pa.Table.from_batches([batch]).replace_schema_metadata()
                if plain:
                    table = table.cast(pa.schema({field.name: _plain(field.type) for field in table.schema}))
                table.validate(full=True)
            except UNREADABLE as error:
                raise DataError(f"{path} is damaged after row {row} ({_first_line(error)}); write the file again.") from error
            row += len(table)
            yield table


def _opened(path: Path) -> pq.ParquetFile:
    try:
        # Reading ahead would hold the whole file, and without a buffer's size a column of a row group is read at once.
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20)
        assert file.schema_arrow.names is not None  # they are parsed here
    except UNREADABLE as error:
        raise DataError(f"{path} is not a readable Parquet file ({_first_line(error)}); write the file again.") from error
    return file


def _ids(table: pa.Table, path: Path, start: int) -> list[str]:
    ids: list[Any] = table[ID].to_pylist()
    if not all(ids):
        row = start + 1 + next(place for place, name in enumerate(ids) if not name)
        raise DataError(f"{path} has no id in row {row}; give every row one.")
    return ids


def _digests(table: pa.Table, path: Path, start: int) -> list[bytes]:
    digests: list[Any] = pc.struct_field(table[IMAGE], "digest").to_pylist()
    for row, digest in enumerate(digests, start + 1):
        if digest is None or len(digest) != DIGEST_BYTES:
            raise DataError(f"{path} has no digest of the image in row {row}; repair the table.")
    return digests


def _copy(tables: Sequence[Path], target: Path, kept: Callable[[pa.Table, Path, int], Any]) -> None:
    """Write the rows for which `kept(slice, path, rows before it)` is true: a new table for each."""
    with _new_folder(target) as folder:
        for number, path in enumerate(tables):
            start = 0
            with _Writer(folder / items_file(number), _schema(path)) as writer:
                for part in _slices(path):
                    writer.add(part.filter(kept(part, path, start)))
                    start += len(part)


class _Writer:
    """A Parquet file, written in row groups of `ROWS` whatever slices come."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
        self._waiting = schema.empty_table()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None and len(self._waiting):
            self._writer.write_table(self._waiting)
        self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Write a slice, of which less than a row group may wait for the next one."""
        self._waiting = pa.concat_tables([self._waiting, table])
        whole = len(self._waiting) // ROWS * ROWS
        if whole:
            self._writer.write_table(self._waiting.slice(0, whole), row_group_size=ROWS)
            self._waiting = self._waiting.slice(whole)


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill; it becomes `target`, whole, when the block ends without an error."""
    target = target.absolute()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target} is there already; name a new folder.")
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        sync_tree(beside)
        os.rename(beside, target)  # an empty folder gives way
        sync(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _examples(values: Sequence[Any], total: int | None = None) -> str:
    """The first few, and how many more there are."""
    more = (total or len(values)) - len(values[:EXAMPLES])
    return ", ".join(map(str, values[:EXAMPLES])) + (f" and {more:,} more" if more else "")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
