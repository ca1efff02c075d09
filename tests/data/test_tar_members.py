from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from likewise.data import tar_stream
from likewise.data.tar_members import Member, members
from likewise.data.tar_stream import Limits
from likewise.errors import DataError
from likewise.types import Reject

BLOCK = 512
END = bytes(2 * BLOCK)
PICTURE = bytes(range(256)) * 5  # 1280 bytes: two and a half blocks


def header(
    name: bytes = b"a.jpg",
    size: int | bytes = 0,
    kind: bytes = b"0",
    *,
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    link: bytes = b"",
    checksum: int | None = None,
    at: dict[int, bytes] | None = None,
) -> bytes:
    """One header block; `at` overwrites bytes before the checksum is taken."""
    digits = b"%011o\0" % size if isinstance(size, int) else size
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124 : 124 + len(digits)] = digits
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257 : 257 + len(magic)] = magic
    block[345 : 345 + len(prefix)] = prefix
    for place, value in (at or {}).items():
        block[place : place + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % (sum(block) if checksum is None else checksum)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def file(name: bytes = b"a.jpg", data: bytes = PICTURE, kind: bytes = b"0") -> bytes:
    return header(name, len(data), kind) + padded(data)


def record(key: str, value: str | bytes) -> bytes:
    rest = b" " + key.encode() + b"=" + (value.encode() if isinstance(value, str) else value) + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    return file(b"PaxHeaders/a.jpg", b"".join(records), kind)


GOOD = file(b"good.jpg", b"good")
SOUND = file(b"last.jpg", b"last")


def write(folder: Path, content: bytes, name: str = "archive.tar") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, limits: Limits | None = None) -> tuple[list[Member], list[Reject], str | None]:
    """Members, rejects, and the error that ended the reading."""
    found: list[Member] = []
    rejects: list[Reject] = []
    try:
        for each in members(path, limits or Limits()):
            (found if isinstance(each, Member) else rejects).append(each)  # type: ignore[arg-type]
    except DataError as error:
        return found, rejects, str(error)
    return found, rejects, None


def made(files: Iterable[tuple[str, bytes]], format_: int = tarfile.PAX_FORMAT) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=format_) as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


