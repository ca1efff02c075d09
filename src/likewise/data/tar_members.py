"""The files in a tar archive that nobody vouches for: read once, front to back, one member in memory, nothing on the disk.

A *reject* loses one member, and reading goes on, since the place of the next one is certain. An *error* ends the reading: what
stands after it cannot be told, and a reader that guessed would give other members than the next reader does.

    reject        absolute names, names with `..`, with control characters, backslashes, or not in UTF-8, names over 4096 bytes;
                  names met before, be it in other case or another Unicode form (the first one stands); links, devices, pipes,
                  sparse files, unknown kinds; members above `Limits.member_bytes`
    error         a header whose checksum or numbers are wrong; a size that is told twice, differently, or told for what holds
                  no data; a damaged, huge or endless chain of extended headers; an archive cut anywhere before its end mark;
                  anything but zeros after the first block of zeros; damaged compression; the other caps
    passed over   folders, volume labels, and what macOS (`._x`) and old unpackers (`PaxHeader`) leave behind; counted

The end mark is two blocks of zeros; a part of it suffices where the file ends with it. A checksum guards each header, nothing
guards the data of an archive that is not compressed; in a compressed one the checksum stands at the end, so what was read is
sound only once the last member was read without an error.

The standard library's `tarfile` takes a damaged later header for the end, gives sparse files and links, and reads extended
headers of any size; therefore it is not used. Formats: V7, ustar, pax (POSIX.1-2017, "pax", Extended Description) and GNU, plain
or through gzip, bzip2 or xz. Content tells the compression, not the name.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, Protocol

from likewise.errors import DataError
from likewise.types import Reject

BLOCK = 512  # bytes: everything in a tar archive starts at a multiple of it
CHUNK_BYTES = 1 << 20
NAME_BYTES = 4096
EXTENSION_BYTES = 1 << 20  # of an extended header
EXTENSIONS = 8  # extended headers ahead of one member; writers use one or two
XZ_BYTES = 256 << 20  # memory xz may ask for; its strongest preset needs 65 MiB
LARGEST_OCTAL = 8 << 30  # bytes: from here on a pax header tells the size, since the header's digits cannot
REMEDY_FETCH = "fetch or pack the archive again"

REGULAR, HARD_LINK, FOLDER, SPARSE, VOLUME = (b"0", b"\0"), b"1", b"5", b"S", b"V"
PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK = (b"x", b"X"), b"g", b"L", b"K"
FOLDERS = (FOLDER, b"D")  # D: GNU's, with a list of names as its data
WITHOUT_DATA = (HARD_LINK, b"2", b"3", b"4", FOLDER, b"6", VOLUME)
SPECIAL = {
    HARD_LINK: "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"M": "the rest of a file from another volume",
    SPARSE: "a sparse file",
}
SPARSE_KEYS = ("GNU.sparse.", "SCHILY.realsize", "SUN.holesdata")
LEFTOVER = re.compile(r"\._.*|\.DS_Store|@?PaxHeaders?(\.\d+)?")


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


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive: its name, relative, with `/`, without `.` parts; and its bytes."""

    name: str
    data: bytes


def members(path: Path, limits: Limits = Limits()) -> Members:
    """The regular files of an archive in their order, and what is refused, as it is read.

    A `Reject` names the archive as its file, and as its row the number of the member, counted from 1 over all kinds. DataError if
    the archive cannot be read, or cannot be read on.

    Memory: one member (twice, for a moment, while its bytes are joined), and 200 bytes for each name met.
    """
    return Members(path, limits)


