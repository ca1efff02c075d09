"""Files that are whole or absent: written beside their place, synced to the disk, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Flush everything below a folder, and the folder itself, to the disk."""
    for path in sorted(folder.rglob("*")):
        sync(path)
    sync(folder)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_state(path: Path) -> list[Any]:
    """Path, size in bytes and time of the last change in nanoseconds: what tells whether a file was changed.

    Bytes of the path that are not UTF-8 are written as \\xNN, so that the state can be stored as JSON.
    """
    found = path.stat()
    return [storable(path), found.st_size, found.st_mtime_ns]


def storable(path: Path | str) -> str:
    """A path as text that can be stored: bytes of it that are not UTF-8 are written as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def working_folder() -> str:
    """Where the process works, as `storable` writes it; empty where that folder is gone."""
    try:
        return storable(os.getcwd())
    except OSError:
        return ""


def digest(value: Any) -> str:
    """A short digest of a JSON-able value: equal values, equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def replacing(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """A temporary path to write a file to; it takes the place of `path`, whole, when the block ends without an error.

    The temporary file stands in the same folder (a rename is only atomic within one file system), or at `temporary`.
    """
    beside = temporary or path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        sync(beside)
        os.replace(beside, path)
        sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, with sorted keys; not-a-number is refused."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
