from __future__ import annotations

from pathlib import Path

import pytest

from likewise.errors import UserError
from likewise.publishing.folders import appearing


def write(target: Path, text: str, *, overwrite: bool = False, fail: bool = False) -> None:
    with appearing(target, overwrite=overwrite, mark="mark") as folder:
        assert folder.parent == target.parent  # a rename is only atomic within one file system
        (folder / "mark").write_text(text)
        assert not (target / "mark").exists() or (target / "mark").read_text() != text
        if fail:
            raise RuntimeError("half-way")


def test_the_folder_appears_whole(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "target", "new")
    assert (tmp_path / "deep" / "target" / "mark").read_text() == "new"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["target"]


def test_after_an_error_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write(tmp_path / "target", "new", fail=True)
    assert list(tmp_path.iterdir()) == []


def test_after_an_error_the_old_folder_is_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "target", "old")
    with pytest.raises(RuntimeError):
        write(tmp_path / "target", "new", overwrite=True, fail=True)
    assert (tmp_path / "target" / "mark").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    write(tmp_path / "target", "new")
    assert (tmp_path / "target" / "mark").read_text() == "new"


def test_overwriting_needs_leave_and_the_mark(tmp_path: Path) -> None:
    write(tmp_path / "target", "old")
    with pytest.raises(UserError, match="give --overwrite"):
        write(tmp_path / "target", "new")
    write(tmp_path / "target", "new", overwrite=True)
    assert (tmp_path / "target" / "mark").read_text() == "new"
    (tmp_path / "target" / "mark").rename(tmp_path / "target" / "other")
    with pytest.raises(UserError, match="it has no mark"):
        write(tmp_path / "target", "newer", overwrite=True)
    assert (tmp_path / "target" / "other").read_text() == "new"


def test_a_file_and_a_link_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(UserError, match="is not a folder"):
            write(tmp_path / name, "new", overwrite=True)