class Members(Iterator[Member | Reject]):
    """An archive while it is read; `passed_over` counts by kind what is neither given nor refused."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.passed_over: Counter[str] = Counter()
        self._path = path
        self._limits = limits
        self._names: dict[bytes, bytes] = {}  # digests: names themselves could be 4096 bytes each
        self._steps = self._walk()

    def __next__(self) -> Member | Reject:
        return next(self._steps)

    def close(self) -> None:
        """Stop reading, and close the file."""
        self._steps.close()

    def sentences(self) -> list[str]:
        """What was passed over so far."""
        return [f"{self._path}: passed over {kind}: {count}." for kind, count in sorted(self.passed_over.items())]

    def _walk(self) -> Generator[Member | Reject, None, None]:
        try:
            if not self._path.is_file():
                raise DataError(f"{self._path} is not a file; name a tar archive.")
            file = self._path.open("rb")
        except OSError as error:
            raise DataError(f"{self._path} cannot be opened ({error.strerror}); make it readable.") from error
        with file:
            archive = _Archive(_Stream(self._path, file, self._limits))
            for number, entry in enumerate(archive.entries(), 1):
                if number > self._limits.members:
                    raise DataError(
                        f"{self._path} has more than {self._limits.members} members; split it, or allow more in its limits."
                    )
                try:
                    name = self._wanted(entry)
                except _Refused as refused:
                    archive.finish()  # an archive that is cut here is an error, and nothing else
                    yield Reject(str(self._path), number, refused.reason, refused.remedy)
                else:
                    if name is not None:
                        yield Member(name, archive.data(entry))

    def _wanted(self, entry: _Entry) -> str | None:
        """The name of a file to be given, None for what is passed over; _Refused for the rest."""
        shown = _shown(entry.name)
        if entry.kind in FOLDERS or entry.kind == VOLUME:
            self.passed_over["volume labels" if entry.kind == VOLUME else "folders"] += 1
            return None
        if entry.kind not in REGULAR:
            kind = SPECIAL.get(entry.kind, f"of the unknown kind {entry.kind!r}")
            raise _Refused(f'"{shown}" is {kind}', "pack regular files only (tar --dereference --hard-dereference)")
        if entry.two_names:
            raise _Refused(f'"{shown}" has another name in another header', "pack the archive again")
        name = _checked_name(entry.name)
        if any(LEFTOVER.fullmatch(part) for part in PurePosixPath(name).parts):
            self.passed_over["leftovers of macOS or of an old unpacker"] += 1
            return None
        self._first_of_its_name(name)
        if entry.size > self._limits.member_bytes:
            reason = f'"{shown}" has {entry.size} bytes, the limit is {self._limits.member_bytes}'
            raise _Refused(reason, "leave it out, or allow more in the limits")
        return name

    def _first_of_its_name(self, name: str) -> None:
        """_Refused for a name met before; two names are one if a file system could take them for one."""
        exact = _digest(name)
        folded = _digest(unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()))
        first = self._names.setdefault(folded, exact)
        if first is not exact:
            how = "" if first == exact else ", but for its case or its Unicode form"
            raise _Refused(f'"{_shown(name.encode())}" is the name of an earlier member{how}', "give each file a name of its own")


class _Damaged(Exception):
    """Headers that do not tell where the next one stands, or tell it in two ways."""


class _Refused(Exception):
    """A member that is not given, though the next one can be."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def _checked_name(stored: bytes) -> str:
    """The name without `.` parts and doubled slashes; _Refused where it is none that a file may have here."""
    shown = _shown(stored)
    if len(stored) > NAME_BYTES:
        raise _Refused(f'"{shown}" is a name of {len(stored)} bytes', f"use names of up to {NAME_BYTES} bytes")
    try:
        name = stored.decode("utf-8")
    except UnicodeDecodeError:
        raise _Refused(f'"{shown}" is not UTF-8', "rename the file in UTF-8 and pack it again") from None
    if "\\" in name or any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in name):
        raise _Refused(f'"{shown}" has a control character or a backslash in its name', "rename the file and pack it again")
    path = PurePosixPath(name)
    if path.is_absolute():
        raise _Refused(f'"{shown}" is an absolute name', "pack it with a relative one")
    if ".." in path.parts:
        raise _Refused(f'"{shown}" leads out of its folder', "pack it with a name without ..")
    if not path.parts:
        raise _Refused(f'"{shown}" is no name', "give the file a name and pack it again")
    return str(path)


def _shown(name: bytes) -> str:
    """A name as messages show it: on one line, not too long."""
    text = name.decode("utf-8", "backslashreplace")
    text = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text[:100])
    return text if len(text) <= 80 else f"{text[:80]}…"


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()


# The format


class _Entry(NamedTuple):
    """A member as its headers tell it: stored name, kind (one byte), bytes of data that follow."""

    name: bytes
    kind: bytes
    size: int
    two_names: bool


