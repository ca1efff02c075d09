"""The command line on a small run: what it prints, and how it ends."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import call
from likewise.config import as_toml, validated

PATIENCE_SECONDS = 120


def write_recipe(folder: Path, **train: object) -> Path:
    rows = (
        f"where is item {number} of group {number % 9}?,Item {number} in group {number % 9} is on shelf {number * 3}."
        for number in range(200)
    )
    (folder / "pairs.csv").write_text("\n".join(["anchor,positive", *rows]) + "\n", encoding="utf-8")
    recipe = validated(
        {
            "name": "small",
            "ingest": {"kind": "pairs", "path": str(folder / "pairs.csv")},
            "fingerprint": {},
            "split": {},
            "encoder": {"kind": "static", "dimension": 32, "vocabulary": 500},
            "train": {"epochs": 1, "batch_size": 16, "learning_rate": 0.02, **train},
            "evaluate": {"baselines": ["bm25"], "resamples": 200},
            "result": {"kind": "index"},
            "report": {},
        },
        "small",
    )
    path = folder / "small.toml"
    path.write_text(as_toml(recipe), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and its finished run."""
    from likewise.config import read_recipe
    from likewise.pipeline import run

    folder = tmp_path_factory.mktemp("finished")
    recipe = write_recipe(folder)
    run(read_recipe(recipe), folder / "runs" / "small")
    return folder


def test_a_second_run_finds_that_nothing_changed(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    assert call(monkeypatch, "run", "small.toml") == 0
    told = capsys.readouterr()
    assert told.err.count("nothing changed") >= 8
    assert "nDCG@10" in told.out
    assert (finished / "runs" / "small" / "report.html").is_file()


def test_json_lines_are_json(finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(finished)
    assert call(monkeypatch, "run", "small.toml", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"event": "reused", "stage": "ingest"}.items() <= events[1].items()
    assert events[-1]["event"] == "done"
    assert events[-1]["verdict"]["metric"] == "ndcg@10"


def test_a_search_prints_what_was_asked_for(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    assert call(monkeypatch, "search", "where is item 42 of group 6?", "-k", "5", "--json") == 0
    hits = json.loads(capsys.readouterr().out)
    assert len(hits) == 5
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert any("Item 42 " in hit["text"] for hit in hits)
    assert call(monkeypatch, "search", "where is item 42?", "-k", "2") == 0
    assert "shelf" in capsys.readouterr().out


def test_a_published_model_names_its_licence(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, target = str(finished / "runs" / "small"), str(tmp_path / "model")
    assert call(monkeypatch, "publish", target, "--run", run, "--license", "apache-2.0", "--name", "Shelves") == 0
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in card
    assert "# Shelves" in card


def test_nothing_is_trained_for_a_verdict_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = str(write_recipe(tmp_path)), str(tmp_path / "run")
    assert call(monkeypatch, "run", recipe, "--folder", run, "--set", "split.test=0") == 2
    assert "nothing to measure" in capsys.readouterr().err
    assert not (tmp_path / "run" / "fit").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "absent.toml"], "There is no recipe absent.toml"),
        (["run", "small.toml", "--set", "train.epoch=3"], "did you mean epochs?"),
        (["search", "x", "--run", "runs/none"], "There is no run runs/none"),
        (["search", " ", "--run", "runs/small"], "The query is empty"),
        (["search", "x", "--where", "colour"], "is not COLUMN=VALUE"),
        (["search", "x", "--where", "colour=red"], "colour"),
        (["clean", "runs/none"], "runs/none is not a run"),
        (["init", "buildings", "elsewhere"], "no recipe 'buildings'"),
    ],
)
def test_the_users_mistakes_end_with_exit_2_and_one_sentence(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(finished)
    assert call(monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_our_own_mistakes_end_with_exit_1(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    monkeypatch.setattr("likewise.pipeline.run", lambda *_, **__: 1 / 0)
    assert call(monkeypatch, "run", "small.toml") == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_full_disk_is_no_fault_of_ours(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/small/embed")

    monkeypatch.chdir(finished)
    monkeypatch.setattr("likewise.pipeline.run", full)
    assert call(monkeypatch, "run", "small.toml") == 2
    assert (
        capsys.readouterr().err
        == "likewise: runs/small/embed cannot be used (No space left on device); see to its rights and room.\n"
    )


def test_until_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "run", "small.toml", "--until", "split") == 0
    assert (tmp_path / "runs" / "small" / "split" / "current").is_file()
    assert not (tmp_path / "runs" / "small" / "fit").exists()


def test_init_does_not_overwrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "init", "text", ".") == 0
    (tmp_path / "text.toml").write_text("mine", encoding="utf-8")
    assert call(monkeypatch, "init", "text", ".") == 2
    assert (tmp_path / "text.toml").read_text(encoding="utf-8") == "mine"


def test_clean_removes_what_is_not_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    for test in ("0.2", "0.3"):
        assert call(monkeypatch, "split", "small.toml", "--set", f"split.test={test}") == 0
    splits = tmp_path / "runs" / "small" / "split"
    assert sum(path.is_dir() for path in splits.iterdir()) == 2
    assert call(monkeypatch, "clean", "runs/small", "--yes") == 0
    assert sum(path.is_dir() for path in splits.iterdir()) == 1
    assert call(monkeypatch, "split", "small.toml", "--set", "split.test=0.3") == 0


def test_sigterm_while_training_saves_and_exits_143_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = write_recipe(tmp_path, epochs=2000, save_steps=1000)
    command = [sys.executable, "-m", "likewise.cli", "run", recipe.name]
    log = tmp_path / "runs" / "small" / "log.jsonl"
    deadline = time.monotonic() + PATIENCE_SECONDS
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (log.exists() and '"event": "started", "stage": "train"' in log.read_text(encoding="utf-8")):
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.0)  # some steps into the training, or still before the first: both must hold
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 143
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "run", recipe.name, "--set", "train.epochs=1") == 0
