"""Pictures that someone names: files, folders, arrays, for a finished run to label or to compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likewise.data.image_refs import ImageRef, image_digest, read_file
from likewise.data.images import ImageFolderSource, Wanted, looked_at, read_images
from likewise.data.options import ImageFolderOptions
from likewise.data.pixels import from_array, small_look
from likewise.errors import UserError
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
            raise UserError(f"None of the pictures can be read: {self.rejects[0]}")
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


def as_payload(item: Any) -> Any:
    """A path as a reference to its bytes; anything else as it is. DataError where the file cannot be read."""
    if isinstance(item, str | Path):
        return ImageRef(image_digest(read_file(Path(item))), path=str(item))
    return item


def look_of(item: Any, name: str, frame: int = 0) -> tuple[bytes, bytes | None]:
    """The small look at a picture, and the digest of its file (None of arrays and PIL images).

    DataError, which names `name` if the item does not name itself, for what is no picture.
    """
    payload = as_payload(item)
    if not isinstance(payload, ImageRef):
        return small_look(from_array(payload, name)).to_bytes(), None
    if payload.look is not None:
        return payload.look, payload.key
    look = looked_at(payload, payload.read(), frame)[0].look
    assert look is not None
    return look, payload.key


def names_of(items: Sequence[Any]) -> list[str]:
    """What items are called by whoever gives them no ids: texts and paths themselves, others their number."""
    return [str(item) if isinstance(item, str | Path) else str(number) for number, item in enumerate(items)]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        source = ImageFolderSource(ImageFolderOptions(path=str(path)))
        for folder in source.shards():
            yield from source.files(folder)
