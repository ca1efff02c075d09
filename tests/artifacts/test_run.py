import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.artifacts.run import Run, current, leftovers, versioned
from likewise.errors import DamagedArtifact, Terminated, UserError
from likewise.options import Options


class Shout(Options):
    text: str = "a"


class Watching(Options):
    paths = ("file",)
    file: str


calls: list[str] = []


@versioned(1)
def shout(draft: Draft, options: Any, *inputs: Artifact) -> None:
    calls.append("shout")
    before = "".join(artifact.file("text").read_text(encoding="utf-8") for artifact in inputs)
    draft.write_text("text", before + getattr(options, "text", "").upper())


@versioned(1)
def same(draft: Draft, options: Any, *inputs: Artifact) -> None:
    calls.append("same")
    draft.write_text("text", "constant")


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def test_a_stage_runs_once_and_again_only_when_something_changed(tmp_path: Path) -> None:
    for text in ("a", "a", "b", "a"):
        with Run(tmp_path) as run:
            first = run.stage(shout, Shout(text=text), name="first")
            second = run.stage(shout, Shout(text="x"), first, name="second")
    assert second is not None
    assert second.file("text").read_text(encoding="utf-8") == "AX"
    assert len(calls) == 4, "two for a, two for b, none when a came back"
    assert [record.reused for record in run.records] == [True, True]


def test_equal_content_upstream_stops_the_rerun(tmp_path: Path) -> None:
    for text in ("a", "b"):
        with Run(tmp_path) as run:
            first = run.stage(same, Shout(text=text), name="first")
            run.stage(shout, Shout(text="x"), first, name="second")
    assert calls == ["same", "shout", "same"]


def test_the_seed_and_watched_files_are_inputs(tmp_path: Path) -> None:
    watched = tmp_path / "watched.csv"
    watched.write_text("1", encoding="utf-8")
    for seed in (0, 0, 1):
        with Run(tmp_path / "run", seed=seed) as run:
            run.stage(same, Watching(file=str(watched)))
    assert len(calls) == 2
    watched.write_text("12", encoding="utf-8")
    with Run(tmp_path / "run", seed=1) as run:
        run.stage(same, Watching(file=str(watched)))
    assert len(calls) == 3


def test_fresh_does_everything_again(tmp_path: Path) -> None:
    for fresh in (False, True):
        with Run(tmp_path, fresh=fresh) as run:
            run.stage(shout, Shout())
    assert len(calls) == 2


def test_until_ends_the_run_after_that_stage(tmp_path: Path) -> None:
    with Run(tmp_path, until="first") as run:
        run.stage(shout, Shout(), name="first")
        run.stage(shout, Shout(), name="second")
    assert calls == ["shout"]
    assert list(run.finished) == ["first"]


def test_a_stage_without_options_is_absent_and_said(tmp_path: Path) -> None:
    with Run(tmp_path) as run:
        assert run.stage(shout, None) is None
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert events[-1]["event"] == "absent"


def test_damage_is_found_and_made_again(tmp_path: Path) -> None:
    with Run(tmp_path) as run:
        artifact = run.stage(shout, Shout())
    assert artifact is not None
    (artifact.path / "text").write_text("B", encoding="utf-8")
    with Run(tmp_path) as run:
        again = run.stage(shout, Shout())
    assert again is not None
    assert again.file("text").read_text(encoding="utf-8") == "A"
    assert len(calls) == 2


def test_a_failing_stage_is_not_published_and_goes_on_from_what_is_whole(tmp_path: Path) -> None:
    def flaky(draft: Draft, options: Any) -> None:
        if not draft.has("half"):
            draft.write_text("half", "1")
            raise RuntimeError("the first attempt fails")
        draft.write_text("whole", draft.file("half").read_text(encoding="utf-8") + "2")

    with pytest.raises(RuntimeError, match="first attempt"), Run(tmp_path) as run:
        run.stage(flaky, Shout())
    assert current(tmp_path, "flaky") is None
    with Run(tmp_path) as run:
        run.stage(flaky, Shout())
    artifact = current(tmp_path, "flaky")
    assert artifact is not None
    assert artifact.file("whole").read_text(encoding="utf-8") == "12"


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with Run(tmp_path), pytest.raises(UserError, match="in use by another run"), Run(tmp_path):
        pass


def test_sigterm_raises_and_the_lock_is_free_again(tmp_path: Path) -> None:
    def stopped(draft: Draft, options: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Terminated) as caught, Run(tmp_path) as run:
        run.stage(stopped, Shout())
    assert caught.value.exit_code == 143
    with Run(tmp_path):
        pass


@pytest.mark.parametrize("defers", [False, True])
def test_a_sigterm_that_a_library_has_swallowed_still_ends_the_run(tmp_path: Path, defers: bool) -> None:
    came_to: list[str] = []

    def working(draft: Draft, options: Any) -> None:
        with contextlib.suppress(Exception):  # as libraries do around imports
            os.kill(os.getpid(), signal.SIGTERM)
        came_to.append("after the signal")
        if defers:
            with draft.deferred_stop() as stop:
                assert stop.requested
        draft.progress(1, 2)
        came_to.append("too far")

    with pytest.raises(Terminated), Run(tmp_path) as run:
        run.stage(working, Shout())
    assert came_to == ["after the signal"]

    with Run(tmp_path) as run:
        with contextlib.suppress(Terminated):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Terminated):
            run.stage(shout, Shout())


def test_leftovers_are_what_is_no_longer_in_force(tmp_path: Path) -> None:
    for text in ("a", "b"):
        with Run(tmp_path) as run:
            run.stage(shout, Shout(text=text))
    (found,) = leftovers(tmp_path)
    in_force = current(tmp_path, "shout")
    assert in_force is not None
    assert found != in_force.path
    assert found.parent == in_force.path.parent
    (tmp_path / "shout" / "current").write_bytes(b"\xff")
    assert leftovers(tmp_path) == sorted([found, in_force.path]), "nothing is in force"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\0", b"../../elsewhere", b"nothing-of-this-name"])
def test_a_damaged_pointer_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "shout").mkdir()
    (tmp_path / "shout" / "current").write_bytes(content)
    with pytest.raises(DamagedArtifact, match=r"shout"):
        current(tmp_path, "shout")


def test_what_is_no_artifact_is_no_leftover(tmp_path: Path) -> None:
    with Run(tmp_path / "runs" / "mine") as run:
        run.stage(shout, Shout(text="a"))
    mine = tmp_path / "runs" / "mine"
    (mine / "notes" / "figures").mkdir(parents=True)
    unfinished = mine / "shout" / "0123456789abcdef"
    unfinished.mkdir()
    assert leftovers(mine) == [unfinished]
    assert leftovers(tmp_path / "runs") == [], "the folder of all runs is no run"
    assert leftovers(tmp_path) == []


def test_files_whose_names_are_no_text_are_watched_too(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.csv"))
    try:
        odd.write_text("1", encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    for _ in range(2):
        with Run(tmp_path / "run") as run:
            made = run.stage(same, Watching(file=str(folder)))
    assert len(calls) == 1
    assert made is not None
    assert made.saw(odd)
    odd.write_text("12", encoding="utf-8")
    assert not made.saw(odd)
