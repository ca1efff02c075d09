"""The command line, called within a test."""

from __future__ import annotations

import pytest

from likewise.cli import main


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit status of `likewise` with these words."""
    monkeypatch.setattr("sys.argv", ["likewise", *map(str, words)])
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
