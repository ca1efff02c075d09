from __future__ import annotations

from pathlib import Path

import pytest

from likewise.artifacts.run import current
from likewise.errors import DamagedArtifact, UserError
from likewise.pipeline import run
from likewise.publishing.finished import FinishedRun
from tiny_runs import tiny_recipe


def test_what_was_handed_over(trained_run: Path, kept_run: Path) -> None:
    trained, kept = FinishedRun(trained_run), FinishedRun(kept_run)
    assert (trained.chosen, trained.model.stage, trained.vectors.stage) == ("trained", "train", "embed-after")
    assert (kept.chosen, kept.model.stage, kept.vectors.stage) == ("start", "fit", "embed")
    assert trained.name == "trained"
    assert len(trained.corpus) == 480


def test_artifacts_of_an_earlier_recipe_are_passed_over(pairs_file: Path, tmp_path: Path) -> None:
    run(tiny_recipe(pairs_file), tmp_path / "run")
    run(tiny_recipe(pairs_file, train=None, mine=None, evaluate=None, result=None), tmp_path / "run")
    assert current(tmp_path / "run", "train") is not None
    found = FinishedRun(tmp_path / "run")
    assert (found.chosen, found.model.stage, found.vectors.stage) == ("start", "fit", "embed")
    assert found.find("train") is found.evaluation is None


def test_vectors_that_are_older_than_the_model(pairs_file: Path, tmp_path: Path) -> None:
    run(tiny_recipe(pairs_file), tmp_path / "run")
    run(tiny_recipe(pairs_file, train={"epochs": 3}), tmp_path / "run", until="train")
    with pytest.raises(UserError, match="the stage embed-after is older than what train holds now; run it again"):
        _ = FinishedRun(tmp_path / "run").vectors


def test_a_stage_that_was_not_run(pairs_file: Path, tmp_path: Path) -> None:
    run(tiny_recipe(pairs_file), tmp_path / "run", until="fit")
    found = FinishedRun(tmp_path / "run")
    assert found.model.stage == "fit"
    with pytest.raises(UserError, match="has no finished stage embed; run it: likewise run"):
        _ = found.vectors


def test_options_are_those_the_artifacts_were_made_with(pairs_file: Path, tmp_path: Path) -> None:
    run(tiny_recipe(pairs_file), tmp_path / "run")
    before = FinishedRun(tmp_path / "run")
    assert before.options == before.recipe
    run(tiny_recipe(pairs_file, train={"epochs": 9}, mine={"num_negatives": 2}), tmp_path / "run", until="split")
    after = FinishedRun(tmp_path / "run")
    assert (after.recipe["train"]["epochs"], after.options["train"]["epochs"]) == (9, 4)
    assert (after.recipe["mine"]["num_negatives"], after.options["mine"]["num_negatives"]) == (2, 1)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a run: it has no recipe\.toml"):
        FinishedRun(tmp_path)


def test_a_recipe_that_is_cut_short(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("name = ")
    with pytest.raises(DamagedArtifact, match="is not TOML"):
        _ = FinishedRun(tmp_path).recipe
