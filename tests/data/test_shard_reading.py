"""Shards read side by side: the same files as one after another, the first error in their order, and an end to all of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from likewise.artifacts.draft import Draft
from likewise.data import archives
from likewise.data.archives import ImageArchiveSource
from likewise.data.ingest import ingest
from likewise.data.options import ImageArchiveOptions, PairsOptions
from likewise.data.shard_reading import _result, in_order
from likewise.errors import DataError
from likewise.testing.artifacts import draft
from likewise.types import Items, Remark
from small_images import picture, write_archive

ARCHIVES = 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Archives of three pictures each, the first of which all share under one name."""
    place = tmp_path / "tars"
    place.mkdir()
    for number in range(ARCHIVES):
        pictures = {"shared": picture(0), **{f"{number}-{each}": picture(1 + 2 * number + each) for each in range(2)}}
        write_archive(place / f"{number}.tar", pictures, {})
    return place


def at_a_time(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "readers", lambda shards: count)


def files(unfinished: Draft) -> dict[str, bytes]:
    return {
        path.relative_to(unfinished.path).as_posix(): path.read_bytes()
        for path in unfinished.path.rglob("*")
        if path.is_file() and ".scratch" not in path.parts
    }


def ingested(tmp_path: Path, folder: Path) -> Draft:
    unfinished = draft(tmp_path, "ingest")
    ingest(unfinished, ImageArchiveOptions(path=str(folder)))
    return unfinished


def test_side_by_side_gives_the_files_of_one_after_another(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_time(1, monkeypatch)
    expected = files(ingested(tmp_path, folder))
    at_a_time(3, monkeypatch)
    unfinished = ingested(tmp_path, folder)
    assert files(unfinished) == expected
    counts = unfinished.json("counts.json")
    assert [shard["items"] for shard in counts["shards"]] == [3, 2, 2, 2]
    assert counts["items"] == len({name for number in range(4) for name in unfinished.table(f"items-0000{number}.parquet")["id"]})


def test_archives_are_read_at_the_same_time(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_time(ARCHIVES, monkeypatch)
    meeting = threading.Barrier(ARCHIVES)
    read = ImageArchiveSource.read

    def together(self: ImageArchiveSource, shard: str) -> object:
        meeting.wait(timeout=30)
        return read(self, shard)

    monkeypatch.setattr(ImageArchiveSource, "read", together)
    assert ingested(tmp_path, folder).json("counts.json")["items"] == 9


@pytest.mark.parametrize("readers", [1, 3])
def test_a_run_that_ended_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, readers: int
) -> None:
    at_a_time(readers, monkeypatch)
    expected = files(ingested(tmp_path, folder))
    read = ImageArchiveSource.read
    were_read: list[str] = []

    class Ended(BaseException):
        pass

    def breaking(self: ImageArchiveSource, shard: str) -> object:
        yield from read(self, shard)
        if shard == "2.tar":
            raise Ended

    def noting(self: ImageArchiveSource, shard: str) -> object:
        were_read.append(shard)
        return read(self, shard)

    unfinished = draft(tmp_path, "ingest")
    options = ImageArchiveOptions(path=str(folder))
    monkeypatch.setattr(ImageArchiveSource, "read", breaking)
    with pytest.raises(Ended):
        ingest(unfinished, options)
    assert not unfinished.has("items-00002.parquet")
    monkeypatch.setattr(ImageArchiveSource, "read", noting)
    ingest(unfinished, options)
    assert "2.tar" in were_read
    assert not {"0.tar", "1.tar"} & set(were_read)
    assert files(unfinished) == expected


def test_the_first_archive_that_is_broken_is_named(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_time(ARCHIVES, monkeypatch)
    for number in (1, 3):
        path = folder / f"{number}.tar"
        path.write_bytes(path.read_bytes()[:700])
    for _ in range(5):
        with pytest.raises(DataError, match=r"1\.tar is cut"):
            ingested(tmp_path, folder)


def test_an_error_ends_what_is_still_read() -> None:
    """Without it the second number would be worked on for ever."""
    begun = threading.Event()

    def work(number: int, go_on: Callable[[], None]) -> int:
        if number == 0:
            begun.wait(timeout=30)
            raise DataError("broken; mend it.")
        while True:
            begun.set()
            go_on()

    with pytest.raises(DataError, match="broken"):
        list(in_order(work, 5, 2, lambda: None))


def test_a_result_that_comes_while_waiting_ends_is_no_error() -> None:
    class Late(Future[int]):
        def result(self, timeout: float | None = None) -> int:
            try:
                return super().result(timeout)
            finally:
                come()

    future = Late()

    def come() -> None:
        if not future.done():
            future.set_result(7)

    assert _result(future, come) == 7


def test_what_a_source_says_is_said_by_the_run_that_goes_on(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_time(2, monkeypatch)
    whole, read = threading.Event(), ImageArchiveSource.read

    def breaking(self: ImageArchiveSource, shard: str) -> object:
        if shard == "0.tar":
            assert whole.wait(timeout=30)
            raise KeyboardInterrupt
        yield from read(self, shard)
        yield Remark(f"{shard} is odd.")

    class Keen(Draft):
        said: ClassVar[list[str]] = []

        def say(self, sentence: str) -> None:
            self.said.append(sentence)

        @contextmanager
        def write(self, name: str) -> Iterator[Path]:
            with super().write(name) as path:
                yield path
            if name == "items-00001.parquet":
                whole.set()

    unfinished = Keen(tmp_path / "keen", stage="ingest")
    options = ImageArchiveOptions(path=str(folder))
    monkeypatch.setattr(ImageArchiveSource, "read", breaking)
    with pytest.raises(KeyboardInterrupt):
        ingest(unfinished, options)
    assert not Keen.said
    monkeypatch.setattr(ImageArchiveSource, "read", read)
    ingest(unfinished, options)
    assert "1.tar is odd." in Keen.said


def test_progress_never_goes_back(tmp_path: Path) -> None:
    """A row gives two items, and is counted once its slice was read."""
    rows = [f'{{"anchor": "a{number}", "positive": "b{number}"}}\n' for number in range(9)]
    (tmp_path / "rows.jsonl").write_text("".join(rows), encoding="utf-8")
    unfinished = draft(tmp_path, "ingest")
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int, note: str = "") -> None:
        told.append((done, int(note.split()[0])))

    unfinished.progress = progress  # type: ignore[method-assign]
    ingest(unfinished, PairsOptions(path=str(tmp_path / "rows.jsonl")))
    assert told == sorted(told)
    assert told[-1] == (1, 18)


def test_results_come_in_order_and_waiting_is_heard() -> None:
    heard = threading.Event()

    def work(number: int, go_on: Callable[[], None]) -> int:
        if number == 0:
            heard.wait(timeout=30)
        return number

    assert list(in_order(work, 9, 3, heard.set)) == list(range(9))
    assert heard.is_set()


def test_a_slice_holds_so_many_bytes_and_no_more(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.data.images.SLICE_BYTES", 1)
    source = ImageArchiveSource(ImageArchiveOptions(path=str(folder)))
    assert [len(piece) for piece in source.read("0.tar") if isinstance(piece, Items)] == [1, 1, 1]
