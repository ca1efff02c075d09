"""SIGKILL at a random moment in any stage: a rerun ends with data files equal to the byte to an undisturbed run.

Attempts are forked from a server that has imported everything but computed nothing, so that each costs a second, not ten.
"""

import json
import multiprocessing
import random
import shutil
import time
from pathlib import Path

import pytest

from likewise.artifacts.run import current
from likewise.config import Recipe, validated
from likewise.pipeline import STAGES, run
from likewise.testing.encoders import tiny_text_model
from small_events import tiny_tracks
from small_images import save_model, write_pictures

WORDS = ("river", "stone", "maple", "lantern", "copper", "orbit", "velvet", "thunder", "meadow", "harbor", "cinder", "ember")
PATIENCE_SECONDS = 120
COMPARED = [stage for stage in STAGES if stage != "report"]  # the page tells times

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    [
        "likewise.pipeline",
        "likewise.data.images",
        "likewise.encoders.image",
        "likewise.training.train",
        "likewise.evaluation.evaluate",
        "likewise.evaluation.graph_evaluate",
        "likewise.report.page",
    ]
)


def write_pairs(path: Path, count: int = 400) -> None:
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("anchor\tpositive\n")
        for number in range(count):
            words = draw.sample(WORDS, 4)
            file.write(f"what of {words[0]} and {words[1]} case {number}\t{' '.join(words)} entry {number} {number * 7}\n")


def recipe_for(folder: Path, encoder: dict[str, object], baselines: list[str]) -> Recipe:
    return validated(
        {
            "name": "killed",
            "ingest": {"kind": "pairs", "path": str(folder / "pairs.tsv")},
            "fingerprint": {},
            "split": {},
            "encoder": encoder,
            "embed": {"part_items": 100, "precision": "float32"},
            "mine": {"num_negatives": 2, "range_max": 20, "refresh_every": 1},
            "train": {
                "epochs": 3,
                "batch_size": 16,
                "learning_rate": 0.05,
                "save_steps": 5,
                "max_length": None,
                "precision": "float32",
            },
            "evaluate": {"resamples": 200, "baselines": baselines},
            "result": {"kind": "index"},
            "report": {},
        },
        "killed.toml",
    )


def attempt(recipe: Recipe, folder: Path) -> None:
    run(recipe, folder)


def contents(folder: Path) -> dict[str, str | None]:
    artifacts = {stage: current(folder, stage) for stage in COMPARED}
    return {stage: artifact.content if artifact else None for stage, artifact in artifacts.items()}


def run_undisturbed(folder: Path, encoder: dict[str, object], baselines: list[str]) -> tuple[Recipe, Path]:
    write_pairs(folder / "pairs.tsv")
    return undisturbed_run(recipe_for(folder, encoder, baselines), folder / "run")


def undisturbed_run(recipe: Recipe, folder: Path) -> tuple[Recipe, Path]:
    process = context.Process(target=attempt, args=(recipe, folder))
    process.start()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0
    return recipe, folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A static encoder, quick enough for every stage."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return run_undisturbed(folder, {"kind": "static", "dimension": 32, "vocabulary": 500}, ["bm25"])


