"""Archives read into tables, each an artifact of its own."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from heard import Heard
from likewise import stages
from likewise.artifacts.artifact import Artifact
from likewise.artifacts.run import Run, current, leftovers
from likewise.data import archives
from likewise.data.archives import ImageArchiveSource
from likewise.data.corpus import Corpus
from likewise.data.group_tables import read as module
from likewise.data.group_tables.archive_list import LIST, ArchiveList
from likewise.data.group_tables.files import tables_at
from likewise.data.group_tables.merge import merge
from likewise.data.group_tables.read import ReadArchives, read_archives
from likewise.data.image_items import ImageItemsSource
from likewise.data.ingest import ingest
from likewise.data.options import ImageArchiveOptions, ImageItemsOptions
from likewise.errors import DamagedArtifact, DataError, Terminated, UserError
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
    options = ImageArchiveOptions(**{"path": "", "group_from_folder": True, **given})
    return read_archives([folder], into, options, reporter=heard)


def artifacts(into: Path) -> dict[str, Artifact | None]:
    return {folder.name: current(into, folder.name) for folder in sorted(into.iterdir()) if folder.is_dir()}


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
    assert found.sentences()[0] == f"{tmp_path / 'tars' / '0.tar'}: 3 pictures of 2 groups."
    assert found.sentences()[-1] == f"12 pictures of 4 archives in {tmp_path / 'out'}, a folder for each."


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
    assert not leftovers(tmp_path / "out"), "what the archive was before is gone"


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
    with pytest.raises(DataError, match=r"2\.tar was not read to its end; read it into .*out again"):
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
    assert current(tmp_path / "out", "0.tar") is not None
    with pytest.raises(DataError, match=r"1\.tar was not read to its end"):
        tables_at([tmp_path / "out"])
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
    assert len(tables_at([tmp_path / "out"])) == 1


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
    assert found.sentences()[1] == f"{folder / '1.tar'}: 1 picture of 1 group; 1 row could not be used (as it was)."


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
    with pytest.raises(DataError, match=r"No archive could be read: .*0\.tar"):
        read(folder, tmp_path / "out", on_bad="reject")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no archive"):
        read(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none", tmp_path / "out")


def test_a_fault_that_has_gone_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, original = tars(tmp_path / "tars"), archives.members

    def unreadable(path: Path) -> Any:
        if path.name == "1.tar":
            raise DataError(f"{path} cannot be opened (Permission denied); make it readable.")
        return original(path)

    monkeypatch.setattr(archives, "members", unreadable)
    with pytest.raises(DataError, match="Permission denied"):
        read(folder, tmp_path / "out")
    monkeypatch.setattr(archives, "members", original)
    assert [each.pictures for each in read(folder, tmp_path / "out", on_bad="reject").archives] == [3] * ARCHIVES


def test_another_archive_of_a_name_does_not_take_its_place(tmp_path: Path) -> None:
    folder = tars(tmp_path / "first", count=1)
    read(folder, tmp_path / "out")
    shutil.copytree(folder, tmp_path / "copy")
    assert read(tmp_path / "copy", tmp_path / "out").archives[0].reused, "it is the same"
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "copy")
    (tmp_path / "second").mkdir()
    write_archive(tmp_path / "second" / "0.tar", {"9/9": picture(9)}, {})
    with pytest.raises(DataError, match=r"has what was read of .*, whose name is the same; name another folder"):
        read(tmp_path / "second", tmp_path / "out")
    assert len(tables_at([tmp_path / "out"])) == 1


def test_a_renamed_archive_is_not_taken_for_a_second_one(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    (folder / "1.tar").rename(folder / "one.tar")
    with pytest.raises(DataError, match=r"one\.tar seems to be .*1\.tar, renamed; give it that name, or name another folder"):
        read(folder, tmp_path / "out")


def test_what_was_never_read_and_is_gone_leaves_the_list(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    (folder / "1.tar").write_bytes(b"\1" * 2000)
    with pytest.raises(DataError, match=r"1\.tar"):
        read(folder, tmp_path / "out")
    with pytest.raises(DataError, match=r"1\.tar was not read to its end \(.*\); read it into .* again, with --on-bad reject"):
        tables_at([tmp_path / "out"])
    folder = folder.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"moved/1\.tar"):
        read(folder, tmp_path / "out")
    (folder / "1.tar").unlink()
    read(folder, tmp_path / "out")
    assert len(tables_at([tmp_path / "out"])) == ARCHIVES - 1


def test_an_end_at_one_archive_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    (folder / "0.tar").write_bytes(b"\1" * 2000)
    with pytest.raises(DataError, match=r"0\.tar"):
        read(folder, tmp_path / "out")
    listed = ArchiveList.of(tmp_path / "out")
    assert listed is not None
    assert [name for name, entry in listed.archives.items() if entry.read] == ["1.tar", "2.tar", "3.tar"]
    with pytest.raises(DataError, match=r"0\.tar was not read to its end"):
        tables_at([tmp_path / "out" / "0.tar"])
    assert len(tables_at([tmp_path / "out" / "1.tar"])) == 1


def test_what_people_keep_beside_artifacts_stays(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    (tmp_path / "out" / "0.tar" / "notes.txt").write_text("mine")
    (folder / "0.tar").write_bytes(b"\1" * 2000)
    found = read(folder, tmp_path / "out", on_bad="reject")
    assert found.archives[0].fault.endswith("What was read of it before it changed is removed.")
    assert [path.name for path in (tmp_path / "out" / "0.tar").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("damage", [{"archives": {"../tars": {"path": "x"}}}, {"archives": {"a": {"path": 3}}}, {"archives": []}])
def test_a_list_that_leads_elsewhere_is_damaged(tmp_path: Path, damage: dict[str, Any]) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    (tmp_path / "out" / LIST).write_text(json.dumps({"options": {}, **damage}))
    with pytest.raises(DataError, match="is damaged"):
        read(folder, tmp_path / "out")
    assert len(list(folder.iterdir())) == ARCHIVES


@pytest.mark.parametrize("thing", ["file", "link"])
def test_what_stands_in_the_place_of_an_archives_folder_is_left_alone(tmp_path: Path, thing: str) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "0.tar")
    assert "not read to its end" in {row.label: row.value for row in inspect(tmp_path / "out").rows}["0.tar"]
    if thing == "file":
        (tmp_path / "out" / "0.tar").write_text("mine")
    else:
        (tmp_path / "out" / "0.tar").symlink_to(folder)
    with pytest.raises(DataError, match=r"0\.tar is there already, and is no folder"):
        read(folder, tmp_path / "out", on_bad="reject")


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    folder, options = tars(tmp_path / "tars"), ImageArchiveOptions(path="", group_from_folder=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="is there already, and holds other things; name a new folder"):
        read(folder, folder)
    with pytest.raises(DataError, match=r"0\.tar is named twice"):
        read_archives([folder, folder / "0.tar"], tmp_path / "out", options)
    assert sorted(tmp_path.rglob("*")) == before
    read(folder, tmp_path / "out")
    (tmp_path / "more").mkdir()
    write_archive(tmp_path / "more" / "0.tar", {"0/7": picture(7)}, {})
    with pytest.raises(DataError, match=r"0\.tar and .*0\.tar have one name; rename one"):
        read_archives([folder, tmp_path / "more"], tmp_path / "out", options)
    with pytest.raises(DataError, match=r"has what was read of .*0\.tar, whose name is the same"):
        read(tmp_path / "more", tmp_path / "out")
    with Run(tmp_path / "run") as run:
        run.stage(stages.ingest, ImageArchiveOptions(path=str(folder)))
    with pytest.raises(DataError, match="holds other things"):
        read(folder, tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        read(folder, tmp_path / "file" / "out")


def test_other_options_are_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    before = artifacts(tmp_path / "out")
    for given in ({"annotations": "street_view"}, {"group_from_folder": False}, {"frame": 3}):
        with pytest.raises(DataError, match=r"out was read with .* = .*; read it so again, or name another folder"):
            read(folder, tmp_path / "out", on_bad="reject", **given)
    after = artifacts(tmp_path / "out")
    assert {name: found and found.path for name, found in before.items()} == {
        name: found and found.path for name, found in after.items()
    }
    assert len(tables_at([tmp_path / "out"])) == ARCHIVES


def test_what_an_older_version_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_names: list[str]) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    read_names.clear()
    monkeypatch.setattr(module, "INGEST_VERSION", module.INGEST_VERSION + 1)
    monkeypatch.setattr(module.ingest, "version", module.INGEST_VERSION)
    (folder / "0.tar").rename(tmp_path / "0.tar")
    read(folder, tmp_path / "out")
    assert sorted(read_names) == ["1.tar", "2.tar", "3.tar"]
    assert len(tables_at([tmp_path / "out"])) == ARCHIVES, "what is not there to be read again stays"
    (tmp_path / "0.tar").rename(folder / "0.tar")
    read_names.clear()
    assert [each.reused for each in read(folder, tmp_path / "out").archives] == [False, True, True, True]
    assert read_names == ["0.tar"]


def test_only_one_process_reads_into_a_folder(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(UserError, match="is in use by another run"):
        read(folder, tmp_path / "out")
    assert sum(each.pictures for each in read(folder, tmp_path / "out").archives) == 12, "a lock alone is no hindrance"


def test_archives_that_were_moved_or_named_otherwise_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_names: list[str]
) -> None:
    folder = tars(tmp_path / "tars")
    monkeypatch.chdir(tmp_path)
    read(Path("tars"), Path("out"))
    read_names.clear()
    assert all(each.reused for each in read(folder, tmp_path / "out").archives)
    folder.rename(tmp_path / "elsewhere")
    assert all(each.reused for each in read(tmp_path / "elsewhere", tmp_path / "out").archives)
    (tmp_path / "out").rename(tmp_path / "moved")
    assert all(each.reused for each in read(tmp_path / "elsewhere", tmp_path / "moved").archives)
    assert read_names == []
    assert len(tables_at([tmp_path / "moved"])) == ARCHIVES


def test_archives_of_other_names(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars", count=1)
    (folder / "0.tar").rename(folder / "Gebäude 1.tar")
    (folder / "no archive.tar").mkdir()
    found = read(folder, tmp_path / "out")
    assert found.sentences()[0] == f"{folder / 'Gebäude 1.tar'}: 3 pictures of 2 groups."
    assert len(tables_at([tmp_path / "out"])) == 1
    shutil.copy(folder / "Gebäude 1.tar", folder / "log.jsonl")
    with pytest.raises(DataError, match="called like a file that is written beside it; rename it"):
        read(folder / "log.jsonl", tmp_path / "out")
    (folder / "Gebäude 1.tar").rename(os.fsdecode(os.fsencode(folder) + b"/\xff.tar"))
    with pytest.raises(DataError, match=r"\\xff\.tar has a name that is not UTF-8; rename it"):
        read(folder, tmp_path / "out")


def test_an_archive_that_is_gone_takes_nothing_with_it(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    (folder / "1.tar").unlink()
    (folder / "1.tar").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"1\.tar"):
        read(folder, tmp_path / "out")
    assert current(tmp_path / "out", "1.tar") is not None


def test_pictures_without_a_group_are_told_where_groups_were_asked_for(tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    write_archive(tmp_path / "tars" / "a.tar", {"0": picture(0)}, {})
    told = [read(tmp_path / "tars", tmp_path / name, group_from_folder=name == "with").sentences()[0] for name in ("with", "not")]
    assert told == [f"{tmp_path / 'tars' / 'a.tar'}: 1 picture{alone}." for alone in (", 1 without a group", "")]


@pytest.mark.parametrize("threads", [1, 2])
def test_sigterm_ends_the_reading_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(module, "readers", lambda shards: threads)
    original = module.ingest

    @functools.wraps(original)
    def signalled(unfinished: Any, options: Any) -> None:
        if options.path.endswith("2.tar"):
            signal.raise_signal(signal.SIGTERM) if threads == 1 else os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        original(unfinished, options)

    monkeypatch.setattr(module, "ingest", signalled)
    with pytest.raises(Terminated):
        read(tars(tmp_path / "tars"), tmp_path / "out")
    monkeypatch.setattr(module, "ingest", original)
    assert sum(each.pictures for each in read(tmp_path / "tars", tmp_path / "out").archives) == 12


def test_a_damaged_artifact_is_made_again(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    (table,) = [table for table in tables_at([tmp_path / "out"]) if "1.tar" in table.parts]
    table.write_bytes(table.read_bytes()[:-100])
    found = read(folder, tmp_path / "out")
    assert [each.reused for each in found.archives] == [True, False, True, True]
    (table.parents[1] / "current").write_bytes(b"../../elsewhere\xff")
    with pytest.raises(DamagedArtifact):
        tables_at([tmp_path / "out"])
    assert "damaged" in {row.label: row.value for row in inspect(tmp_path / "out").rows}["1.tar"]
    assert [each.pictures for each in read(folder, tmp_path / "out").archives] == [3] * ARCHIVES
    (tmp_path / "out" / LIST).write_text("{}")
    with pytest.raises(DataError, match=r"likewise-archives\.json is damaged"):
        read(folder, tmp_path / "out")


def test_all_together_they_are_merged_inspected_and_read_in(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    read(folder, tmp_path / "out")
    merged = merge([tmp_path / "out"], tmp_path / "merged")
    assert (merged.tables, merged.rows) == (ARCHIVES, 12)
    assert merge([tmp_path / "out" / "0.tar", tmp_path / "out" / "2.tar"], tmp_path / "some").rows == 6
    assert {row.label: row.value for row in inspect(tmp_path / "out" / "0.tar").rows}["ids"] == "3 in 3 rows"
    written = draft(tmp_path, "together")
    source = ImageItemsOptions(path=str(tmp_path / "out"))
    assert ImageItemsSource(source).shards() == [f"{number}.tar-items-00000" for number in range(ARCHIVES)]
    ingest(written, source)
    corpus = Corpus(publish(written))
    assert len(corpus.ids) == 12
    assert corpus.groups is not None
    assert len(corpus.groups.names) == 8


def test_archives_are_inspected(tmp_path: Path) -> None:
    folder = tars(tmp_path / "tars")
    (folder / "1.tar").write_bytes(b"\1" * 2000)
    read(folder, tmp_path / "out", on_bad="reject")
    listed = ArchiveList.of(tmp_path / "out")
    assert listed is not None
    listed.archives["2.tar"].read = False
    listed.write()
    told = {row.label: row.value for row in inspect(tmp_path / "out").rows}
    assert told["kind"] == "archives"
    assert "files" in told["0.tar"]
    assert told["1.tar"].startswith("left out: ")
    assert told["2.tar"] == "not read to its end"
    assert "2.tar was not read to its end" in told["groups"]
    read(folder, tmp_path / "out", on_bad="reject")
    told = {row.label: row.value for row in inspect(tmp_path / "out").rows}
    assert (told["ids"], told["groups"]) == ("9 in 9 rows", "6")


def test_reading_again_does_not_make_a_recipe_ingest_again(tmp_path: Path) -> None:
    folder, options = tars(tmp_path / "tars"), ImageItemsOptions(path=str(tmp_path / "out"))
    read(folder, tmp_path / "out")
    for reused in (False, True):
        with Run(tmp_path / "run") as run:
            run.stage(stages.ingest, options)
        assert run.records[0].reused == reused
        read(folder, tmp_path / "out")
    write_archive(folder / "4.tar", {"9/9": picture(99)}, {})
    read(folder, tmp_path / "out")
    with Run(tmp_path / "run") as run:
        artifact = run.stage(stages.ingest, options)
    assert artifact is not None
    assert artifact.json("counts.json")["items"] == 13
    events = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert "4 of 5 shards are as they were and were not read again." in [event.get("sentence") for event in events]


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
    assert not leftovers(tmp_path / "out")
