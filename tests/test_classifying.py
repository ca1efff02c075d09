"""Labels of new items by a finished run: pictures and texts, from a program and from the command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import likewise
from command_line import call
from likewise.classifying import Classifier, classify
from likewise.config import validated
from likewise.errors import DataError, UserError
from likewise.pipeline import run
from small_images import save_model, write_frames

COLORS = {"blue": (30, 40, 220), "green": (40, 200, 60), "red": (220, 30, 40)}


def write_color(path: Path, color: str, seed: int) -> Path:
    """A grainy picture of one colour, no two of which have the same look."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 60, (4, 5, 1)).repeat(3, axis=2).astype(np.uint8)
    grain = np.asarray(Image.fromarray(coarse).resize((40, 32), Image.Resampling.BICUBIC)).astype(np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(COLORS[color]) + grain - 30, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on pictures of three colours, named by their folders; not to be changed."""
    folder = tmp_path_factory.mktemp("pictures")
    for place, color in enumerate(COLORS):
        for number in range(8):
            write_color(folder / "frames" / color / f"{number}.png", color, 100 * place + number)
    (folder / "frames" / "red" / "copy.png").write_bytes((folder / "frames" / "red" / "0.png").read_bytes())
    recipe = {
        "name": "colors",
        "ingest": {"kind": "image_folder", "path": str(folder / "frames"), "group_from_folder": True},
        "fingerprint": {"image_bits": 0},
        "encoder": {"kind": "image", "model": str(save_model(folder, "resnet"))},
        "embed": {"cache_dir": str(folder / "cache")},
        "report": {},
    }
    run(validated(recipe, "colors"), folder / "run")
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on docstrings, whose items know their unit; not to be changed."""
    folder = tmp_path_factory.mktemp("texts")
    recipe = {
        "name": "docs",
        "ingest": {"kind": "python_docs", "standard_library": False, "distributions": ["typer", "jinja2"]},
        "fingerprint": {},
        "encoder": {"kind": "static", "dimension": 32, "vocabulary": 600},
        "embed": {},
    }
    run(validated(recipe, "docs"), folder / "run")
    return folder / "run"


def test_new_pictures_get_the_label_of_those_like_them(pictures: Path, tmp_path: Path) -> None:
    paths = [write_color(tmp_path / f"{color}.png", color, 900 + place) for place, color in enumerate(COLORS)]
    found = classify(pictures / "run", paths, k=3)
    assert [each.label for each in found] == list(COLORS)
    assert [each.id for each in found] == [str(path) for path in paths]
    for each in found:
        assert len(each.neighbors) == 3
        assert each.share == pytest.approx(1.0)
        assert [near.label for near in each.neighbors] == [each.label] * 3
        assert all(near.id.startswith(f"{each.label}/") for near in each.neighbors)
        scores = [near.score for near in each.neighbors]
        assert scores == sorted(scores, reverse=True)
    arrays = [np.asarray(Image.open(path)) for path in paths]
    again = likewise.Classifier(pictures / "run").classify(arrays, 3)
    assert [(each.id, each.label) for each in again] == [("0", "blue"), ("1", "green"), ("2", "red")]


def test_a_picture_of_the_run_finds_itself(pictures: Path) -> None:
    (found,) = classify(pictures / "run", [pictures / "frames" / "green" / "3.png"], k=1)
    assert (found.label, found.neighbors[0].id) == ("green", "green/3.png")
    assert found.neighbors[0].score == pytest.approx(1.0, abs=1e-3)


def test_leave_one_out_is_what_the_page_tells(pictures: Path) -> None:
    told = Classifier(pictures / "run").leave_one_out()
    assert told.accuracy.items == 25
    assert told.accuracy.units == 24  # the copy does not vote for what it is a copy of
    assert told.accuracy.accuracy > 0.9
    pointer = (pictures / "run" / "report" / "current").read_text().strip()
    stored = json.loads((pictures / "run" / "report" / pointer / "classification.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(told.as_json()))
    assert told.sentences()[0] in (pictures / "run" / "report.html").read_text(encoding="utf-8")


def test_files_and_folders_from_the_command_line(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    for place, color in enumerate(COLORS):
        write_color(folder / "below" / f"{color}.png", color, 800 + place)
    whole = (folder / "below" / "red.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[:-40])
    here = str(pictures / "run")
    assert call(monkeypatch, "classify", str(folder), str(tmp_path / "absent.png"), "--run", here, "--json", "-k", "2") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["id"].rpartition("/")[2], each["label"]) for each in told["items"]] == [
        ("blue.png", "blue"),
        ("green.png", "green"),
        ("red.png", "red"),
    ]
    assert [len(each["neighbors"]) for each in told["items"]] == [2, 2, 2]
    assert [any(name in sentence for name in ("cut.png", "absent.png")) for sentence in told["refused"]] == [True, True]
    assert call(monkeypatch, "classify", str(folder / "below" / "red.png"), str(folder / "cut.png"), "--run", here) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("red    100%")
    assert any(line.startswith("! ") and "cut.png" in line for line in lines)


def test_accuracy_from_the_command_line(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = str(pictures / "run")
    assert call(monkeypatch, "classify", "--leave-one-out", "--run", here) == 0
    told = capsys.readouterr().out
    assert "get their own label from their 5 nearest labelled neighbours" in told
    assert re.search(r"^group +a +b +c *$", told, re.MULTILINE)
    assert re.search(r"^a  blue +8 +· +· *$", told, re.MULTILINE)
    assert call(monkeypatch, "classify", "--leave-one-out", "--run", here, "--json", "-k", "1") == 0
    assert json.loads(capsys.readouterr().out)["accuracy"]["k"] == 1
    assert call(monkeypatch, "classify", "--leave-one-out", "--run", here, "--column", "format") == 2
    assert 'column "format" holds only the label "PNG"' in capsys.readouterr().err


def test_many_labels_are_listed(pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("likewise.cli.MATRIX_LABELS", 1)
    monkeypatch.setattr("likewise.evaluation.classify.vote", lambda found, codes: wrong(found))
    assert call(monkeypatch, "classify", "--leave-one-out", "--run", str(pictures / "run")) == 0
    told = capsys.readouterr().out
    assert "taken for" in told
    assert "a  blue" not in told


def wrong(found: Any) -> Any:
    from likewise.evaluation.classify import Votes

    return Votes(np.zeros(len(found.rows), np.int64), np.ones(len(found.rows)), found)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Name what is to be labelled, or give --leave-one-out"),
        (["x.png", "--leave-one-out"], "one of the two"),
        (["absent.png"], "None of the pictures can be read: absent.png cannot be read"),
        (["x.png", "--column", "owner"], "None of the pictures can be read"),
        (["--leave-one-out", "--column", "owner"], 'no column "owner"'),
    ],
)
def test_the_users_mistakes(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert call(monkeypatch, "classify", *words, "--run", str(pictures / "run")) == 2
    assert sentence in capsys.readouterr().err


def test_texts_by_a_column_of_their_own(texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    items = Classifier(texts, "unit")
    corpus = items._run.corpus
    rows = corpus.rows("document")[::40]
    words = corpus.payload(rows)
    found = items.classify(words, 1)
    assert [each.neighbors[0].score for each in found] == pytest.approx([1.0] * len(words), abs=1e-3)
    assert [each.label for each in found] == corpus.metadata(rows)["unit"].to_pylist()
    assert call(monkeypatch, "classify", words[0], "--run", str(texts), "--column", "unit", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["items"]
    assert told["id"] == words[0]
    assert told["label"] in set(corpus.metadata(range(len(corpus)))["unit"].to_pylist())
    assert 0 < items.leave_one_out().accuracy.accuracy <= 1


def test_a_run_that_cannot_label(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        Classifier(tmp_path)
    shutil.copytree(pictures / "run", tmp_path / "run")
    (tmp_path / "run" / "embed" / "current").unlink()
    with pytest.raises(UserError, match="has no finished stage embed"):
        classify(tmp_path / "run", [pictures / "frames" / "red" / "0.png"])
    with pytest.raises(DataError, match="cannot be read"):
        classify(pictures / "run", [tmp_path / "absent.png"])


def test_what_a_window_cuts_off_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for group in ("cold", "warm"):
        write_frames(tmp_path / "frames" / group, 3, seed=len(group))
    recipe = {
        "name": "frames",
        "ingest": {"kind": "image_folder", "path": str(tmp_path / "frames"), "group_from_folder": True},
        "encoder": {"kind": "image", "model": str(save_model(tmp_path, "resnet")), "pixels": {"window": "data"}},
        "embed": {},
    }
    run(validated(recipe, "frames"), tmp_path / "run")
    hot = np.asarray(Image.open(next((tmp_path / "frames" / "cold").iterdir()))).astype(np.uint16) + 150
    Image.fromarray(hot).save(tmp_path / "hot.png")
    assert call(monkeypatch, "classify", str(tmp_path / "hot.png"), "--run", str(tmp_path / "run")) == 0
    assert "! The window cut off values in" in capsys.readouterr().out
    far = (hot.astype(np.int64) + 20_000).astype(np.uint16)
    Image.fromarray(far).save(tmp_path / "far.png")
    assert call(monkeypatch, "classify", str(tmp_path / "far.png"), "--run", str(tmp_path / "run")) == 2
    assert "leaves one value of a frame" in capsys.readouterr().err