@pytest.fixture(scope="module")
def undisturbed_transformer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A tiny transformer, beside which a static baseline is trained."""
    folder = tmp_path_factory.mktemp("transformer")
    tiny_text_model(folder / "model", texts=WORDS)
    return run_undisturbed(folder, {"kind": "text", "model": str(folder / "model")}, ["bm25", "static"])


def seconds_of(folder: Path, stage: str) -> float:
    artifact = current(folder, stage)
    return artifact.manifest.seconds if artifact else 0.0


def has_started(folder: Path, stage: str, events_before: int) -> bool:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[events_before:]
    events = [json.loads(line) for line in lines if line.endswith("\n")]  # the last one may be half-written
    return any(event["event"] == "started" and event["stage"] == stage for event in events)


def kill_within(stage: str, recipe: Recipe, whole: Path, folder: Path, seed: int) -> None:
    """Take the stage and all after it away, start again, kill within the stage, and run to the end."""
    shutil.copytree(whole, folder)
    for later in STAGES[STAGES.index(stage) :]:
        shutil.rmtree(folder / later, ignore_errors=True)
    events_before = len((folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
    process = context.Process(target=attempt, args=(recipe, folder))
    process.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not has_started(folder, stage, events_before):
        assert process.is_alive(), f"ended before {stage} began"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(random.Random(f"{stage}{seed}").uniform(0, max(0.01, seconds_of(whole, stage))))
    process.kill()
    process.join(PATIENCE_SECONDS)
    again = context.Process(target=attempt, args=(recipe, folder))
    again.start()
    again.join(PATIENCE_SECONDS)
    assert again.exitcode == 0


def check_kill(stage: str, undisturbed: tuple[Recipe, Path], tmp_path: Path, seed: int) -> None:
    recipe, whole = undisturbed
    assert current(whole, stage) is not None, f"{stage} did not run"
    if recipe.embed.cache_dir is not None:  # each run begins with an empty cache, and goes on with what it has put into it
        shutil.rmtree(recipe.embed.cache_dir, ignore_errors=True)
    kill_within(stage, recipe, whole, tmp_path / "run", seed)
    assert contents(tmp_path / "run") == contents(whole)


@pytest.fixture(scope="module")
def undisturbed_tracks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """Events instead of texts."""
    folder = tmp_path_factory.mktemp("tracks")
    recipe = tiny_tracks("killed", train={"epochs": 4, "save_steps": 3})
    return undisturbed_run(recipe, folder / "run")


@pytest.fixture(scope="module")
def undisturbed_images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """Pictures: nothing is trained, and vectors are cached."""
    folder = tmp_path_factory.mktemp("images")
    write_pictures(folder / "pictures", groups=5, each=12)
    recipe = validated(
        {
            "name": "killed",
            "ingest": {"kind": "image_folder", "path": str(folder / "pictures")},
            "fingerprint": {},
            "encoder": {"kind": "image", "model": str(save_model(folder / "model"))},
            "embed": {"part_items": 20, "batch_items": 10, "precision": "float32", "cache_dir": str(folder / "cache")},
            "result": {"kind": "index"},
            "report": {},
        },
        "killed.toml",
    )
    return undisturbed_run(recipe, folder / "run")


IMAGES = ("ingest", "fingerprint", "fit", "embed", "index", "report")
TRACKS = ("ingest", "split", "fit", "train", "evaluate", "graph", "report")
TEXTS = tuple(stage for stage in STAGES if stage != "graph")
CASES = [(stage, "undisturbed_transformer" if stage == "baselines" else "undisturbed") for stage in TEXTS]
CASES += [(stage, "undisturbed_tracks") for stage in TRACKS]
CASES += [(stage, "undisturbed_images") for stage in IMAGES]
OFTEN = [(stage, "undisturbed") for stage in ("ingest", "embed", "mine", "train", "index")]  # those that keep parts of their work
OFTEN += [(stage, "undisturbed_tracks") for stage in ("ingest", "train", "graph")]
OFTEN += [(stage, "undisturbed_images") for stage in ("ingest", "embed", "report")]


@pytest.fixture
def run_with(name: str, request: pytest.FixtureRequest) -> tuple[Recipe, Path]:
    """The undisturbed run of this name."""
    found: tuple[Recipe, Path] = request.getfixturevalue(name)
    return found


@pytest.mark.parametrize(("stage", "name"), OFTEN)
def test_a_kill_changes_no_byte(stage: str, run_with: tuple[Recipe, Path], tmp_path: Path) -> None:
    check_kill(stage, run_with, tmp_path, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize(("stage", "name"), CASES)
def test_ten_kills_in_any_stage_change_no_byte(stage: str, seed: int, run_with: tuple[Recipe, Path], tmp_path: Path) -> None:
    check_kill(stage, run_with, tmp_path, seed)
