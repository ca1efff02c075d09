"""A folder for other people: written beside its place, and there only when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from likewise.artifacts.files import sync, sync_tree
from likewise.errors import UserError


@contextmanager
def appearing(target: Path, *, overwrite: bool = False, mark: str | None = None) -> Iterator[Path]:
    """A temporary folder beside `target`, renamed to it when the block ends without an error.

    UserError where something is at `target`, unless it is an empty folder or `overwrite` is given; only a folder that holds the
    file `mark`, by which a folder of this kind is known, is ever replaced.
    """
    check_free(target, overwrite=overwrite, mark=mark)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        sync_tree(beside)
        _take_place(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_free(target: Path, *, overwrite: bool = False, mark: str | None = None) -> None:
    """UserError where `target` may not be written."""
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir() or target.is_symlink():
        raise UserError(f"{target} exists and is not a folder; name another.")
    if not any(target.iterdir()):
        return
    if mark is None:
        raise UserError(f"{target} exists; name another folder, or remove this one.")
    if not overwrite:
        raise UserError(f"{target} exists; give --overwrite to replace it, or name another folder.")
    if not (target / mark).is_file():
        raise UserError(f"{target} is not replaced: it has no {mark}, so it is another kind of folder; name another.")


def _take_place(beside: Path, target: Path) -> None:
    """Rename; an old folder is moved aside first and removed last, so that one of the two is always whole."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
    try:
        os.rename(beside, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
