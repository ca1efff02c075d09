"""The tracks recipe as a whole: small events through the real pipeline and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest

from heard import Heard
from likewise.artifacts.draft import Silence
from likewise.checking_events import check_events
from likewise.cli import main
from likewise.comparing import compare
from likewise.config import as_toml, packaged_recipe
from likewise.errors import RecipeError, UserError
from likewise.pipeline import Outcome, run
from likewise.publishing.export import export
from small_events import tiny_tracks


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(tiny_tracks(), tmp_path_factory.mktemp("tracks") / "run")


def test_it_ends_with_a_verdict_graphs_and_a_page(outcome: Outcome) -> None:
    verdict = outcome.verdict
    assert verdict is not None
    assert (verdict["verdict"], verdict["chosen"], verdict["unit"], verdict["units"]) == ("better", "trained", "event", 2)
    assert verdict["after"] > 1.5 * verdict["before"]
    assert json.loads((outcome.folder / "verdict.json").read_text(encoding="utf-8"))["metric"] == "purity@0.9"
    kept = outcome.finished["graph"].json("graphs.json")
    solved = outcome.finished["evaluate"].json("graphs.json")["systems"]["after"]["radius"]
    assert (len(kept["events"]), kept["radius"]) == (8, solved)
    assert outcome.report is not None
    page = outcome.report.read_text(encoding="utf-8")
    assert "event000000" in page
    assert "<svg" in page


def test_a_graph_opens_elsewhere_in_one_line(outcome: Outcome) -> None:
    artifact = outcome.finished["graph"]
    path = artifact.file(artifact.json("graphs.json")["events"][0]["file"])
    graph = networkx.from_edgelist(np.load(path)["edge_index"].T.tolist(), networkx.DiGraph)
    assert graph.number_of_edges() == artifact.json("graphs.json")["events"][0]["edges"]
    assert networkx.is_directed_acyclic_graph(graph), "edges point outward"


def test_nothing_is_done_twice(outcome: Outcome) -> None:
    before = {path: path.stat().st_mtime_ns for path in outcome.folder.rglob("manifest.json")}
    again = run(tiny_tracks(), outcome.folder)
    assert {path: path.stat().st_mtime_ns for path in outcome.folder.rglob("manifest.json")} == before
    assert again.verdict == outcome.verdict


def test_a_model_that_did_not_learn_is_not_handed_over(tmp_path: Path) -> None:
    lost = run(tiny_tracks(train={"epochs": 1, "learning_rate": 1e-12}), tmp_path / "run")
    assert lost.verdict is not None
    assert (lost.verdict["chosen"], lost.verdict["difference"]) == ("start", 0.0)
    assert len(lost.finished["graph"].json("graphs.json")["events"]) == 8


@pytest.mark.parametrize("name", ["tracks", "demo_tracks"])
def test_every_recipe_of_the_package_trains_a_step(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = packaged_recipe(name)
    small = tiny_tracks()
    shrunk = recipe.model_copy(
        update={
            "ingest": small.ingest,
            "encoder": small.encoder,
            "train": recipe.train.model_copy(update={"max_steps": 1}) if recipe.train else None,
        }
    )
    path = tmp_path / "tracks.toml"
    path.write_text(as_toml(shrunk), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["likewise", "run", str(path), "--folder", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("section", "changes", "sentence"),
    [
        ("train", {"metric": "ndcg@10"}, r"knows purity@E, such as purity@0.98, not \[train\] metric or guard \"ndcg@10\""),
        ("train", {"metric": "purity@2"}, "is not a metric"),
        ("mine", {"kind": "hard"}, "points_per_batch is not a known key"),
        ("evaluate", {"kind": "retrieval"}, "efficiency is not a known key"),
        ("train", {"gradient_cache": 4}, r"\[train\] gradient_cache has no effect on"),
        ("train", {"matryoshka": [2]}, r"\[train\] matryoshka has no effect on"),
        ("embed", {"device": "cpu"}, r"\[embed\] has no effect on"),
    ],
)
def test_sections_that_do_not_fit_are_refused(section: str, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        tiny_tracks(**{section: changes})


def test_check_counts_names_problems_and_times_steps(tmp_path: Path) -> None:
    found = check_events(tiny_tracks(), tmp_path / "run", Silence())
    facts = dict(found.facts)
    assert facts["events"] == "8"
    assert facts["train"].startswith("4 events")
    assert any("only 24 steps" in problem for problem in found.problems)
    assert [estimate.stage for estimate in found.estimates] == ["train", "evaluate"]
    assert all(0 < estimate.seconds.low < estimate.seconds.high < 60 for estimate in found.estimates)
    assert not (tmp_path / "run" / ".trial").exists()
    whole = check_events(tiny_tracks(split={"validation": 0.0, "test": 0.0}), tmp_path / "whole", Silence())
    assert sum("trained on" in problem for problem in whole.problems) == 2
    untrained = check_events(tiny_tracks(train={"epochs": 0}), tmp_path / "untrained", Silence())
    assert not any("Training" in problem for problem in untrained.problems)
    assert not untrained.estimates


def test_without_a_validation_split_nothing_is_said_to_be_measured_there(tmp_path: Path) -> None:
    heard = Heard()
    changes: dict[str, Any] = {"split": {"validation": 0.0}, "train": {"epochs": 1, "learning_rate": 1e-12}}
    run(tiny_tracks(**changes), tmp_path / "run", reporter=heard)
    assert any(line.startswith("train: Step 6: purity@0.9") and "on the training events" in line for line in heard.lines)
    assert any("no trained checkpoint was better on the training events" in line for line in heard.lines)
    assert not any("on validation" in line for line in heard.lines)
    assert "mine: pairs are found in every training step" in heard.lines
    assert "embed: vectors are computed when they are needed" in heard.lines


def test_no_epochs_are_no_training(tmp_path: Path) -> None:
    found = run(tiny_tracks(train={"epochs": 0}), tmp_path / "run")
    assert found.verdict is not None
    assert "nothing was trained" in found.verdict["sentence"]
    assert found.report is not None


def test_two_runs_compare_event_by_event(outcome: Outcome, tmp_path: Path) -> None:
    weak = run(tiny_tracks(train={"epochs": 1, "learning_rate": 1e-12}), tmp_path / "weak")
    found = compare(weak.folder, outcome.folder)
    assert found.verdict is not None
    assert outcome.verdict is not None
    assert (found.verdict.verdict, found.queries) == ("better", 2)
    assert found.verdict.after == pytest.approx(outcome.verdict["after"])
    assert found.sentence.startswith(f"{outcome.folder} is better than {weak.folder}: signal purity at 90% efficiency ")
    purity = {row.system: (row.first, row.second) for row in found.measured if row.metric == "signal_purity"}
    assert purity["raw features"][0] == purity["raw features"][1]
    assert ("train.epochs", "1", "6") in found.recipe
    other = run(tiny_tracks(evaluate={"efficiency": 0.8}, train={"epochs": 0}), tmp_path / "other")
    assert "efficiencies of 0.9 and 0.8" in compare(outcome.folder, other.folder).sentence
    elsewhere = run(tiny_tracks(ingest={"events": 7}, train={"epochs": 0}), tmp_path / "elsewhere")
    assert compare(outcome.folder, elsewhere.folder).queries <= 2


def test_events_keep_no_vectors_to_export(outcome: Outcome, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="keeps no vectors: those of events are computed when they are needed"):
        export(outcome.folder, tmp_path / "vectors", "numpy")