class _Archive:
    """The headers of an archive, each ahead of its data."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._end = 0  # of the data of the member given last

    def entries(self) -> Iterator[_Entry]:
        """Every member up to the end mark; data of a member that was not asked for is skipped."""
        while (entry := self._next_entry()) is not None:
            self._end = self._stream.place + _padded(entry.size)
            yield entry
            self.finish()
            self._stream.members += 1

    def data(self, entry: _Entry) -> bytes:
        """The bytes of the member that `entries` gave last."""
        return self._stream.exactly(entry.size)

    def finish(self) -> None:
        """Read past what is left of the member that `entries` gave last."""
        self._stream.skip(self._end - self._stream.place)

    def _next_entry(self) -> _Entry | None:
        told: dict[str, bytes] = {}  # by the extended headers of the member: path, size, and GNU's long name
        for _ in range(EXTENSIONS + 1):
            block = self._header_block()
            if block is None:
                if told:
                    raise self._stream.broken("ends after an extended header")
                return None
            try:
                header = _parsed(block)
                if header.kind in (*PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK):
                    self._extend(told, header)
                    continue
                self._pass_sparse_map(header, block)
                return _entry(header, told)
            except _Damaged as error:
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

    def _extend(self, told: dict[str, bytes], header: _Header) -> None:
        """Add what an extended header tells of the member after it; _Damaged where it is damaged."""
        if header.size > EXTENSION_BYTES:
            raise _Damaged(f"an extended header has {header.size} bytes")
        body = self._stream.exactly(header.size)
        self._stream.skip(_padded(header.size) - header.size)
        if header.kind == LONG_NAME:
            _tell(told, "long name", body.removesuffix(b"\0"))
        elif header.kind in PAX:
            for key, value in _pax_records(body).items():
                _tell(told, key, value)
        elif header.kind == PAX_GLOBAL and (wrong := next(filter(_of_one_member, _pax_records(body)), None)):
            raise _Damaged(f'a global header tells "{wrong}" for all members')

    def _pass_sparse_map(self, header: _Header, block: bytes) -> None:
        """Read past the blocks that list the pieces of an old GNU sparse file."""
        follows = header.kind == SPARSE and block[482]
        while follows:
            follows = self._stream.exactly(BLOCK)[504]


class _Header(NamedTuple):
    name: bytes
    kind: bytes
    size: int


def _parsed(block: bytes) -> _Header:
    """One header; _Damaged if it is damaged."""
    summed = block[:148] + b" " * 8 + block[156:]  # the checksum's own field counts as blanks
    checksum = _number(block[148:156])
    if checksum != sum(summed) and checksum != sum(summed) - 256 * sum(byte > 127 for byte in summed):  # old writers: signed
        raise _Damaged("the checksum of a header is wrong")
    name = _until_zeros(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _until_zeros(block[345:500])):  # in GNU's headers other things stand there
        name = prefix + b"/" + name
    return _Header(name, block[156:157], _number(block[124:136]))


def _until_zeros(field: bytes) -> bytes:
    """A text without the zeros that fill up its field; others stay, and are refused with the name."""
    return field.rstrip(b"\0")


def _number(field: bytes) -> int:
    """Octal digits amid blanks and zeros, or GNU's binary form; _Damaged for any other."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if re.fullmatch(rb"[0-7]*", digits) is None:
        raise _Damaged(f"a header has {field!r} where a number belongs")
    return int(digits or b"0", 8)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _pax_records(body: bytes) -> dict[str, bytes]:
    """`length key=value` lines, the length that of the whole line; _Damaged where one is not so."""
    records: dict[str, bytes] = {}
    place = 0
    while place < len(body):
        start = re.compile(rb"([1-9][0-9]{0,6}) ([^=\n]+)=").match(body, place)
        end = place + int(start[1]) if start else 0
        if start is None or not start.end() < end <= len(body) or body[end - 1 : end] != b"\n":
            raise _Damaged("an extended header is damaged")
        _tell(records, start[2].decode("utf-8", "backslashreplace"), body[start.end() : end - 1])
        place = end
    return records


def _tell(told: dict[str, bytes], key: str, value: bytes) -> None:
    """Note what a header tells; _Damaged if it tells two things of what decides name and size."""
    if _of_one_member(key) and told.get(key, value) != value:
        raise _Damaged(f'the extended headers of a member tell "{key}" twice, differently')
    told[key] = value


def _of_one_member(key: str) -> bool:
    return key in ("path", "size", "linkpath", "long name") or key.startswith(SPARSE_KEYS)


def _entry(header: _Header, told: Mapping[str, bytes]) -> _Entry:
    """A header, and what its extended headers change; _Damaged if they contradict one another on the size."""
    size, kind = header.size, header.kind
    if "size" in told:
        if re.fullmatch(rb"[0-9]{1,19}", told["size"]) is None:
            raise _Damaged(f"an extended header has {told['size'][:40]!r} where the size belongs")
        size = int(told["size"])
        if size != header.size and size < LARGEST_OCTAL:
            raise _Damaged(f"a member has {header.size} bytes by its header, and {size} by its extended header")
    names = [told[key] for key in ("path", "long name") if key in told]
    name = names[0] if names else header.name
    if kind in REGULAR and name.endswith(b"/"):  # how V7 wrote folders
        kind = FOLDER
    if size and kind in WITHOUT_DATA:
        raise _Damaged(f'"{_shown(name)}" holds no data, but has {size} bytes by its header')
    if any(key.startswith(SPARSE_KEYS) for key in told):
        kind = SPARSE
    return _Entry(name, kind, size, len(set(names)) > 1)


# The bytes


class _Stream:
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
            raise DataError(
                f"{self.path} holds more than {self._limits.total_bytes} bytes; split it, or allow more in its limits."
            )
        if self._compression is not None and self.place > self._limits.ratio_floor:
            packed = self._file.tell()
            if self.place > self._limits.ratio * packed:
                raise DataError(
                    f"{self.path} has {packed} bytes that hold {self.place}, above the limit of {self._limits.ratio:g} to 1; "
                    "leave it out, or allow more in its limits if you trust it."
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
            _parsed(start)
            return None
    except _Damaged:
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
