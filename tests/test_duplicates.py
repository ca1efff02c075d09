"""New pictures recognised by a finished run: from a program and from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import likewise
from command_line import call
from likewise.config import validated
from likewise.data.image_looks import picture_hashes
from likewise.data.pixels import decode, small_look
from likewise.duplicates import DuplicateFinder, NearDuplicate
from likewise.errors import DataError, UserError
from likewise.pipeline import run

PICTURES = 9


def pixels(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture of large spots, unlike those of other seeds."""
    spots = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(spots).resize((96, 72), Image.Resampling.BICUBIC))


def edited(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The same one, darker and smaller."""
    return np.asarray(Image.fromarray((pixels(seed) * 0.8).astype(np.uint8)).resize((64, 48)))


def save(path: Path, array: np.ndarray[Any, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def recipe(folder: Path, **fingerprint: Any) -> Any:
    sections = {
        "name": "spots",
        "ingest": {"kind": "image_folder", "path": str(folder / "pictures")},
        "fingerprint": fingerprint,
        "encoder": {"kind": "convolutional"},
        "embed": {},
    }
    return validated(sections, "spots")


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on pictures of spots as far as their fingerprints; not to be changed."""
    folder = tmp_path_factory.mktemp("spots")
    for seed in range(PICTURES):
        save(folder / "pictures" / f"{seed}.png", pixels(seed))
    run(recipe(folder), folder / "run", until="fingerprint")
    return folder


def test_a_new_picture_is_compared_with_all_known_ones(spots: Path, tmp_path: Path) -> None:
    finder = likewise.DuplicateFinder(spots / "run")
    assert (len(finder), finder.bits) == (PICTURES, 4)
    copy = shutil.copy(spots / "pictures" / "3.png", tmp_path / "copy.png")
    same, darker, other = finder.find([copy, edited(5), pixels(100)])
    assert (same.id, same.near) == (str(copy), (NearDuplicate("3.png", 0, same_file=True),))
    assert darker.id == "1"
    assert [(near.id, near.same_file) for near in darker.near] == [("5.png", False)]
    assert other.near == ()


@pytest.mark.parametrize("image_hash", ["phash", "dhash"])
def test_all_within_the_bits_are_found_nearest_first(spots: Path, tmp_path: Path, image_hash: Any) -> None:
    run(recipe(spots, image_hash=image_hash, image_bits=2), tmp_path / "run", until="fingerprint")
    new = [edited(seed) for seed in range(3)]
    known = [small_look(decode((spots / "pictures" / f"{seed}.png").read_bytes(), "")).to_bytes() for seed in range(PICTURES)]
    hashes = picture_hashes(known + [small_look(array).to_bytes() for array in new], image_hash)
    names = [*(f"{seed}.png" for seed in range(PICTURES)), "a", "b", "c"]
    finder = DuplicateFinder(tmp_path / "run", bits=16)
    assert DuplicateFinder(tmp_path / "run").bits == 2
    for place, found in enumerate(finder.find(new, ids=names[PICTURES:]), start=PICTURES):
        apart = np.bitwise_count(hashes[:place] ^ hashes[place]).tolist()
        expected = sorted((bits, row) for row, bits in enumerate(apart) if bits <= 16)
        assert [(near.bits, near.id) for near in found.near] == [(bits, names[row]) for bits, row in expected]
        assert found.near[0].id == f"{place - PICTURES}.png"


def test_what_was_added_and_what_was_named_before_is_known(spots: Path, tmp_path: Path) -> None:
    finder = DuplicateFinder(spots / "run")
    first, second = finder.find([pixels(50), edited(50)], ids=["first", "second"])
    assert (first.near, [near.id for near in second.near]) == ((), ["first"])
    assert len(finder) == PICTURES
    file = save(tmp_path / "file.png", pixels(60))
    finder.add([pixels(50), file], ids=["first", "kept"])
    assert len(finder) == PICTURES + 2
    again, same = finder.find([edited(50), file])
    assert [near.id for near in again.near] == ["first"]
    assert same.near == (NearDuplicate("kept", 0, same_file=True),)


def test_files_and_folders_from_the_command_line(
    spots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    save(folder / "a.png", edited(7))
    whole = save(folder / "b" / "other.png", pixels(70)).read_bytes()
    (folder / "cut.png").write_bytes(whole[:-40])
    shutil.copy(spots / "pictures" / "1.png", folder / "same.png")
    assert call(monkeypatch, "duplicates", str(folder), "--run", str(spots / "run"), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    near = {each["id"].rpartition("/")[2]: [one["id"] for one in each["near"]] for each in told["items"]}
    assert near == {"a.png": ["7.png"], "same.png": ["1.png"], "other.png": []}
    assert ["cut.png" in sentence for sentence in told["refused"]] == [True]
    assert call(monkeypatch, "duplicates", str(folder), "--run", str(spots / "run"), "--bits", "0") == 0
    lines = capsys.readouterr().out
    assert "the same file" in lines
    assert "Near-duplicates of one of the run's 9 pictures, or of one named before: 1 of 3." in lines
    assert "! " in lines
    assert call(monkeypatch, "duplicates", str(folder / "cut.png"), "--run", str(spots / "run")) == 2
    assert "None of the pictures can be read" in capsys.readouterr().err


def test_runs_that_recognise_nothing(spots: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        DuplicateFinder(tmp_path)
    shutil.copytree(spots / "run", tmp_path / "run")
    (tmp_path / "run" / "fingerprint" / "current").unlink()
    with pytest.raises(UserError, match=r"has no hashes of its pictures: add \[fingerprint\]"):
        DuplicateFinder(tmp_path / "run")
    sections = {
        "name": "docs",
        "ingest": {"kind": "python_docs", "standard_library": False, "distributions": ["typer"]},
        "fingerprint": {},
        "encoder": {"kind": "static", "dimension": 8, "vocabulary": 300},
        "embed": {},
    }
    run(validated(sections, "docs"), tmp_path / "docs", until="fingerprint")
    with pytest.raises(UserError, match="is not a run on pictures"):
        DuplicateFinder(tmp_path / "docs")
    with pytest.raises(DataError, match=r"absent\.png cannot be read"):
        DuplicateFinder(spots / "run").find([tmp_path / "absent.png"])
    with pytest.raises(DataError, match="it must be from 0 to 16"):
        DuplicateFinder(spots / "run", bits=17).find([pixels(1)])


def test_equal_pictures_are_counted_and_a_few_of_them_named(
    spots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    black = np.zeros((20, 20), np.uint8)
    found = DuplicateFinder(spots / "run").find([black] * 60)
    assert [each.count for each in found] == list(range(60))
    assert [near.id for near in found[-1].near] == [str(number) for number in range(20)]
    assert [near.id for near in DuplicateFinder(spots / "run").find([black] * 9, most=2)[-1].near] == ["0", "1"]
    for number in range(6):
        save(tmp_path / "black" / f"{number}.png", black)
    assert call(monkeypatch, "duplicates", str(tmp_path / "black"), "--run", str(spots / "run")) == 0
    assert "and 2 more" in capsys.readouterr().out


def test_items_of_every_kind_and_as_many_ids(spots: Path) -> None:
    path = spots / "pictures" / "2.png"
    finder = DuplicateFinder(spots / "run")
    for item in (path, str(path), path.read_bytes(), Image.open(path), pixels(2)):
        near = finder.find([item])[0].near[0]
        assert (near.id, near.bits) == ("2.png", 0)
    with pytest.raises(DataError, match="There are 2 items and 1 ids"):
        finder.find([path, path], ids=["one"])
    with pytest.raises(DataError, match="give a numpy array or a PIL image"):
        finder.find([3])


def test_hashes_of_other_items_are_not_used(spots: Path, tmp_path: Path) -> None:
    shutil.copytree(spots / "pictures", tmp_path / "pictures")
    run(recipe(tmp_path), tmp_path / "run", until="fingerprint")
    save(tmp_path / "pictures" / "00.png", pixels(77))
    run(recipe(tmp_path), tmp_path / "run", until="ingest")
    with pytest.raises(UserError, match="the stage fingerprint is older than what ingest holds now"):
        DuplicateFinder(tmp_path / "run")
