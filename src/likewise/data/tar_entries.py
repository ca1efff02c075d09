"""From the headers of a tar archive to its members, one after another, each with its extended headers taken into account."""

from __future__ import annotations

from collections.abc import Iterator

from likewise.data.tar_headers import (
    BLOCK,
    LONG_LINK,
    LONG_NAME,
    PAX,
    PAX_GLOBAL,
    SPARSE,
    Damaged,
    Entry,
    Header,
    entry_of,
    of_one_member,
    padded,
    parsed,
    pax_records,
    tell,
)
from likewise.data.tar_stream import CHUNK_BYTES, REMEDY_FETCH, Stream
from likewise.errors import DataError

EXTENSION_BYTES = 1 << 20  # of an extended header
EXTENSIONS = 8  # extended headers ahead of one member; writers use one or two


class Archive:
    """The headers of an archive, each ahead of its data."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._end = 0  # of the data of the member given last

    def entries(self) -> Iterator[Entry]:
        """Every member up to the end mark; data of a member that was not asked for is skipped."""
        while (entry := self._next_entry()) is not None:
            self._end = self._stream.place + padded(entry.size)
            yield entry
            self.finish()
            self._stream.members += 1

    def data(self, entry: Entry) -> bytes:
        """The bytes of the member that `entries` gave last."""
        return self._stream.exactly(entry.size)

    def finish(self) -> None:
        """Read past what is left of the member that `entries` gave last."""
        self._stream.skip(self._end - self._stream.place)

    def _next_entry(self) -> Entry | None:
        told: dict[str, bytes] = {}  # by the extended headers of the member: path, size, and GNU's long name
        for _ in range(EXTENSIONS + 1):
            block = self._header_block()
            if block is None:
                if told:
                    raise self._stream.broken("ends after an extended header")
                return None
            try:
                header = parsed(block)
                if header.kind in (*PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK):
                    self._extend(told, header)
                    continue
                self._pass_sparse_map(header, block)
                return entry_of(header, told)
            except Damaged as error:
                if not self._stream.members and self._stream.place == BLOCK:
                    raise DataError(f"{self._stream.path} is not a tar archive ({error}); name one, or {REMEDY_FETCH}.") from None
                raise self._stream.broken(f"cannot be read on: {error}") from None
        raise self._stream.broken(f"has more than {EXTENSIONS} extended headers in a row")

    def _header_block(self) -> bytes | None:
        """The next header; None at the end mark, if nothing but zeros follows it."""
        block = self._stream.read(BLOCK)
        if len(block) < BLOCK:
            raise self._stream.broken("is cut within a header" if block else "is cut: its end mark is missing")
        if block.count(0) < BLOCK:
            return block
        while rest := self._stream.read(CHUNK_BYTES):
            if rest.count(0) < len(rest):
                raise self._stream.broken("goes on after its end mark, as archives do that were put one after the other")
        return None

    def _extend(self, told: dict[str, bytes], header: Header) -> None:
        """Add what an extended header tells of the member after it; Damaged where it is damaged."""
        if header.size > EXTENSION_BYTES:
            raise Damaged(f"an extended header has {header.size} bytes")
        body = self._stream.exactly(header.size)
        self._stream.skip(padded(header.size) - header.size)
        if header.kind == LONG_NAME:
            tell(told, "long name", body.removesuffix(b"\0"))
        elif header.kind in PAX:
            for key, value in pax_records(body).items():
                tell(told, key, value)
        elif header.kind == PAX_GLOBAL and (wrong := next(filter(of_one_member, pax_records(body)), None)):
            raise Damaged(f'a global header tells "{wrong}" for all members')

    def _pass_sparse_map(self, header: Header, block: bytes) -> None:
        """Read past the blocks that list the pieces of an old GNU sparse file."""
        follows = header.kind == SPARSE and block[482]
        while follows:
            follows = self._stream.exactly(BLOCK)[504]
