"""Archives read into tables, each an artifact of its own."""

from __future__ import annotations

import functools
import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heard import Heard
from likewise.artifacts.artifact import Artifact
from likewise.artifacts.run import current, leftovers
from likewise.data.archives import ImageArchiveSource
from likewise.data.corpus import Corpus
from likewise.data.group_tables import read as module
from likewise.data.group_tables.files import tables_at
from likewise.data.group_tables.merge import merge
from likewise.data.group_tables.read import ReadArchives, read_archives
from likewise.data.image_items import ImageItemsSource
from likewise.data.ingest import ingest
from likewise.data.options import ImageArchiveOptions, ImageItemsOptions
from likewise.errors import DamagedArtifact, DataError
from likewise.inspecting import inspect
from likewise.testing.artifacts import draft, publish
from small_images import picture, write_archive

ARCHIVES = 4
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["likewise.data.group_tables.read"])


def tars(folder: Path, count: int = ARCHIVES, each: int = 3) -> Path:
    """Archives of different pictures of two buildings each."""
    folder.mkdir()
    for archive in range(count):
        numbers = range(archive * each, (archive + 1) * each)
        pictures = {f"{2 * archive + number % 2}/{number:03}": picture(number) for number in numbers}
        write_archive(folder / f"{archive}.tar", pictures, {})
    return folder


def read(folder: Path, into: Path, *, heard: Heard | None = None, **given: Any) -> ReadArchives:
    options = ImageArchiveOptions(path="", group_from_folder=True, **given)
    return read_archives([folder], into, options, reporter=heard)


def artifacts(into: Path) -> dict[str, Artifact | None]:
    return {folder.name: current(folder, "ingest") for folder in sorted(into.iterdir())}


