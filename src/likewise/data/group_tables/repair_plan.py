"""How the columns of an older table become those of today."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from likewise.data.group_tables.files import GROUP, ID, ids_of, is_binary, plain_type
from likewise.data.group_tables.old_columns import OLD_COLUMNS, WITHIN_DATASET
from likewise.data.image_refs import DIGEST_BYTES, image_digest
from likewise.data.payloads import IMAGE, IMAGES
from likewise.data.street_view import COLUMNS, joined_id
from likewise.data.table import missing_column
from likewise.errors import DataError, first_line

_PARTS = tuple(field.name for field in IMAGES)


class Plan:
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
        ids_of(repaired, self._path, start)
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
            if not is_binary(stored):
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
                and (part != "bytes" or is_binary(self._stored.field(name).type))
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
        return plain_type(stored)

    def _cast(self, column: Any, name: str, type_: pa.DataType, start: int) -> Any:
        try:
            if pa.types.is_string(type_) and pa.types.is_floating(column.type):  # whole numbers, where some were missing
                column = pc.if_else(pc.is_nan(column), None, column).cast(pa.int64())
            return column.cast(plain_type(column.type)).cast(type_)
        except pa.ArrowException as error:
            raise DataError(
                f'{self._path} has in its column "{name}", rows {start + 1} to {start + len(column)}, what cannot be cast to '
                f"{type_} ({first_line(error)}); mend the values, or rename the column."
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
