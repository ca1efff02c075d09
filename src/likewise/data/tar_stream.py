"""The bytes of a tar archive without its compression: gzip, bzip2 or xz, which the content tells, not the name."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from likewise.data.tar_headers import BLOCK, Damaged, parsed
from likewise.errors import DataError

CHUNK_BYTES = 1 << 20
XZ_BYTES = 256 << 20  # memory xz may ask for; its strongest preset needs 65 MiB
REMEDY_FETCH = "fetch or pack the archive again"


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on an archive; each is far above what cameras write and far below what fills a memory.

    `members` of any kind, an error above; `member_bytes` of one member, a reject above; `total_bytes` without the compression, an
    error above; `ratio` of bytes without and with compression read so far, an error above, once `ratio_floor` bytes were read.
    Images hardly compress, their annotations about tenfold; deflate can reach 1032.
    """

    members: int = 500_000
    member_bytes: int = 256 << 20
    total_bytes: int = 1 << 40
    ratio: float = 100.0
    ratio_floor: int = 64 << 20


DEFAULT_LIMITS = Limits()


class Stream:
    """An archive's bytes without its compression, counted and held to the caps while they are read."""

    def __init__(self, path: Path, file: io.BufferedReader, limits: Limits) -> None:
        self.path = path
        self.place = 0  # bytes read
        self.members = 0  # read whole; for messages
        self._file = file
        self._limits = limits
        self._compression = _compression(file)
        self._content: BinaryIO | io.BufferedReader = file
        if self._compression is not None:
            self._content = io.BufferedReader(_Expanded(file, self._compression), 1 << 17)

    def read(self, size: int) -> bytes:
        """The next bytes, at most `CHUNK_BYTES`; fewer than `size` only at the end."""
        assert size <= CHUNK_BYTES
        try:
            data = self._content.read(size)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise self.broken(f"cannot be read on ({str(error) or type(error).__name__})") from error
        self.place += len(data)
        if self.place > self._limits.total_bytes:
            raise DataError(f"{self.path} holds more than {self._limits.total_bytes} bytes; split it.")
        if self._compression is not None and self.place > self._limits.ratio_floor:
            packed = self._file.tell()
            if self.place > self._limits.ratio * packed:
                raise DataError(
                    f"{self.path} has {packed} bytes that hold {self.place}, above the limit of {self._limits.ratio:g} to 1; "
                    "leave it out, or unpack it yourself and name the folder."
                )
        return data

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes; DataError if the archive ends before."""
        if size <= CHUNK_BYTES:
            data = self.read(size)
        else:
            joined = io.BytesIO()
            while (left := size - joined.tell()) and (chunk := self.read(min(left, CHUNK_BYTES))):
                joined.write(chunk)
            data = joined.getvalue()
        if len(data) < size:
            raise self.broken("is cut within the data of a member")
        return data

    def skip(self, size: int) -> None:
        """Read past `size` bytes; DataError if the archive ends before."""
        while size:
            size -= len(self.exactly(min(size, CHUNK_BYTES)))

    def broken(self, how: str) -> DataError:
        """The error for an archive that ends here."""
        return DataError(f"{self.path} {how} (after member {self.members}); {REMEDY_FETCH}.")


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gunzip:
    """gzip with the methods that bzip2 and xz have; zlib checks the checksum and length at the end."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


class _Compression(NamedTuple):
    magic: bytes
    start: Callable[[], _Decompressor]


COMPRESSIONS = (
    _Compression(b"\x1f\x8b", _Gunzip),
    _Compression(b"BZh", bz2.BZ2Decompressor),
    _Compression(b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_BYTES)),
)


def _compression(file: io.BufferedReader) -> _Compression | None:
    """How an archive is compressed, None if it starts with a tar header (whose name may start like anything)."""
    start = file.peek(BLOCK)[:BLOCK]
    try:
        if len(start) == BLOCK:
            parsed(start)
            return None
    except Damaged:
        pass
    return next((each for each in COMPRESSIONS if start.startswith(each.magic)), None)


class _Expanded(io.RawIOBase):
    """What compressed streams, one after the other, hold."""

    def __init__(self, file: io.BufferedReader, compression: _Compression) -> None:
        self._file = file
        self._compression = compression
        self._decompressor = compression.start()
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # of what BufferedReader hands it
        """At least one byte; none at the end. EOFError if the file ends within a stream."""
        while True:
            if self._decompressor.eof and not self._next_stream():
                return 0
            if self._decompressor.needs_input and not self._waiting:
                self._waiting = self._file.read(1 << 16)
                if not self._waiting:
                    raise EOFError("its compressed data is cut")
            packed, self._waiting = self._waiting, b""
            data = self._decompressor.decompress(packed, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _next_stream(self) -> bool:
        """Whether another stream follows, after any zeros; OSError if something else does."""
        rest = self._decompressor.unused_data.lstrip(b"\0")
        while len(rest) < len(self._compression.magic) and (more := self._file.read(1 << 16)):
            rest = (rest + more).lstrip(b"\0")
        if not rest:
            return False
        if not rest.startswith(self._compression.magic):
            raise OSError("other data follows the compressed data")
        self._decompressor, self._waiting = self._compression.start(), rest
        return True