@pytest.fixture
def read_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The archives that are read from now on."""
    names: list[str] = []
    original = ImageArchiveSource.read

    def noted(self: ImageArchiveSource, shard: str) -> Iterator[Any]:
        names.append(shard)
        return original(self, shard)

    monkeypatch.setattr(ImageArchiveSource, "read", noted)
    return names


@pytest.mark.parametrize("threads", [1, 3])
def test_each_archive_is_an_artifact_of_what_ingest_makes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(module, "readers", lambda shards: min(shards, threads))
    found = read(tars(tmp_path / "tars"), tmp_path / "out")
    assert [(each.pictures, each.groups, each.rejected, each.reused) for each in found.archives] == [(3, 2, 0, False)] * ARCHIVES
    for name, artifact in artifacts(tmp_path / "out").items():
        assert artifact is not None
        artifact.verify()
        alone = draft(tmp_path, f"alone-{name}")
        ingest(alone, ImageArchiveOptions(path=str(tmp_path / "tars" / name), group_from_folder=True, on_bad="reject"))
        assert artifact.content == publish(alone).content
    assert found.sentences()[0] == f"{tmp_path / 'out' / '0.tar'}: 3 pictures of 2 groups."
    assert found.sentences()[-1] == "12 pictures of 4 archives, each a folder of its own."


def test_what_was_read_is_read_again_only_where_it_changed(tmp_path: Path, read_names: list[str]) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    before = artifacts(tmp_path / "out")
    write_archive(folder / "1.tar", {"9/9": picture(99)}, {})
    write_archive(folder / "new.tar", {"8/8": picture(98)}, {})
    read_names.clear()
    found = read(folder, tmp_path / "out")
    assert sorted(read_names) == ["1.tar", "new.tar"]
    assert [each.reused for each in found.archives] == [True, False, True, True, False]
    assert [each.pictures for each in found.archives] == [3, 1, 3, 3, 1]
    after = artifacts(tmp_path / "out")
    assert before["0.tar"] is not None
    assert after["0.tar"] is not None
    assert after["0.tar"].path == before["0.tar"].path
    assert not leftovers(tmp_path / "out" / "1.tar"), "what the archive was before is gone"


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupted_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_names: list[str], threads: int
) -> None:
    monkeypatch.setattr(module, "readers", lambda shards: threads)
    folder = tars(tmp_path / "tars")
    original = module.ingest

    @functools.wraps(original)  # with its name and version
    def interrupted(unfinished: Any, options: Any) -> None:
        if options.path.endswith("2.tar"):
            raise KeyboardInterrupt
        original(unfinished, options)

    monkeypatch.setattr(module, "ingest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read(folder, tmp_path / "out")
    assert {"0.tar", "1.tar"} <= set(read_names)
    with pytest.raises(DataError, match=r"2\.tar was not read to its end; read it again, or name the others\."):
        tables_at([tmp_path / "out"])
    monkeypatch.setattr(module, "ingest", original)
    before = set(read_names)
    read_names.clear()
    assert sum(each.pictures for each in read(folder, tmp_path / "out").archives) == 12
    assert {"2.tar"} <= set(read_names) <= {f"{number}.tar" for number in range(ARCHIVES)} - {"0.tar", "1.tar"}
    assert before | set(read_names) == {f"{number}.tar" for number in range(ARCHIVES)}


def test_a_damaged_archive_ends_the_reading_or_is_left_out(tmp_path: Path, read_names: list[str]) -> None:
    folder = tars(tmp_path / "tars")
    whole = (folder / "1.tar").read_bytes()
    (folder / "1.tar").write_bytes(whole[:1500])
    with pytest.raises(DataError, match=r"1\.tar is cut .*, or go on without it by --on-bad reject\.$"):
        read(folder, tmp_path / "out")
    assert current(tmp_path / "out" / "0.tar", "ingest") is not None
    read_names.clear()
    found = read(folder, tmp_path / "out", on_bad="reject")
    assert "0.tar" not in read_names, "what was read before the error is kept"
    assert [each.folder is None for each in found.archives] == [False, True, False, False]
    assert found.sentences()[1].startswith(f"{folder / '1.tar'} is left out: {folder / '1.tar'} is cut ")
    assert not (tmp_path / "out" / "1.tar").exists()
    assert len(tables_at([tmp_path / "out"])) == 3
    (folder / "1.tar").write_bytes(whole)
    assert sum(each.pictures for each in read(folder, tmp_path / "out").archives) == 12


def test_an_archive_that_became_damaged_leaves_nothing(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars", count=2)
    read(folder, tmp_path / "out")
    (folder / "1.tar").write_bytes((folder / "1.tar").read_bytes()[:1500])
    read(folder, tmp_path / "out", on_bad="reject")
    assert list(artifacts(tmp_path / "out")) == ["0.tar"]


def test_one_bad_picture_is_told_or_ends_the_reading(tmp_path: Path, read_names: list[str]) -> None:
    folder = tars(tmp_path / "tars", count=1)
    write_archive(folder / "1.tar", {"5/5": picture(5), "5/6": picture(6)}, {})
    data = (folder / "1.tar").read_bytes()
    (folder / "1.tar").write_bytes(b"IDOT".join(data.rsplit(b"IDAT", 1)))
    with pytest.raises(DataError, match=r"1\.tar.*, or go on without it by --on-bad reject\.$"):
        read(folder, tmp_path / "out")
    read_names.clear()
    found = read(folder, tmp_path / "out", on_bad="reject")
    assert read_names == [], "the picture that is left out was found in the first reading"
    assert found.sentences()[1] == f"{tmp_path / 'out' / '1.tar'}: 1 picture of 1 group; 1 row could not be used (as it was)."


def test_what_is_said_of_archives_is_told_in_their_order(tmp_path: Path) -> None:
    folder, heard = tars(tmp_path / "tars", count=3), Heard()
    for name in ("0", "2"):
        write_archive(folder / f"{name}.tar", {"5/5": picture(5)}, {"5/5": "no picture"})
    read(folder, tmp_path / "out", heard=heard)
    assert [line.split(":")[0] for line in heard.lines] == ["0.tar", "2.tar"]
    assert "files that end in .txt" in heard.lines[0]


def test_nothing_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars", count=1)
    (folder / "0.tar").write_bytes(b"\1" * 2000)
    with pytest.raises(DataError, match="No archive could be read; the first: "):
        read(folder, tmp_path / "out", on_bad="reject")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no archive"):
        read(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none", tmp_path / "out")


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    folder, options = tars(tmp_path / "tars"), ImageArchiveOptions(path="")
    with pytest.raises(DataError, match=r"0\.tar is there already"):
        read(folder, folder)
    with pytest.raises(DataError, match="have one name"):
        read_archives([folder, folder / "0.tar"], tmp_path / "out", options)
    read(folder, tmp_path / "out")
    (tmp_path / "more").mkdir()
    write_archive(tmp_path / "more" / "0.tar", {"0/7": picture(7)}, {})
    with pytest.raises(DataError, match="has what was read of another archive"):
        read(tmp_path / "more", tmp_path / "out")
    with pytest.raises(DataError, match="is a run; name another folder"):
        read(folder, tmp_path / "out" / "0.tar")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        read(folder, tmp_path / "file" / "out")


def test_the_archives_are_found_from_any_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tars(tmp_path / "tars")
    monkeypatch.chdir(tmp_path)
    read(Path("tars"), tmp_path / "out")
    monkeypatch.chdir(tmp_path / "tars")
    assert [each.pictures for each in read(tmp_path / "tars", tmp_path / "out").archives] == [3] * ARCHIVES


def test_a_damaged_artifact_is_made_again(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    (table,) = [table for table in tables_at([tmp_path / "out"]) if "1.tar" in table.parts]
    table.write_bytes(table.read_bytes()[:-100])
    found = read(folder, tmp_path / "out")
    assert [each.reused for each in found.archives] == [True, False, True, True]
    (table.parents[1] / "current").write_text("../../elsewhere")
    with pytest.raises(DamagedArtifact):
        tables_at([tmp_path / "out"])
    assert [each.pictures for each in read(folder, tmp_path / "out").archives] == [3] * ARCHIVES


def test_all_together_they_are_merged_inspected_and_read_in(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    merged = merge([tmp_path / "out"], tmp_path / "merged")
    assert (merged.tables, merged.rows) == (ARCHIVES, 12)
    told = {row.label: row.value for row in inspect(tmp_path / "out").rows}
    assert told["kind"] == "runs"
    assert told["0.tar"].startswith("ingest; ")
    assert (told["ids"], told["groups"]) == ("12 in 12 rows", "8")
    written = draft(tmp_path, "together")
    source = ImageItemsOptions(path=str(tmp_path / "out"))
    assert ImageItemsSource(source).shards() == [f"{number}.tar-items-00000" for number in range(ARCHIVES)]
    ingest(written, source)
    corpus = Corpus(publish(written))
    assert len(corpus.ids) == 12
    assert corpus.groups is not None
    assert len(corpus.groups.names) == 8


def attempt(folder: Path, into: Path) -> None:
    read(folder, into)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_sigkill_at_any_moment(tmp_path: Path, seed: int) -> None:
    folder = tars(tmp_path / "tars", count=8, each=40)
    began = time.monotonic()
    read(folder, tmp_path / "whole")
    seconds = time.monotonic() - began
    process = context.Process(target=attempt, args=(folder, tmp_path / "out"))
    process.start()
    time.sleep(random.Random(seed).uniform(0, 1.5 * seconds))
    process.kill()
    process.join(60)
    read(folder, tmp_path / "out")
    contents = [
        {name: artifact and artifact.content for name, artifact in artifacts(into).items()}
        for into in (tmp_path / "whole", tmp_path / "out")
    ]
    assert contents[0] == contents[1]
    assert not any(leftovers(run) for run in (tmp_path / "out").iterdir())
