"""Pictures that someone names: files, folders, arrays, for a finished run to label or to compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from likewise.data.image_refs import ImageRef, image_digest, read_file
from likewise.data.images import ImageFolderSource, Wanted, look_at, read_images
from likewise.data.options import ImageFolderOptions
from likewise.data.pixels import from_array, small_look
from likewise.errors import DataError, UserError
from likewise.types import Reject


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures that were read in: their ids, references to them, and what could not be read."""

    ids: Sequence[str]
    payload: Sequence[ImageRef]
    rejects: Sequence[Reject]

    def some(self) -> Pictures:
        """Itself; UserError where no picture could be read."""
        if not self.payload:
            raise UserError(f"None of the pictures can be read: {next(iter(self.rejects), 'none was named')}")
        return self


def read_pictures(paths: Sequence[Path], frame: int = 0) -> Pictures:
    """The pictures that files and folders hold, each decoded once to its end; of several pages the one of number `frame`.

    What is not there, or cannot be decoded, is told and not raised. DataError for a folder without pictures.
    """
    ids: list[str] = []
    payload: list[ImageRef] = []
    rejects: list[Reject] = []
    for found in read_images("new", (Wanted(path, str(path), {}, str(path)) for path in _files(paths)), frame):
        if isinstance(found, Reject):
            rejects.append(found)
        else:
            ids += found.ids
            payload += found.payload
    return Pictures(ids, payload, rejects)


def as_payload(item: Any, name: str) -> ImageRef | NDArray[Any]:
    """A path or encoded bytes as a reference; an array or a PIL image as its pixels.

    DataError for a file that cannot be read, and for what is no picture, which it calls by its `name`.
    """
    if isinstance(item, str | Path):
        return ImageRef(image_digest(read_file(Path(item))), path=str(item))
    if isinstance(item, bytes):
        return ImageRef.of_bytes(item, name)
    return item if isinstance(item, ImageRef) else from_array(item, name)


def look_of(item: Any, name: str, frame: int = 0) -> tuple[bytes, bytes | None]:
    """The small look at a picture, and the digest of its file (None of arrays and PIL images); DataError as `as_payload`."""
    payload = ImageRef.of_bytes(read_file(Path(item)), str(item)) if isinstance(item, str | Path) else as_payload(item, name)
    if not isinstance(payload, ImageRef):
        return small_look(payload).to_bytes(), None
    return payload.look or look_at(payload.read(), payload.name, frame).to_bytes(), payload.key


def names_of(items: Sequence[Any], ids: Sequence[str] | None = None) -> list[str]:
    """What items are called: their `ids`, or else texts and paths by themselves, others by their number.

    DataError where there are more or fewer ids than items.
    """
    if ids is None:
        return [str(item) if isinstance(item, str | Path) else str(number) for number, item in enumerate(items)]
    if len(ids) != len(items):
        raise DataError(f"There are {len(items)} items and {len(ids)} ids; give one id for each.")
    return [str(name) for name in ids]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        source = ImageFolderSource(ImageFolderOptions(path=str(path)))
        for folder in source.shards():
            yield from source.files(folder)
