"""Images as items: the pictures of a folder, or those that a table names.

Each picture is read, looked at and decoded once while it is read in, in threads: what cannot be decoded to its last byte is
refused here and not in the middle of an embedding. What is kept is a reference to the file with the digest of its bytes, and the
one small look that fingerprints are made of, whatever the encoder.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from likewise.data.image_header import header
from likewise.data.image_refs import PICTURES, ImageRef, image_digest, read_file
from likewise.data.intensity import looks_swapped
from likewise.data.options import ImageFolderOptions, ImageTableOptions
from likewise.data.pairs import safe_name
from likewise.data.payloads import PAYLOADS
from likewise.data.pixels import SmallLook, decode, describe, small_look
from likewise.data.sampling import draw, draw_rows, rows_at
from likewise.data.table import Row, column_names, count_rows, encodable, read_rows, table_files
from likewise.errors import DataError
from likewise.processors import processors
from likewise.types import Int64, Items, Reject, Remark

LOOK = 64  # a JPEG is decoded to at least so many pixels for the small look
SLICE, SLICE_BYTES = 256, 64 << 20  # images, or bytes of them in memory, read in before they are handed on
READERS = 8  # shards of images read at the same time, at most: each holds a slice, and the one before until that is full
ROOT = "(root)"  # the shard of what lies in the folder itself: no folder's name is written so
FACTS = ("format", "width", "height", "bits", "frames", "radiometric", "swapped", "lowest", "highest", "distinct")
TAKEN = (*FACTS, *PAYLOADS, "id", "shard", "role", "group")  # columns that ingest writes


class Wanted(NamedTuple):
    """A picture to read in: its file or encoded bytes, its id, its metadata; where it was named, for messages; its own name."""

    source: Path | bytes
    id: str
    columns: dict[str, Any]
    place: str
    row: int | None = None
    name: str | None = None


class ImageFolderSource:
    """The pictures below a folder; each folder of them is a shard."""

    Options = ImageFolderOptions

    def __init__(self, options: ImageFolderOptions, seed: int = 0) -> None:
        self._options = options
        self._seed = seed
        self._passed_over: Counter[str] = Counter()

    def shards(self) -> Sequence[str]:
        """The folders that hold pictures, by name."""
        return list(self._folders)

    @property
    def readers(self) -> int:
        """Folders read at the same time."""
        return readers(len(self._folders))

    def files(self, shard: str) -> Sequence[Path]:
        """The pictures of a folder."""
        return self._folders[shard]

    def read(self, shard: str) -> Iterator[Items | Reject | Remark]:
        """The folder's pictures; the id is the path below the folder, the group, where asked for, the folder's name."""
        root, options = Path(self._options.path), self._options

        def wanted(file: Path) -> Wanted | Reject:
            name = file.relative_to(root)
            if not encodable(str(file)):
                return Reject(ascii(str(file)), None, "its name is not UTF-8", "rename it, or leave it out")
            columns = {"group": name.parts[0]} if options.group_from_folder and len(name.parts) > 1 else {"group": None}
            return Wanted(file, name.as_posix(), columns if options.group_from_folder else {}, str(file))

        yield from read_images(shard, map(wanted, self._folders[shard]), options.frame)
        if shard == next(iter(self._folders)):  # told once
            for ending, count in sorted(self._passed_over.items()):
                yield Remark(f"{root}: passed over files that end in {ending}: {count}.")

    @cached_property
    def _folders(self) -> dict[str, list[Path]]:
        root = Path(self._options.path)
        if not root.is_dir():
            raise DataError(f"{root} is not a folder; name the folder that holds the pictures as [ingest] path.")
        found: dict[str, list[Path]] = {}
        for folder, folders, names in os.walk(root, onerror=_refuse_folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.startswith("."):
                    continue
                path = Path(folder) / name
                if name.lower().endswith(PICTURES) and (
                    path.is_file() or not path.exists()
                ):  # no pipe; a link to nothing is told
                    found.setdefault(folder, []).append(path)
                else:
                    self._passed_over[Path(name).suffix.lower() or "nothing"] += 1
        if not found:
            raise DataError(f"{root} holds no pictures; put {', '.join(PICTURES)} files there, or name another folder.")
        if self._options.sample_size is not None:
            names = [str(path.relative_to(root)) for paths in found.values() for path in paths]
            drawn = {root / name for name in draw(names, self._options.sample_size, self._seed)}
            found = {folder: [path for path in paths if path in drawn] for folder, paths in found.items()}
        return {_shard_name(root, Path(folder)): paths for folder, paths in sorted(found.items()) if paths}


class ImageTableSource:
    """The pictures that tables name, with an id and whatever else their rows say."""

    Options = ImageTableOptions

    def __init__(self, options: ImageTableOptions, seed: int = 0) -> None:
        self._options = options
        self._seed = seed

    def shards(self) -> Sequence[str]:
        """The tables, by name."""
        return list(self._tables)

    def read(self, shard: str) -> Iterator[Items | Reject | Remark]:
        """The pictures of a table's rows."""
        path, options = self._tables[shard], self._options
        names = [name for name in column_names(path) if name not in (options.id, options.file)]
        if options.group is not None and options.group not in names:
            raise DataError(f'{path} has no column "{options.group}"; name another as [ingest] group.')
        columns = {name: _column(name, options.group) for name in names}
        yield from read_images(shard, self._wanted(path, columns, self._rows(shard)), options.frame)
        renamed = [f'"{name}" as "{column}"' for name, column in columns.items() if column not in (name, "group")]
        if renamed:
            yield Remark(f"{path}: kept {', '.join(renamed)}, since ingest has columns of these names.")

    def _wanted(self, path: Path, columns: Mapping[str, str], rows: Iterable[Row | Reject]) -> Iterator[Wanted | Reject]:
        root = Path(self._options.images) if self._options.images else path.parent
        for row in rows:
            if isinstance(row, Reject):
                yield row
                continue
            identity, file, *cells = row.cells
            if identity is None or file is None:
                column = self._options.id if identity is None else self._options.file
                yield Reject(str(path), row.number, f"its cell of {column} is empty", "fill it in, or leave the row out")
                continue
            told = dict(zip(columns.values(), cells, strict=True))
            unreadable = next((text for text in (identity, file, *cells) if isinstance(text, str) and not encodable(text)), None)
            if unreadable is not None:
                yield Reject(str(path), row.number, f"{unreadable[:60]!a} is not UTF-8", "write the table in UTF-8")
                continue
            yield Wanted(root / str(file), str(identity), told, str(path), row.number)

    def _rows(self, shard: str) -> Iterator[Row | Reject]:
        path, options = self._tables[shard], self._options
        names = [name for name in column_names(path) if name not in (options.id, options.file)]
        rows = read_rows(path, (options.id, options.file), names)
        return rows if options.sample_size is None else rows_at(rows, self._drawn[shard])

    @cached_property
    def _drawn(self) -> Mapping[str, Int64]:
        """Of each table the rows drawn among those of all."""
        assert self._options.sample_size is not None
        return draw_rows({name: count_rows(path) for name, path in self._tables.items()}, self._options.sample_size, self._seed)

    @cached_property
    def _tables(self) -> dict[str, Path]:
        return {safe_name(path.name): path for path in table_files(Path(self._options.path))}