LONG = "/".join(["a-rather-long-folder-name"] * 9) + "/Straße-0001_123.jpg"
FILES = [("0001_1.jpg", PICTURE), ("0001_1.txt", b"d 1 2 3"), ("b/empty.txt", b""), ("./b//c.jpg", b"x" * 512), (LONG, b"long")]


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["tar", "gz", "bz2", "xz"])
def test_what_the_standard_library_packs(tmp_path: Path, format_: int, pack: Callable[[bytes], bytes]) -> None:
    files = FILES[:-1] if format_ == tarfile.USTAR_FORMAT else FILES
    found, rejects, error = read(write(tmp_path, pack(made(files, format_))))
    assert (rejects, error) == ([], None)
    assert found == [Member(name.removeprefix("./").replace("//", "/"), data) for name, data in files]


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar command")
@pytest.mark.parametrize("format_", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_what_the_tar_command_packs(tmp_path: Path, format_: str) -> None:
    folder = tmp_path / "in" / "0001"
    folder.mkdir(parents=True)
    (folder / "é.jpg").write_bytes(PICTURE)
    (folder / "b.txt").write_bytes(b"")
    names = {"v7": [], "ustar": ["f" * 93 + ".jpg"]}.get(format_, ["f" * 150 + ".jpg"])  # 104 bytes with the folders
    for name in names:
        (folder / name).write_bytes(b"f")
    arguments = ["tar", "-C", str(tmp_path / "in"), f"--format={format_}", "--sort=name", "-czf", str(tmp_path / "a.tgz"), "."]
    subprocess.run(arguments, check=True)
    reading = members(tmp_path / "a.tgz")
    assert sorted(each.name for each in reading if isinstance(each, Member)) == sorted(
        ["0001/b.txt", "0001/é.jpg", *(f"0001/{name}" for name in names)]
    )
    assert reading.passed_over == {"folders": 2}


def test_old_archives_have_no_magic_and_signed_checksums(tmp_path: Path) -> None:
    name = "é.jpg".encode()
    unsigned = header(name, 4, magic=b"")
    signed = sum(each - 256 * (each > 127) for each in unsigned[:148] + b" " * 8 + unsigned[156:])
    content = header(name, 4, magic=b"", checksum=signed) + padded(b"data") + file(b"folder/", b"", b"\0") + END
    assert read(write(tmp_path, content)) == ([Member("é.jpg", b"data")], [], None)


def test_gnu_headers_have_times_where_ustar_has_a_prefix(tmp_path: Path) -> None:
    content = header(b"a.jpg", 0, magic=b"ustar  \0", prefix=b"00000000012\0") + header(b"b.jpg", 0, prefix=b"folder") + END
    assert [each.name for each in read(write(tmp_path, content))[0]] == ["a.jpg", "folder/b.jpg"]


def test_the_content_tells_the_compression(tmp_path: Path) -> None:
    assert read(write(tmp_path, gzip.compress(GOOD + END), "a.jpg"))[0] == [Member("good.jpg", b"good")]
    assert read(write(tmp_path, file(b"BZhang.jpg", b"1") + END, "a.tar.gz"))[0] == [Member("BZhang.jpg", b"1")]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_compressed_streams_may_follow_one_another(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    content = pack(GOOD) + bytes(8) + pack(SOUND[:100]) + pack(b"") + pack(SOUND[100:] + END) + bytes(100_000)
    assert [each.data for each in read(write(tmp_path, content))[0]] == [b"good", b"last"]
    *_, error = read(write(tmp_path, content + b"\1 something else"))
    assert error is not None
    assert "other data follows" in error


def test_nothing_is_read_ahead(tmp_path: Path) -> None:
    """A member is given before what comes after it is looked at."""
    reading = members(write(tmp_path, GOOD + b"\1" * BLOCK))
    assert next(reading) == Member("good.jpg", b"good")
    with pytest.raises(DataError):
        next(reading)
    with pytest.raises(StopIteration):
        next(reading)


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    names = [b"._a.jpg", b"b/._a.jpg", b"PaxHeaders.123/a.jpg", b"c/PaxHeader/a.jpg", b".DS_Store"]
    content = file(b"b/", b"", b"5") + b"".join(map(file, names)) + file(b"label", b"", b"V") + GOOD
    reading = members(write(tmp_path, content + file(b"PaxHeader.jpg") + END))
    assert list(reading) == [Member("good.jpg", b"good"), Member("PaxHeader.jpg", PICTURE)]
    assert reading.passed_over == {"folders": 1, "volume labels": 1, "leftovers of macOS or of an old unpacker": 5}
    assert reading.sentences()[0] == f"{tmp_path}/archive.tar: passed over folders: 1."


def test_a_global_header_without_names_or_sizes_is_nothing_special(tmp_path: Path) -> None:
    content = pax(record("comment", "0123"), kind=b"g") + GOOD + END
    assert read(write(tmp_path, content)) == ([Member("good.jpg", b"good")], [], None)


# One member is refused


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (file(b"/etc/passwd"), "is an absolute name"),
        (file(b"../a.jpg"), "leads out of its folder"),
        (file(b"b/../../a.jpg"), "leads out of its folder"),
        (file(b"b/.."), "leads out of its folder"),
        (pax(record("path", "/tmp/a.jpg")) + file(), "is an absolute name"),
        (file(b"././@LongLink", b"../" * 50 + b"a.jpg\0", b"L") + file(), "leads out of its folder"),
        (file(b"."), "is no name"),
        (file(b""), "is no name"),
        (header(b"b.jpg", 0, b"1", link=b"good.jpg"), "is a hard link"),
        (header(b"b.jpg", 0, b"2", link=b"/etc/passwd"), "is a symbolic link"),
        (header(b"b.jpg", 0, b"3"), "is a character device"),
        (header(b"b.jpg", 0, b"4"), "is a block device"),
        (header(b"b.jpg", 0, b"6"), "is a named pipe"),
        (file(b"b.jpg", kind=b"7"), "is of the unknown kind b'7'"),
        (file(b"b.jpg", kind=b"\xff"), "is of the unknown kind b'\\xff'"),
        (file(b"b.jpg", kind=b"M"), "is the rest of a file"),
        (file(b"good.jpg"), "is the name of an earlier member"),
        (file(b"./good.jpg"), "is the name of an earlier member"),
        (file(b"GOOD.jpg"), "is the name of an earlier member, but for its case"),
        (file(b"b.jpg\0/../../c.jpg"), "has a control character"),
        (pax(record("path", "b.jpg\0.txt")) + file(), "has a control character"),
        (file(b"././@LongLink", b"b\0.jpg\0", b"L") + file(), "has a control character"),
        (file(b"b\n.jpg"), "has a control character"),
        (file("b\x85.jpg".encode()), "has a control character"),
        (file("b\u2028.jpg".encode()), "has a control character"),
        (file(b"b\\..\\c.jpg"), "has a control character or a backslash"),
        (file(b"b\xff.jpg"), "is not UTF-8"),
        (pax(record("path", b"b\xed\xa0\x80.jpg")) + file(), "is not UTF-8"),
        (pax(record("path", "b" * 5000)) + file(), "is a name of 5000 bytes"),
        (pax(record("path", "b.jpg")) + file(b"././@LongLink", b"c.jpg\0", b"L") + file(), "has another name in another header"),
        (pax(record("GNU.sparse.major", "1"), record("GNU.sparse.realsize", "99999999")) + file(), "is a sparse file"),
        (pax(record("GNU.sparse.map", "0,1,8589934592,1")) + file(), "is a sparse file"),
        (pax(record("SCHILY.realsize", "99999999")) + file(), "is a sparse file"),
        (header(b"b.jpg", len(PICTURE), b"S", at={482: b"\0"}) + padded(PICTURE), "is a sparse file"),
        (
            header(b"b.jpg", 600, b"S", at={482: b"\1"}) + bytes(504) + b"\1" + bytes(7) + bytes(BLOCK) + bytes(1024),
            "is a sparse file",
        ),
    ],
)
def test_a_bad_member_is_refused_and_the_next_one_read(tmp_path: Path, bad: bytes, reason: str) -> None:
    found, rejects, error = read(write(tmp_path, GOOD + bad + SOUND + END))
    assert (found, error) == ([Member("good.jpg", b"good"), Member("last.jpg", b"last")], None)
    (reject,) = rejects
    assert reason in reject.reason
    assert (reject.file, reject.row) == (str(tmp_path / "archive.tar"), 2)
    assert reject.remedy
    assert str(reject).isprintable()


