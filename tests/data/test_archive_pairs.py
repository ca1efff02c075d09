from __future__ import annotations

import io
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.data.archive_pairs import ENTRY_BYTES, Pair, paired
from likewise.data.tar_members import Member, members
from likewise.errors import DataError
from likewise.types import Reject


def parted(found: Iterator[Pair | Reject]) -> tuple[list[Pair], list[Reject]]:
    pieces = list(found)
    return [each for each in pieces if isinstance(each, Pair)], [each for each in pieces if isinstance(each, Reject)]


def pair(stem: str, ending: str = ".jpg") -> Pair:
    return Pair(stem, stem + ending, b"image " + stem.encode(), f"text {stem}")


def members_of(each: Pair) -> tuple[Member, Member]:
    return Member(each.image_name, each.image), Member(f"{each.stem}.txt", each.text.encode())


def test_a_picture_and_its_text_in_either_order() -> None:
    first, second = pair("b/0001_1"), pair("b/0001_2", ".PNG")
    image, text = members_of(second)
    assert list(paired([*members_of(first), text, image], "a.tar")) == [first, second]


def test_a_pair_is_given_as_soon_as_it_is_whole() -> None:
    first = pair("a")
    found = paired(iter([*members_of(first), *[Member("b.jpg", b"")] * 2]), "a.tar")
    assert next(found) == first


def test_folders_and_dots_belong_to_the_stem() -> None:
    names = ["a/1.jpg", "b/1.txt", "c.1.jpg", "c.txt", "d.2/e.jpg", "d.2/e.txt"]
    pairs, rejects = parted(paired([Member(name, b"") for name in names], "a.tar"))
    assert [each.stem for each in pairs] == ["d.2/e"]
    assert len(rejects) == 4


def test_what_is_alone_at_the_end_is_refused() -> None:
    given_reject = Reject("a.tar", 1, "reason", "remedy")
    pairs, rejects = parted(paired([Member("a.jpg", b""), given_reject, Member("b.txt", b"")], "a.tar"))
    assert pairs == []
    assert rejects[0] is given_reject
    assert [str(each) for each in rejects[1:]] == [
        'a.tar: "a.jpg" has no annotation a.txt beside it; add it, or leave both out.',
        'a.tar: "b.txt" has no picture b.jpg (or another ending) beside it; add it, or leave both out.',
    ]


def test_what_is_neither_picture_nor_text() -> None:
    pairs, rejects = parted(paired([Member("a.json", b""), *members_of(pair("a")), Member("README", b"")], "a.tar"))
    assert pairs == [pair("a")]
    assert [each.reason for each in rejects] == [
        '"a.json" is neither picture nor annotation',
        '"README" is neither picture nor annotation',
    ]


def test_two_pictures_of_one_stem() -> None:
    image, text = members_of(pair("a"))
    pairs, rejects = parted(paired([image, Member("a.png", b"other"), text], "a.tar"))
    assert pairs == [pair("a")]
    assert [each.reason for each in rejects] == ['"a.png" has the stem of "a.jpg"']


@pytest.mark.parametrize(
    ("text", "reason"), [(b"\xff", '"a.txt" is not UTF-8'), (bytes((1 << 20) + 1), '"a.txt" has 1048577 bytes')]
)
def test_a_bad_annotation_refuses_its_pair_once(text: bytes, reason: str) -> None:
    pairs, rejects = parted(paired([Member("a.jpg", b""), Member("a.txt", text), *members_of(pair("b"))], "a.tar"))
    assert pairs == [pair("b")]
    assert [reason in each.reason for each in rejects] == [True]


def test_a_byte_order_mark_is_no_text() -> None:
    assert parted(paired([Member("a.txt", b"\xef\xbb\xbfd 1"), Member("a.jpg", b"")], "a.tar"))[0][0].text == "d 1"


def test_what_waits_has_a_cap() -> None:
    images = [Member(f"{n:03d}.jpg", bytes(1000)) for n in range(10)]
    texts = [Member(f"{n:03d}.txt", b"") for n in range(10)]
    needed = 10 * (1000 + 2 * 7 + ENTRY_BYTES)
    assert len(parted(paired([*images, *texts], "a.tar", waiting_bytes=needed))[0]) == 10
    found = paired([*images, *texts], "a.tar", waiting_bytes=needed - 1)
    with pytest.raises(DataError, match=r"a\.tar has 10 members that wait for their partner.*tar --sort=name"):
        list(found)
    side_by_side = [each for both in zip(images, texts, strict=True) for each in both]
    assert len(parted(paired(side_by_side, "a.tar", waiting_bytes=2000))[0]) == 10


def test_a_million_names_without_data_reach_the_cap() -> None:
    endless = (Member(f"{n}.txt", b"") for n in range(1_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="members that wait"):
            list(paired(endless, "a.tar", waiting_bytes=1 << 20))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_from_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for each in members_of(pair("0001/1")):
            entry = tarfile.TarInfo(each.name)
            entry.size = len(each.data)
            archive.addfile(entry, io.BytesIO(each.data))
    assert list(paired(members(path), str(path))) == [pair("0001/1")]


@given(st.permutations([*range(8)]), st.sets(st.integers(0, 7)))
def test_any_order_gives_the_same_pairs(order: list[int], missing: set[int]) -> None:
    pairs = [pair(f"{n}") for n in range(4)]
    everything = [each for one in pairs for each in members_of(one)]
    found, rejects = parted(paired([everything[n] for n in order if n not in missing], "a.tar"))
    whole = [n for n in range(4) if not {2 * n, 2 * n + 1} & missing]
    assert sorted(found, key=lambda each: each.stem) == [pairs[n] for n in whole]
    assert len(rejects) == 8 - len(missing) - 2 * len(whole)