def read_images(shard: str, wanted: Iterator[Wanted | Reject], frame: int = 0) -> Iterator[Items | Reject]:
    """Pictures as items in slices, in their order, read in by as many threads as there are processors; or why not.

    Of a picture of several pages the one of the number `frame` is looked at.
    """
    while batch := list(_slice(wanted)):
        found: list[tuple[Wanted, ImageRef, dict[str, Any]]] = []
        for each, read in zip(batch, _threads().map(lambda one: _looked_at(one, frame), batch), strict=True):
            if isinstance(each, Reject):
                yield each
            elif isinstance(read, Reject):
                yield read
            else:
                found.append((each, *read))
        if found:
            names = [*found[0][0].columns, *found[0][2]]
            columns = {name: [{**each.columns, **facts}[name] for each, _, facts in found] for name in names}
            yield Items(shard, [each.id for each, *_ in found], [ref for _, ref, _ in found], columns)


def readers(shards: int) -> int:
    """How many of so many shards of images to read at the same time."""
    return min(shards, READERS, processors())


@cache
def _threads() -> ThreadPoolExecutor:
    """One per processor, for all shards that are read at the same time."""
    return ThreadPoolExecutor(processors(), thread_name_prefix="likewise-images")


def _slice(wanted: Iterator[Wanted | Reject]) -> Iterator[Wanted | Reject]:
    """The next images, no more than a slice holds."""
    held = 0
    for each in islice(wanted, SLICE):
        yield each
        held += len(each.source) if isinstance(each, Wanted) and isinstance(each.source, bytes) else 0
        if held >= SLICE_BYTES:
            return


def _looked_at(wanted: Wanted | Reject, frame: int) -> tuple[ImageRef, dict[str, Any]] | Reject:
    """The reference to a picture and what is told of it; a Reject where it cannot be decoded whole."""
    if isinstance(wanted, Reject):
        return wanted
    try:
        if isinstance(wanted.source, bytes):
            return looked_at(ImageRef.of_bytes(wanted.source, wanted.name or wanted.id), wanted.source, frame)
        data = read_file(wanted.source)
        return looked_at(ImageRef(image_digest(data), path=str(wanted.source)), data, frame)
    except DataError as error:
        return Reject(wanted.place, wanted.row, error.reason, error.remedy)


def looked_at(ref: ImageRef, data: bytes, frame: int) -> tuple[ImageRef, dict[str, Any]]:
    """The reference with its small look, and its facts: format, size, bits, and of single-channel pictures their range."""
    told = header(data, ref.name)
    pixels = _pixels(data, ref.name, told.kind, frame)
    facts: dict[str, Any] = {
        "format": told.format,
        "width": told.width,
        "height": told.height,
        "bits": told.bits,
        "frames": told.frames,
        "radiometric": told.radiometric,
        "swapped": bool(told.kind == "single" and told.bits == 16 and looks_swapped(pixels)),
        **dict.fromkeys(("lowest", "highest", "distinct"), math.nan),  # known of one channel only
    }
    if told.kind == "single":
        range_ = describe(pixels)
        facts |= {name: float(range_[name]) for name in ("lowest", "highest", "distinct")}
    return ref.with_look(small_look(pixels).to_bytes()), facts


def look_at(data: bytes, name: str, frame: int) -> SmallLook:
    """The small look at an encoded picture."""
    return small_look(_pixels(data, name, header(data, name).kind, frame))


def _pixels(data: bytes, name: str, kind: str, frame: int) -> NDArray[Any]:
    """The pixels that a look is taken of: colours no larger than it needs, values of one channel all."""
    return decode(data, name, at_least=LOOK if kind == "color" else None, frame=frame)


def _shard_name(root: Path, folder: Path) -> str:
    name = folder.relative_to(root).as_posix()
    return ROOT if name == "." else safe_name(name)


def _column(name: str, group: str | None) -> str:
    """What a column of the table is called here: not as ingest calls its own, which the user may have meant otherwise."""
    if name == group:
        return "group"
    return f"given_{name}" if name in TAKEN or name.startswith("image.") else name


def _refuse_folder(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read ({error.strerror}); make it readable, or leave it out.")