@pytest.mark.parametrize(
    ("first", "second"),
    [("é.jpg", "e\u0301.jpg"), ("straße.jpg", "STRASSE.JPG"), ("a/B.jpg", "A/b.jpg"), ("\u212b.jpg", "å.jpg"), ("b", "b/")],
)
def test_names_a_file_system_could_take_for_one(tmp_path: Path, first: str, second: str) -> None:
    content = file(first.encode(), b"1") + pax(record("path", second)) + file(b"x", b"" if second == "b/" else b"2") + SOUND + END
    found, rejects, error = read(write(tmp_path, content))
    assert [each.name for each in found] == [first, "last.jpg"]
    assert len(rejects) == (second != "b/")  # a folder is no file
    assert error is None


def test_a_member_above_the_cap_is_refused_unread(tmp_path: Path) -> None:
    found, rejects, error = read(write(tmp_path, GOOD + file(data=bytes(5000)) + SOUND + END), Limits(member_bytes=4999))
    assert [each.name for each in found] == ["good.jpg", "last.jpg"]
    assert ["has 5000 bytes, the limit is 4999" in each.reason for each in rejects] == [True]
    assert error is None


# The archive cannot be read on


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (file(b"b.jpg")[:148] + b"0000000\0" + file(b"b.jpg")[156:] + SOUND + END, "the checksum of a header is wrong"),
        (header(b"b.jpg", b"00000001 00\0") + END, "where a number belongs"),
        (header(b"b.jpg", b"0o1\0") + END, "where a number belongs"),
        (header(b"b.jpg", b"-0000000001\0") + END, "where a number belongs"),
        (header(b"b.jpg", b"\xff" * 12) + END, "where a number belongs"),
        (header(b"b.jpg", b"\x80" + b"\xff" * 11) + END, "is cut within the data"),
        (pax(record("size", "512")) + file() + SOUND + END, "1280 bytes by its header, and 512 by its extended header"),
        (pax(record("size", "0")) + file() + SOUND + END, "1280 bytes by its header, and 0 by"),
        (pax(record("size", "1792")) + file() + SOUND + END, "1280 bytes by its header, and 1792 by"),
        (pax(record("size", str(9 << 30))) + file() + SOUND + END, "is cut within the data"),
        (pax(record("size", "-1")) + file() + SOUND + END, "where the size belongs"),
        (pax(record("size", "1280"), record("size", "0")) + file() + SOUND + END, '"size" twice'),
        (pax(record("path", "c"), record("path", "d")) + file() + SOUND + END, '"path" twice'),
        (pax(record("size", "0"), kind=b"g") + file() + SOUND + END, 'a global header tells "size"'),
        (pax(record("path", "c"), kind=b"g") + file() + SOUND + END, 'a global header tells "path"'),
        (pax(b"99999 path=c\n") + file() + END, "an extended header is damaged"),
        (pax(b"8 path=c\n") + file() + END, "an extended header is damaged"),
        (pax(b"0 path=c\n") + file() + END, "an extended header is damaged"),
        (pax(b"10 path=c\n\0") + file() + END, "an extended header is damaged"),
        (pax(b"9" * 5000 + b" path=c\n") + file() + END, "an extended header is damaged"),
        (pax(b"\xff\xfe") + file() + END, "an extended header is damaged"),
        (header(b"x", 2 << 30, b"x") + END, "an extended header has 2147483648 bytes"),
        (header(b"x", 2 << 30, b"L") + END, "an extended header has 2147483648 bytes"),
        (pax(record("path", "c")) * 20 + file() + END, "more than 8 extended headers"),
        (pax(record("comment", "c"), kind=b"g") * 20 + file() + END, "more than 8 extended headers"),
        (pax(record("path", "c")) + END, "ends after an extended header"),
        (header(b"b.jpg", 512, b"2", link=b"good.jpg") + bytes(BLOCK) + END, "holds no data, but has 512 bytes"),
        (header(b"b.jpg", 512, b"1", link=b"good.jpg") + bytes(BLOCK) + END, "holds no data, but has 512 bytes"),
        (header(b"b/", 512, b"5") + bytes(BLOCK) + END, "holds no data, but has 512 bytes"),
        (header(b"b/", 512, b"0") + bytes(BLOCK) + END, "holds no data, but has 512 bytes"),
        (b"", "is cut: its end mark is missing"),
        (SOUND, "is cut: its end mark is missing"),
        (SOUND[:200], "is cut within a header"),
        (SOUND[:BLOCK], "is cut within the data"),
        (SOUND[: BLOCK + 4], "is cut within the data"),
        (pax(record("path", "c"))[:-400], "is cut within the data"),
        (bytes(BLOCK) + SOUND + END, "goes on after its end mark"),
        (END + SOUND + END, "goes on after its end mark"),
        (END + bytes(100 * BLOCK) + b"\1", "goes on after its end mark"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "gz"])
