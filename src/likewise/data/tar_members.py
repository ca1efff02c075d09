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
headers of any size; therefore it is not used.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from likewise.data.tar_entries import Archive
from likewise.data.tar_headers import FOLDERS, HARD_LINK, REGULAR, SPARSE, VOLUME, Entry, shown_name
from likewise.data.tar_stream import DEFAULT_LIMITS, Limits, Stream
from likewise.errors import DataError
from likewise.types import Reject

NAME_BYTES = 4096
SPECIAL = {
    HARD_LINK: "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"M": "the rest of a file from another volume",
    SPARSE: "a sparse file",
}
LEFTOVER = re.compile(r"\._.*|\.DS_Store|@?PaxHeaders?(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive: its name, relative, with `/`, without `.` parts; and its bytes."""

    name: str
    data: bytes


def members(path: Path, limits: Limits = DEFAULT_LIMITS) -> Members:
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
            archive = Archive(Stream(self._path, file, self._limits))
            for number, entry in enumerate(archive.entries(), 1):
                if number > self._limits.members:
                    raise DataError(f"{self._path} has more than {self._limits.members} members; split it.")
                try:
                    name = self._wanted(entry)
                except _Refused as refused:
                    archive.finish()  # an archive that is cut here is an error, and nothing else
                    yield Reject(str(self._path), number, refused.reason, refused.remedy)
                else:
                    if name is not None:
                        yield Member(name, archive.data(entry))

    def _wanted(self, entry: Entry) -> str | None:
        """The name of a file to be given, None for what is passed over; _Refused for the rest."""
        shown = shown_name(entry.name)
        if entry.kind in FOLDERS or entry.kind == VOLUME:
            self.passed_over["volume labels" if entry.kind == VOLUME else "folders"] += 1
            return None
        if entry.kind not in REGULAR:
            kind = SPECIAL.get(entry.kind, f"of the unknown kind {entry.kind!r}")
            raise _Refused(f'"{shown}" is {kind}', "pack regular files only (tar --dereference --hard-dereference)")
        if entry.two_names:
            raise _Refused(f'"{shown}" has another name in another header', "pack the archive again")
        name = _checked_name(entry.name)
        if any(LEFTOVER.fullmatch(part) for part in name.split("/")):
            self.passed_over["leftovers of macOS or of an old unpacker"] += 1
            return None
        self._first_of_its_name(name)
        if entry.size > self._limits.member_bytes:
            reason = f'"{shown}" has {entry.size} bytes, the limit is {self._limits.member_bytes}'
            raise _Refused(reason, "leave it out")
        return name

    def _first_of_its_name(self, name: str) -> None:
        """_Refused for a name met before; two names are one if a file system could take them for one."""
        exact = _digest(name)
        folded = _digest(unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()))
        first = self._names.setdefault(folded, exact)
        if first is not exact:
            how = "" if first == exact else ", but for its case or its Unicode form"
            raise _Refused(
                f'"{shown_name(name.encode())}" is the name of an earlier member{how}', "give each file a name of its own"
            )


class _Refused(Exception):
    """A member that is not given, though the next one can be."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def _checked_name(stored: bytes) -> str:
    """The name without `.` parts and doubled slashes; _Refused where it is none that a file may have here."""
    shown = shown_name(stored)
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


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()
