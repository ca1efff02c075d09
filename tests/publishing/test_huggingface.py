from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from likewise.artifacts.run import current
from likewise.data.corpus import Corpus
from likewise.encoders.static import StaticEncoder
from likewise.errors import DamagedArtifact, UserError
from likewise.pipeline import run
from likewise.publishing.finished import FinishedRun
from likewise.publishing.huggingface import publish, push
from likewise.testing.encoders import tiny_text_model
from tiny_runs import tiny_recipe


@pytest.fixture(scope="module")
def published(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("published") / "model"
    found = publish(trained_run, target, name="Tiny model")
    assert found.folder == target
    assert not found.kept_start
    assert found.texts == 64
    assert found.largest_difference <= 1e-5
    return target


@pytest.fixture(scope="module")
def text_run(pairs_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small BERT with prompts, which are part of its vectors."""
    folder = tmp_path_factory.mktemp("text")
    model = tiny_text_model(folder / "start", texts=pairs_file.read_text().splitlines())
    encoder = {"kind": "text", "model": str(model), "query_prompt": "ask: ", "document_prompt": "told: ", "max_length": 40}
    train = {"epochs": 1, "max_steps": 4, "learning_rate": 1e-3, "max_length": 32}
    run(tiny_recipe(pairs_file, "text", encoder=encoder, train=train, mine=None, result=None), folder / "run")
    return folder / "run"


def head(folder: Path) -> dict[str, Any]:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_the_published_folder_gives_the_vectors_that_were_measured(published: Path, trained_run: Path) -> None:
    items, vectors = current(trained_run, "ingest"), current(trained_run, "embed-after")
    assert items is not None
    assert vectors is not None
    corpus = Corpus(items)
    model = SentenceTransformer(str(published), device="cpu")
    for role, encode in (("query", model.encode_query), ("document", model.encode_document)):
        rows = corpus.rows(role)  # type: ignore[arg-type]  # the two roles
        found = encode(corpus.payload(rows), show_progress_bar=False)
        assert np.abs(found - vectors.array("vectors.npy")[rows]).max() <= 1e-5
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_prompts_cutting_and_unit_length_are_inside(text_run: Path, tmp_path: Path) -> None:
    found = publish(text_run, tmp_path / "model")
    model = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert model.prompts["query"] == "ask: "
    assert model.prompts["document"] == "told: "
    assert model.max_seq_length == 40
    texts = ["bake lomi nupra", "ste vo " * 60]
    vectors = model.encode_query(texts, show_progress_bar=False)
    by_hand = model.encode([f"ask: {text}" for text in texts], prompt="", show_progress_bar=False)
    assert np.allclose(vectors, by_hand, atol=1e-6)
    assert np.abs(vectors - model.encode_document(texts, show_progress_bar=False)).max() > 1e-3
    assert found.largest_difference <= 1e-5


def test_the_demo_runs_offline(published: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(published / "demo_usage.py"), "ba ke", "one text", "another text"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "ba ke"
    assert sorted(line.split(maxsplit=1)[1] for line in lines[1:]) == ["another text", "one text"]
    scores = [float(line.split()[0]) for line in lines[1:]]
    assert scores == sorted(scores, reverse=True)


def test_the_head_of_the_card_is_what_hugging_face_reads(published: Path, trained_run: Path) -> None:
    found = head(published)
    assert found["library_name"] == "sentence-transformers"
    assert found["pipeline_tag"] == "sentence-similarity"
    assert found["license"] == "other"
    assert "sentence-transformers" in found["tags"]
    data = ModelCard.load(published / "README.md").data
    assert data.model_name == "Tiny model"
    results = {result.metric_type: result.metric_value for result in data.eval_results}
    evaluation = current(trained_run, "evaluate")
    assert evaluation is not None
    assert results["ndcg_at_10"] == round(evaluation.json("verdict.json")["after"], 4)


def test_the_card_tells_what_was_measured(published: Path, trained_run: Path) -> None:
    text = (published / "README.md").read_text(encoding="utf-8")
    evaluation = current(trained_run, "evaluate")
    assert evaluation is not None
    verdict, systems = evaluation.json("verdict.json"), evaluation.json("systems.json")
    for sentence in verdict["sentences"]:
        assert sentence in text
    assert f"Measured on {systems['queries']:,} test queries against {systems['documents']:,} documents" in text
    for entry in systems["systems"]:
        assert f"{entry['metrics']['ndcg@10']:.3f}" in text
    assert "| `train.epochs` | 4 |" in text
    assert "| positive pairs | 240 |" in text
    assert "unchanged" not in text
    assert str(trained_run.parent.parent) not in text  # folders of the machine that trained


def test_a_start_that_was_kept_is_said_plainly(kept_run: Path, tmp_path: Path) -> None:
    found = publish(kept_run, tmp_path / "model")
    text = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert found.kept_start
    assert found.sentence.startswith("the model the run began with, unchanged")
    assert "**This is the model the run began with, unchanged.**" in text
    assert "## Training" not in text


def test_a_run_that_neither_trains_nor_measures(pairs_file: Path, tmp_path: Path) -> None:
    run(tiny_recipe(pairs_file, "plain", train=None, mine=None, evaluate=None, split=None), tmp_path / "run")
    publish(tmp_path / "run", tmp_path / "model")
    text = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "This model was not trained by the run" in text
    assert "It was not measured" in text
    assert "model-index" not in head(tmp_path / "model")


def test_a_licence_and_a_base_model(trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = FinishedRun(trained_run).options
    monkeypatch.setattr(FinishedRun, "options", {**options, "encoder": {"kind": "text", "model": "someone/base"}})
    publish(trained_run, tmp_path / "model", license="apache-2.0")
    found = head(tmp_path / "model")
    assert (found["license"], found["base_model"]) == ("apache-2.0", "someone/base")
    assert "that of `someone/base` binds it, too" in (tmp_path / "model" / "README.md").read_text()


def test_the_card_tells_what_the_model_was_made_with_not_what_the_recipe_says_now(pairs_file: Path, tmp_path: Path) -> None:
    run(tiny_recipe(pairs_file, "changed"), tmp_path / "run")
    run(tiny_recipe(pairs_file, "changed", train={"epochs": 9}), tmp_path / "run", until="split")
    publish(tmp_path / "run", tmp_path / "model")
    assert "| `train.epochs` | 4 |" in (tmp_path / "model" / "README.md").read_text()


def test_no_epochs_is_not_called_tried(pairs_file: Path, tmp_path: Path) -> None:
    run(tiny_recipe(pairs_file, "none", train={"epochs": 0}, evaluate=None), tmp_path / "run")
    publish(tmp_path / "run", tmp_path / "model")
    text = (tmp_path / "model" / "README.md").read_text()
    assert "This model was not trained by the run" in text
    assert "Training was tried" not in text


def test_a_name_with_signs_of_markdown_and_yaml(trained_run: Path, tmp_path: Path) -> None:
    publish(trained_run, tmp_path / "model", name='a: "b" | c\n---\n# d')
    assert head(tmp_path / "model")["model-index"][0]["name"] == 'a: "b" | c --- # d'


def test_an_existing_target(trained_run: Path, published: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists; give --overwrite to replace it"):
        publish(trained_run, published)
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(UserError, match=r"is not replaced: it has no modules\.json"):
        publish(trained_run, folder, overwrite=True)
    assert (folder / "cat.jpg").read_bytes() == b"cat"
    with pytest.raises(UserError, match="is not a folder"):
        publish(trained_run, folder / "cat.jpg")


def test_overwriting_leaves_nothing_of_the_old_folder(trained_run: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    publish(trained_run, target)
    (target / "stale.txt").write_text("old")
    publish(trained_run, target, overwrite=True)
    assert not (target / "stale.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_another_model_than_the_one_measured_is_not_published(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = StaticEncoder.save

    def spoiled(self: StaticEncoder, folder: Path) -> None:
        whole(self, folder)
        (weights,) = folder.rglob("*.safetensors")
        state = load_file(weights)
        name = max(state, key=lambda name: state[name].numel())
        state[name] = state[name] + 0.01 * torch.randn(state[name].shape, generator=torch.Generator().manual_seed(0))
        save_file(state, weights)

    monkeypatch.setattr(StaticEncoder, "save", spoiled)
    with pytest.raises(DamagedArtifact, match="gives other vectors than the run's encoder"):
        publish(trained_run, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_verdict_that_is_older_than_the_model_is_refused(pairs_file: Path, tmp_path: Path) -> None:
    run(tiny_recipe(pairs_file, "stale", train={"epochs": 3}), tmp_path / "run")
    run(tiny_recipe(pairs_file, "stale", train={"epochs": 2}), tmp_path / "run", until="train")
    with pytest.raises(UserError, match="is older than what train holds now"):
        publish(tmp_path / "run", tmp_path / "model")


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        publish(tmp_path, tmp_path / "model")


class FakeHub:
    """Remembers what it is asked, or refuses."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, repo_id: str, **named: Any) -> None:
        self.asked.append((repo_id, named))

    def upload_folder(self, **named: Any) -> None:
        if self.error is not None:
            raise self.error
        self.asked.append((named["repo_id"], named))


def test_push(published: Path) -> None:
    hub = FakeHub()
    assert push(published, "me/tiny", hub=hub) == "https://huggingface.co/me/tiny"
    assert hub.asked[0] == ("me/tiny", {"private": True, "exist_ok": True})
    assert hub.asked[1][1]["folder_path"] == str(published)


def refused(status: int) -> HfHubHTTPError:
    class Response:
        status_code = status
        headers: dict[str, str] = {}  # noqa: RUF012  # a stand-in
        request = None

    error = HfHubHTTPError.__new__(HfHubHTTPError)
    error.response = Response()  # type: ignore[assignment]  # all that is read of it
    error.args = ("refused\nwith details",)
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (HFValidationError("bad name"), "is no name of a repository"),
        (LocalTokenNotFoundError("no token"), "no token of Hugging Face is set; run hf auth login"),
        (ConnectionError("no route"), "the hub cannot be reached \\(no route\\)"),
        (refused(403), "run hf auth login with a token that may write there"),
        (refused(500), "try again later"),
    ],
)
def test_a_push_that_fails(published: Path, error: Exception, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        push(published, "me/tiny", hub=FakeHub(error))


def test_a_push_without_network(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        push(published, "me/tiny")


def test_a_push_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a published model"):
        push(tmp_path, "me/tiny", hub=FakeHub())
