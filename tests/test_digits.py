"""Groups as evidence through a whole run: the demonstration of pictures, small."""

import json
from pathlib import Path
from typing import Any

import pytest

from likewise.config import packaged_recipe
from likewise.pipeline import Outcome, run

SMALL: dict[str, Any] = {"epochs": 4, "batch_size": 64}


def small(folder: Path, **changes: Any) -> Outcome:
    recipe = packaged_recipe("demo_images")
    assert recipe.train is not None
    changed = {
        "ingest": recipe.ingest.model_copy(update={"sample_size": 500}),
        "encoder": recipe.encoder.model_copy(update={"widths": (16, 16), "dimension": 16}),
        "train": recipe.train.model_copy(update=SMALL),
    }
    return run(recipe.model_copy(update={**changed, **changes}), folder)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return small(tmp_path_factory.mktemp("digits") / "run")


def test_training_on_groups_is_better_than_its_start_and_than_pixels(outcome: Outcome) -> None:
    verdict = outcome.verdict
    assert verdict is not None
    assert (verdict["verdict"], verdict["metric"], verdict["chosen"]) == ("better", "map@r", "trained")
    assert verdict["after"] > verdict["before"] + 0.2
    assert verdict["baselines"]["pixels"]["difference"] > 0
    assert verdict["units"] > 100, "pictures are what is drawn again, not the ten digits"
    assert verdict["parts"] == []


def test_page_shows_the_queries_as_pictures(outcome: Outcome) -> None:
    assert outcome.report is not None
    page = outcome.report.read_text(encoding="utf-8")
    assert page.count('class="query shown"') >= 4
    assert "plain pixels" in page
    assert "hit@10" in page


def test_index_finds_the_digit(outcome: Outcome) -> None:
    split = outcome.finished["split"].json("leakage.json")
    assert split["test"]["queries"] + split["validation"]["queries"] + split["train"]["queries"] <= 500
    systems = outcome.finished["evaluate"].json("systems.json")
    assert {system["name"] for system in systems["systems"]} == {"start", "trained", "pixels"}
    best = next(system for system in systems["systems"] if system["name"] == "trained")
    assert best["metrics"]["precision@1"] > 0.8


def test_a_second_run_does_nothing_again(outcome: Outcome) -> None:
    before = json.loads((outcome.folder / "verdict.json").read_text(encoding="utf-8"))
    again = small(outcome.folder)
    assert {name: artifact.content for name, artifact in again.finished.items()} == {
        name: artifact.content for name, artifact in outcome.finished.items()
    }
    assert again.verdict == before
