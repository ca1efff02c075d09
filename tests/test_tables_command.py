"""`likewise tables`: what each command writes and prints, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer

from command_line import call
from data.group_tables.tables import items, read, two_tables, write
from likewise.cli import application
from small_images import picture, write_archive

DOCUMENTED = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"


def test_tables_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    two_tables(tmp_path / "in")
    assert call(monkeypatch, "tables", "merge", tmp_path / "in", "--into", tmp_path / "out", "--rows-per-file", 2) == 0
    assert capsys.readouterr().out.startswith("5 rows of 2 tables written to 3 tables.\n")
    assert read(tmp_path / "out")["id"].to_pylist() == list("abcde")


def test_archives_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    line = "d 1 2 3 7 40.7 -74 12 1 0 0 40.8 -74.1 3 50 180 -5 0.5\n"
    (tmp_path / "tars").mkdir()
    write_archive(tmp_path / "tars" / "a.tar", {"v/0": picture(0)}, {"v/0": line})
    write_archive(tmp_path / "tars" / "b.tar", {"v/1": picture(1)}, {"v/1": line.replace("3", "4", 1)})
    command = ("tables", "read", tmp_path / "tars", "--into", tmp_path / "out", "--annotations", "street_view")
    assert call(monkeypatch, *command) == 0
    assert capsys.readouterr().out == (
        f"{tmp_path / 'tars' / 'a.tar'}: 1 picture of 1 group.\n{tmp_path / 'tars' / 'b.tar'}: 1 picture of 1 group.\n"
        f"2 pictures of 2 archives in {tmp_path / 'out'}, a folder for each.\n"
    )
    assert call(monkeypatch, *command, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["pictures"], each["reused"]) for each in told["archives"]] == [(1, True)] * 2
    assert call(monkeypatch, "tables", "merge", tmp_path / "out", "--into", tmp_path / "merged") == 0
    assert read(tmp_path / "merged")["id"].to_pylist() == ["0001_3", "0001_4"]
    (tmp_path / "tars" / "b.tar").write_bytes(b"\1" * 2000)
    assert call(monkeypatch, *command) == 2
    assert "or go on without it by --on-bad reject." in capsys.readouterr().err
    assert call(monkeypatch, *command, "--on-bad", "reject") == 0
    assert f"{tmp_path / 'tars' / 'b.tar'} is left out: " in capsys.readouterr().out


def test_a_report_for_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    paths = two_tables(tmp_path / "in")
    assert call(monkeypatch, "tables", "merge", *paths, "--into", tmp_path / "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["missing"]) == (5, {"width": [str(paths[1])], "camera": [str(paths[0])]})
    assert told["sentences"][0] == "5 rows of 2 tables written to 1 table."


def test_ids_are_made_unique(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "1.parquet", items(["a", "b", "a"], ["x", "x", "x"], image=[b"1", b"2", b"3"]))
    assert call(monkeypatch, "tables", "deduplicate", path, "--into", tmp_path / "out") == 2
    assert 'The id "a" stands for two different images' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert call(monkeypatch, "tables", "deduplicate", path, "--into", tmp_path / "out", "--on-conflict", "first") == 0
    assert "1 row left out whose id has another image" in capsys.readouterr().out
    assert read(tmp_path / "out")["id"].to_pylist() == ["a", "b"]


def test_small_groups_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "1.parquet", items(list("abcdef"), ["x", "x", "x", "y", "y", "z"]))
    assert call(monkeypatch, "tables", "drop-single", path, "--into", tmp_path / "two") == 0
    assert "1 group of fewer than 2 images left out: z." in capsys.readouterr().out
    assert call(monkeypatch, "tables", "drop-single", path, "--into", tmp_path / "three", "--at-least", 3) == 0
    assert read(tmp_path / "three")["id"].to_pylist() == ["a", "b", "c"]


def test_old_tables_are_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    table = items(["a", "b"], ["x", "y"]).rename_columns(["image_id", "building_id", "shard", "image"])
    path = write(tmp_path / "1.parquet", table)
    before = path.read_bytes()
    assert call(monkeypatch, "tables", "repair", path, "--dry-run") == 0
    assert '"image_id" is now "id"' in capsys.readouterr().out
    assert path.read_bytes() == before
    assert call(monkeypatch, "tables", "repair", path, "--into", tmp_path / "out") == 0
    assert path.read_bytes() == before
    assert call(monkeypatch, "tables", "repair", path) == 0
    assert pq.read_table(path).equals(read(tmp_path / "out"))
    assert pq.read_schema(path).names[:2] == ["id", "group"]


@pytest.mark.parametrize("work", ["merge", "deduplicate", "drop-single", "repair"])
def test_what_is_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], work: str
) -> None:
    two_tables(tmp_path / "in")
    assert call(monkeypatch, "tables", work, tmp_path / "in", "--into", tmp_path / "in") == 2
    assert "is there already; name a new folder." in capsys.readouterr().err
    assert call(monkeypatch, "tables", work, tmp_path / "none", "--into", tmp_path / "out") == 2
    assert "does not exist" in capsys.readouterr().err


def test_every_command_and_option_is_documented() -> None:
    rows = dict(re.findall(r"^\| `likewise tables (\S+)` \|(.*)\|$", DOCUMENTED.read_text(encoding="utf-8"), re.MULTILINE))
    commands = typer.main.get_command(application).commands["tables"].commands  # type: ignore[attr-defined]  # a group in a group
    assert set(rows) == set(commands)
    for name, command in commands.items():
        assert {option for given in command.params for option in given.opts if option.startswith("-")} <= set(
            re.findall(r"--[a-z-]+", rows[name])
        )
