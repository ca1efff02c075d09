"""The flow as a whole: where a stage has nothing to do, and what the stages tell."""

import html
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heard import Heard
from likewise.artifacts.draft import Silence
from likewise.artifacts.run import current
from likewise.checking import check
from likewise.config import validated
from likewise.data.picture_remarks import fitted_window
from likewise.errors import UserError
from likewise.inspecting import inspect
from likewise.pipeline import run
from likewise.searching import open_run
from small_images import save_model, thermal, write_frames
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


def test_what_people_should_know_of_pictures_is_told_everywhere(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames", 6)
    Image.fromarray(thermal(9).byteswap()).save(tmp_path / "frames" / "odd.png")
    encoder = {"kind": "image", "model": str(save_model(tmp_path / "model")), "pixels": {"window": "data"}}
    sections = {"ingest": {"kind": "image_folder", "path": str(tmp_path / "frames")}, "encoder": encoder}
    recipe = validated({"name": "frames", **sections, "result": {"kind": "vectors"}, "report": {}}, "frames")
    heard = Heard()
    outcome = run(recipe, tmp_path / "run", reporter=heard)
    swapped, range_, set_by = (sentence for stage in ("ingest", "fit") for sentence in outcome.finished[stage].remarks)
    assert swapped.startswith("The bytes of 1 picture (odd.png) seem swapped")
    assert re.match(r"The window of all frames is from \d+ to \d+, the range of those", range_)
    assert set_by.startswith("That range is set by 1 picture (odd.png) whose bytes seem swapped; leave them out, or")
    assert {f"ingest: {swapped}", f"fit: {range_}", f"fit: {set_by}"} <= set(heard.lines)
    assert [row.value for row in inspect(outcome.folder).rows if row.label == "remark"] == [swapped, range_, set_by]
    assert [row.value for row in inspect(outcome.finished["fit"].path).rows if row.label == "remark"] == [range_, set_by]
    assert check(recipe, outcome.folder, Silence()).problems.count(swapped) == 1
    assert outcome.report is not None
    page = html.unescape(outcome.report.read_text(encoding="utf-8"))
    assert all(sentence in page for sentence in (swapped, range_, set_by))


def test_a_window_that_new_frames_move_is_told(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames", 3)
    encoder = {"kind": "image", "model": str(save_model(tmp_path / "model")), "pixels": {"window": "data"}}
    sections = {"ingest": {"kind": "image_folder", "path": str(tmp_path / "frames")}, "encoder": encoder}
    recipe = validated({"name": "frames", **sections}, "frames")
    first, again, moved = Heard(), Heard(), Heard()
    run(recipe, tmp_path / "run", until="fit", reporter=first)
    before = fitted_window(current(tmp_path / "run", "fit"))
    assert before is not None
    Image.fromarray(thermal(0)).save(tmp_path / "frames" / "same.png")
    run(recipe, tmp_path / "run", until="fit", reporter=again)
    Image.fromarray(thermal(0) + np.uint16(500)).save(tmp_path / "frames" / "warmer.png")
    run(recipe, tmp_path / "run", until="fit", reporter=moved)
    told = f"fit: Before, that window was from {before.low:g} to {before.high:g}: every vector is computed again."
    assert told in moved.lines
    assert any(f"is from {before.low:g} to {thermal(0).max() + 500}, the range of" in line for line in moved.lines)
    assert not any("Before" in line for line in (*first.lines, *again.lines))