def test_damage_is_an_error_after_what_was_sound(tmp_path: Path, bad: bytes, reason: str, pack: Callable[[bytes], bytes]) -> None:
    found, rejects, error = read(write(tmp_path, pack(GOOD + bad)))
    assert Member("good.jpg", b"good") in found
    assert {each.name for each in found} <= {"good.jpg", "last.jpg"}
    assert rejects == []
    assert error is not None
    assert reason in error
    assert str(tmp_path / "archive.tar") in error
    assert error.endswith("; fetch or pack the archive again.")


@pytest.mark.parametrize("end", [END, bytes(BLOCK), bytes(700), bytes(20 * BLOCK)])
def test_a_part_of_the_end_mark_suffices(tmp_path: Path, end: bytes) -> None:
    assert read(write(tmp_path, GOOD + end)) == ([Member("good.jpg", b"good")], [], None)


@pytest.mark.parametrize("content", [b"", b"PK\3\4" + bytes(600), PICTURE, b"x", b"\x1f\x8bnonsense", b"BZh9nonsense"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    found, rejects, error = read(write(tmp_path, content))
    assert (found, rejects) == ([], [])
    assert error is not None


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.tar"):
        assert "is not a file; name a tar archive" in str(read(path)[2])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_a_compressed_archive_cut_anywhere(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    whole = pack(made(FILES))
    for length in range(len(whole)):
        found, rejects, error = read(write(tmp_path, whole[:length]))
        assert rejects == []
        assert error is not None
        assert [each.data for each in found] == [data for _, data in FILES[: len(found)]]


# Bombs


class Repeated:
    """gzip of a block repeated any number of times, in little time: each copy is the same deflate block."""

    def __init__(self, block: bytes) -> None:
        packing = zlib.compressobj(9, wbits=-15)
        first = packing.compress(block) + packing.flush(zlib.Z_FULL_FLUSH)
        self.piece = first if len(block) < 1000 else packing.compress(block) + packing.flush(zlib.Z_FULL_FLUSH)

    def __mul__(self, times: int) -> bytes:
        return self.piece * times


def deflated(data: bytes) -> bytes:
    packing = zlib.compressobj(9, wbits=-15)
    return packing.compress(data) + packing.flush(zlib.Z_FULL_FLUSH)


GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


@pytest.mark.parametrize("size", [2 << 30, 200 << 20])
def test_two_gigabytes_from_two_megabytes(tmp_path: Path, size: int) -> None:
    """Too large a member, and one that is not: neither is read to its end."""
    path = write(tmp_path, GZIP + deflated(GOOD + header(b"b.jpg", size)) + Repeated(bytes(1 << 20)) * 2048)
    assert path.stat().st_size < 3 << 20
    found, rejects, error = read(path)
    assert (found, rejects) == ([Member("good.jpg", b"good")], [])
    assert error is not None
    assert "above the limit of 100 to 1" in error
    held = int(error.split(" hold ")[1].split(",")[0])
    assert 64 << 20 < held < 66 << 20


def test_zeros_after_the_end_are_a_bomb_too(tmp_path: Path) -> None:
    found, _, error = read(write(tmp_path, GZIP + deflated(GOOD + END) + Repeated(bytes(1 << 20)) * 512))
    assert found == [Member("good.jpg", b"good")]
    assert "above the limit of 100 to 1" in str(error)


def test_a_small_archive_may_be_compressed_well(tmp_path: Path) -> None:
    content = gzip.compress(file(b"zeros.jpg", bytes(30 << 20)) + END)
    assert len(content) < 40_000
    assert len(read(write(tmp_path, content))[0]) == 1
    *_, error = read(write(tmp_path, content), Limits(ratio_floor=1 << 20))
    assert "above the limit" in str(error)


def test_a_million_members(tmp_path: Path) -> None:
    folders = b"".join(file(b"%d/" % n, b"", b"5") for n in range(1000))
    path = write(tmp_path, folders * 21 + END)
    assert "has more than 20000 members" in str(read(path, Limits(members=20_000))[2])
    assert read(path, Limits(members=21_000))[2] is None
    assert Limits().members < 1_000_000
    path = write(tmp_path, GZIP + Repeated(folders) * 1000)
    found, rejects, error = read(path)
    assert (found, rejects) == ([], [])
    assert error is not None


def test_the_total_has_a_cap(tmp_path: Path) -> None:
    content = b"".join(file(b"%d.jpg" % n, bytes(4096)) for n in range(100)) + END
    found, _, error = read(write(tmp_path, content), Limits(total_bytes=100_000))
    assert "holds more than 100000 bytes" in str(error)
    assert 15 <= len(found) <= 24
    assert read(write(tmp_path, content), Limits(total_bytes=len(content)))[2] is None


def test_xz_that_asks_for_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = lzma.compress(GOOD + END, preset=9)
    assert read(write(tmp_path, content))[2] is None
    monkeypatch.setattr(tar_stream, "XZ_BYTES", 1 << 20)
    assert "cannot be read on" in str(read(write(tmp_path, content))[2])


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    data = bytes(range(256)) * (4 << 12)  # 4 MiB
    path = write(tmp_path, b"".join(file(b"%d.jpg" % n, data) for n in range(20)) + END)
    tracemalloc.start()
    try:
        assert sum(len(each.data) for each in members(path) if isinstance(each, Member)) == 20 * len(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20  # of 80 MiB: the member before, the new one, and its parts


# Any damage


BASES = [
    made(FILES),
    made(FILES, tarfile.GNU_FORMAT),
    made(FILES[:-1], tarfile.USTAR_FORMAT),
    GOOD
    + pax(record("comment", "x"), kind=b"g")
    + header(b"s", 0, b"2", link=b"good.jpg")
    + file(b"b/", b"", b"5")
    + SOUND
    + END,
]
PACKED = [gzip.compress, bz2.compress, lzma.compress]
changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=8)


def damaged(content: bytes, flips: list[tuple[float, int]], keep: float) -> bytes:
    changed = bytearray(content)
    for where, flip in flips:
        changed[int(where * len(changed))] ^= flip
    return bytes(changed[: round(keep * len(changed))])


def checked(path: Path, within: bytes | None) -> list[Member]:
    found, rejects, _ = read(path)
    for reject in rejects:
        assert str(reject).isprintable()
    for each in found:
        assert within is None or each.data in within
        assert not each.name.startswith("/")
        assert ".." not in each.name.split("/")
    return found


@given(st.sampled_from(BASES), changes, st.one_of(st.just(1.0), st.floats(0, 1)))
@settings(max_examples=400, deadline=None)
@example(BASES[0], [], 1.0)
def test_any_damage_of_a_plain_archive(
    tmp_path_factory: pytest.TempPathFactory, base: bytes, flips: list[tuple[float, int]], keep: float
) -> None:
    content = damaged(base, flips, keep)
    checked(write(tmp_path_factory.getbasetemp(), content), content)


def rewritten(content: bytes) -> bytes:
    """With checksums mended wherever a header stood, as somebody with a purpose would."""
    blocks = [bytearray(content[n : n + BLOCK]) for n in range(0, len(content), BLOCK)]
    for block in blocks:
        if len(block) == BLOCK and block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    return b"".join(blocks)


@given(st.sampled_from(BASES), st.lists(st.tuples(st.integers(0, 511), st.integers(0, 12), st.integers(0, 255)), max_size=4))
@settings(max_examples=400, deadline=None)
def test_headers_forged_with_sound_checksums(
    tmp_path_factory: pytest.TempPathFactory, base: bytes, changes: list[tuple[int, int, int]]
) -> None:
    content = bytearray(base)
    for place, block, value in changes:
        if block * BLOCK + place < len(content):
            content[block * BLOCK + place] = value
    mended = rewritten(bytes(content))
    checked(write(tmp_path_factory.getbasetemp(), mended), mended)


@given(st.sampled_from(BASES), st.sampled_from(PACKED), changes, st.one_of(st.just(1.0), st.floats(0, 1)))
@settings(max_examples=400, deadline=None)
def test_any_damage_of_a_compressed_archive(
    tmp_path_factory: pytest.TempPathFactory,
    base: bytes,
    pack: Callable[[bytes], bytes],
    flips: list[tuple[float, int]],
    keep: float,
) -> None:
    """Either an error, or nothing but what was packed."""
    path = write(tmp_path_factory.getbasetemp(), damaged(pack(base), flips, keep))
    if read(path)[2] is None:
        checked(path, base)
    else:
        checked(path, None)
