"""How payloads stand in a table of items: texts, references to images, or features; the name of the column says which."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from likewise.data.image_refs import ImageRef
from likewise.types import Float32

IMAGE, FEATURES, TEXT = "image", "features", "text"
PAYLOADS = (IMAGE, FEATURES, TEXT)  # of the columns a table has, the first is what an encoder is given
_IMAGE_PARTS: dict[str, pa.DataType] = {
    "path": pa.string(),
    "bytes": pa.binary(),
    "digest": pa.binary(),
    "look": pa.binary(),
}
IMAGES = pa.struct(_IMAGE_PARTS)
TOLD = tuple(f"{IMAGE}.{part}" for part in ("path", "digest", "look"))  # what a reference has without the encoded bytes
ENCODED = f"{IMAGE}.bytes"


def kind_of(payload: Any) -> str:
    """The name of the column that holds such payloads, of which there is at least one."""
    return IMAGE if isinstance(payload[0], ImageRef) else TEXT


def as_column(kind: str, payload: Sequence[Any]) -> pa.Array[Any]:
    """Texts or references as they stand in a table."""
    if kind == IMAGE:
        parts = [{"path": ref.path, "bytes": ref.data, "digest": ref.key, "look": ref.look} for ref in payload]
        return pa.array(parts, IMAGES)
    return pa.array(payload, pa.string())


def for_people(payload: Sequence[Any]) -> tuple[str, pa.Array[Any]]:
    """A column's name and what it tells people of payloads: "text", or the "path" of pictures (null for bytes without one)."""
    if len(payload) and isinstance(payload[0], ImageRef):
        return "path", pa.array([ref.path for ref in payload], pa.string())
    return TEXT, pa.array(payload, pa.string())


def references(told: pa.Table, stored: Sequence[Callable[[], bytes | None]], place: str) -> list[ImageRef]:
    """References from a table with the columns `TOLD`, their bytes to be read when they are wanted; `place` as of `ImageRef`."""
    path, digest, look = (told[name].to_pylist() for name in TOLD)
    return [
        ImageRef(key, path=name, look=seen, stored=read, place=place)
        for name, key, seen, read in zip(path, digest, look, stored, strict=True)
    ]


def matrix(column: pa.ChunkedArray[Any]) -> Float32:
    """Lists of one length as a matrix."""
    lists = column.combine_chunks()
    width = lists.type.list_size
    values: Float32 = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return values


def digests(kind: str, payload: Iterable[Any]) -> NDArray[np.uint64]:
    """[n]: what tells texts or images apart."""
    if kind == IMAGE:
        return _first_bytes(each.key for each in payload)
    return _first_bytes(hashlib.blake2b(str(text).encode(), digest_size=8).digest() for text in payload)


def stored_digests(kind: str, column: pa.Array[Any]) -> NDArray[np.uint64]:
    """[n]: the same from a table's column, of which for images only the digests need be read."""
    if kind == IMAGE:
        return _first_bytes(column.field("digest").to_pylist())
    return digests(kind, column.to_pylist())


def _first_bytes(keys: Iterable[bytes]) -> NDArray[np.uint64]:
    return np.array([int.from_bytes(key[:8], "little") for key in keys], dtype=np.uint64)
