from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports Triton, which decides once

from likewise.pipeline import run
from tiny_runs import tiny_recipe, write_pairs


@pytest.fixture(scope="session")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pairs for tiny runs; not to be changed."""
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.csv")


@pytest.fixture(scope="session")
def trained_run(pairs_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that handed over what it trained; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    run(tiny_recipe(pairs_file, "trained"), folder)
    return folder


@pytest.fixture(scope="session")
def kept_run(pairs_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in which training changed nothing, so that the start was kept; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "kept"
    run(tiny_recipe(pairs_file, "kept", train={"learning_rate": 1e-12, "epochs": 1}), folder)
    return folder
