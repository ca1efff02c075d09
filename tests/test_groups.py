"""Groups as evidence through whole runs: the demonstration of pictures, small, and the recipe for folders of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from likewise.checking import check
from likewise.config import packaged_recipe, validated
from likewise.console import reporter
from likewise.pipeline import Outcome, run
from small_images import save_model, write_pictures

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


def test_folders_of_pictures_are_mined_trained_and_measured_by_group(tmp_path: Path) -> None:
    recipe = packaged_recipe("images")
    assert recipe.train is not None
    assert recipe.split is not None
    changed = {
        "ingest": recipe.ingest.model_copy(update={"path": str(write_pictures(tmp_path / "pictures", groups=16, each=5))}),
        "encoder": recipe.encoder.model_copy(update={"model": str(save_model(tmp_path / "models", "dinov2"))}),
        "embed": recipe.embed.model_copy(update={"cache_dir": None}),
        "split": recipe.split.model_copy(update={"exact": True}),
        "train": recipe.train.model_copy(update={"epochs": 1, "learning_rate": 1e-3}),
    }
    outcome = run(recipe.model_copy(update=changed), tmp_path / "run")
    assert outcome.verdict is not None
    assert outcome.verdict["verdict"] == "too few to tell", "a few buildings prove nothing"
    assert outcome.verdict["units"] == outcome.finished["split"].json("leakage.json")["test"]["units"] == 4
    assert set(outcome.finished) >= {"mine", "train", "evaluate", "index", "report", "baselines"}
    table = outcome.finished["mine"].file("suspicious.csv").read_text(encoding="utf-8")
    assert "ImageRef" not in table
    assert outcome.report is not None
    assert "Suspicious negatives" in outcome.report.read_text(encoding="utf-8")


def test_check_counts_an_epochs_pairs_and_not_all_of_a_group(tmp_path: Path) -> None:
    digits = {"kind": "digits", "sample_size": 300}
    sections: dict[str, Any] = {
        "fingerprint": {"image_bits": 0},
        "split": {"unit": "item"},
        "train": {"batch_size": 290, "epochs": 1},
    }
    encoder = {"kind": "convolutional", "widths": [8], "dimension": 8}
    recipe = validated({"ingest": digits, "encoder": encoder, "embed": {"device": "cpu"}, **sections}, "check.toml")
    found = check(recipe, tmp_path / "run", reporter(True))
    assert any("batch_size = 290 is more than the" in problem for problem in found.problems)
