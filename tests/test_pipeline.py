"""The flow as a whole, where a stage has nothing to do."""

from pathlib import Path

import pytest

from likewise.artifacts.draft import Silence
from likewise.checking import check
from likewise.config import validated
from likewise.errors import UserError
from likewise.pipeline import run
from likewise.searching import open_run
from small_images import save_model, write_frames
from tiny_runs import tiny_recipe, write_pairs


def test_a_run_that_trains_for_no_epochs_says_so_on_its_page(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_pairs(tmp_path / "pairs.csv"), train={"epochs": 0}, report={})
    outcome = run(recipe, tmp_path / "run")
    assert outcome.verdict is not None
    assert outcome.verdict["chosen"] == "start"
    assert "nothing was trained" in outcome.verdict["sentence"]
    assert outcome.report is not None
    assert outcome.report.exists()


@pytest.mark.parametrize("stage", ["embedding", "graph"])
def test_a_stage_that_the_recipe_does_not_come_to_is_refused(stage: str, tmp_path: Path) -> None:
    recipe = tiny_recipe(write_pairs(tmp_path / "pairs.csv"))
    with pytest.raises(UserError, match=f'There is no stage "{stage}" in a run of this recipe.*evaluate, index, report'):
        run(recipe, tmp_path / "run", until=stage)
    assert not (tmp_path / "run").exists()


def test_pictures_are_checked_without_words_and_not_searched_by_them(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames", 6)
    sections = {
        "ingest": {"kind": "image_folder", "path": str(tmp_path / "frames")},
        "encoder": {"kind": "image", "model": str(save_model(tmp_path / "model"))},
        "result": {"kind": "index"},
    }
    recipe = validated({"name": "frames", "fingerprint": {}, **sections}, "frames")
    facts = dict(check(recipe, tmp_path / "run", Silence()).facts)
    assert facts["documents"] == "6"
    assert not any("characters" in fact or "tokens" in fact for fact in facts)
    run(recipe, tmp_path / "run")
    with pytest.raises(UserError, match="holds no texts, so words find nothing in it"):
        open_run(tmp_path / "run").search("a warm roof")
