"""An encoded image as a payload: where its bytes are, and the digest that names them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from likewise.errors import DataError

DIGEST_BYTES = 32
PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".pgm", ".ppm")  # how their names end


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One encoded image: its `data`, what is `stored` in a table, or the file `path` that had it when it was read in.

    `key` is the digest of those bytes. `stored` reads them when they are wanted, so that many references take no memory; it gives
    None where the table has none. A relative path starts from the working folder or from `place`, the one in which the image was
    read in: where the file is the same. `look` holds the small look that fingerprints are made of, where it was taken.
    """

    key: bytes = field(repr=False)
    path: str | None = None
    data: bytes | None = field(default=None, repr=False)
    look: bytes | None = field(default=None, repr=False)
    stored: Callable[[], bytes | None] | None = field(default=None, repr=False, compare=False)
    place: str = field(default="", repr=False, compare=False)

    @classmethod
    def of_bytes(cls, data: bytes, path: str | None = None) -> ImageRef:
        """Bytes at hand; `path` only tells where they came from."""
        return cls(image_digest(data), path=path, data=data)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path or f"image {self.key.hex()[:12]}"

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """The encoded bytes; DataError if the file is gone, or is not what was read in."""
        held = self.data if self.stored is None else self.stored()
        if held is not None:
            return held
        assert self.path is not None
        here, there = Path(self.path), Path(self.place, self.path)
        for path in [path for path in (here, there) if path.exists()] or [here]:
            data = read_file(path, remedy="put it back, or run the recipe again with --fresh")
            if image_digest(data) == self.key:
                return data
        raise DataError(f"{path} has changed since it was read in; run the recipe again with --fresh.")

    def with_look(self, look: bytes) -> ImageRef:
        """The same reference with its small look."""
        return replace(self, look=look)

    def digest(self) -> bytes:
        """32 bytes that name the image, for caches."""
        return self.key


def image_digest(data: bytes | bytearray | memoryview) -> bytes:
    """SHA-256 of the encoded bytes: processors compute it, in less than half the time of BLAKE2b."""
    return hashlib.sha256(data).digest()


def read_file(path: Path, *, remedy: str = "put it back, or leave it out") -> bytes:
    """A file's bytes; DataError, which names the remedy, if it cannot be read."""
    if path.exists() and not path.is_file():  # a pipe may never end
        raise DataError(f"{path} is not a file; leave it out.")
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # the latter for names that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path} cannot be read ({reason}); {remedy}.") from error
