"""`likewise check RECIPE` for events: counts hits and true edges, names problems, and times real training steps."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from likewise import pipeline
from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft, Reporter
from likewise.checking import CheckResult, Row
from likewise.config import Recipe
from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.encoders.fit import load_encoder
from likewise.estimating import BASE_MEMORY, NOTHING, Estimate, Range
from likewise.evaluation.options import GraphEvaluateOptions
from likewise.mining.options import StepMineOptions
from likewise.training.base import EmbeddingBase
from likewise.training.tracks import TracksPreset
from likewise.types import SPLITS
from likewise.vectors.precision import device_for

TIMED_STEPS = 3  # after one that warms up
SLOWER, FASTER = 2.0, 0.7  # events differ, and the graphs of an untrained model are the fullest
SYSTEMS = 3  # start, trained model and raw features, each over every test event twice


def check_events(recipe: Recipe, folder: Path | None, reporter: Reporter) -> CheckResult:
    """Run a recipe up to its encoder's fit in the run's folder, count, and time a few training steps."""
    outcome = pipeline.run(recipe, folder, until="fit", tentative=True, reporter=reporter)
    finished = outcome.finished
    corpus = Corpus(finished["ingest"])
    division = Division(finished["split"]) if "split" in finished else None
    facts = tuple(_facts(finished["ingest"].json("counts.json"), finished.get("split")))
    problems = tuple(_problems(recipe, division))
    estimates: tuple[Estimate, ...] = ()
    if recipe.train is not None and recipe.train.epochs and division is not None and isinstance(recipe.mine, StepMineOptions):
        estimates = tuple(_estimates(recipe, recipe.mine, outcome.folder, finished["fit"], corpus, division))
    return CheckResult(outcome.folder, facts, problems, estimates, shutil.disk_usage(outcome.folder).free)


def _facts(counts: dict[str, Any], split: Artifact | None) -> Iterator[Row]:
    rejected = f", {counts['rejected']:,} rejected" if counts["rejected"] else ""
    yield Row("events", f"{counts['accepted']:,}{rejected}")
    sizes = [shard["items"] for shard in counts["shards"] if shard["items"]]
    yield Row("hits", f"{counts['items']:,}, of an event {min(sizes):,} to {max(sizes):,}")
    yield Row("true edges", f"{counts['pairs']:,}, of which {counts['positives']:,} are signal")
    found = split.json("leakage.json") if split else {}
    for name in SPLITS if found else ():
        yield Row(name, f"{found[name]['units']:,} events, {found[name]['items']:,} hits")


def _problems(recipe: Recipe, division: Division | None) -> Iterator[str]:
    if division is None:
        return
    train, test = (len(division.shards(split)) for split in ("train", "test"))
    if recipe.train is not None and 0 < train * recipe.train.epochs < 100:
        yield f"Training has only {train * recipe.train.epochs:,} steps, one for each event: raise [train] epochs, or bring more."
    if isinstance(recipe.evaluate, GraphEvaluateOptions):
        if not test:
            yield "There is no test split: the verdict will be about the events that were trained on."
        elif test < recipe.evaluate.smallest_units:
            needed = recipe.evaluate.smallest_units
            yield f'Only {test} test events, and the verdict needs {needed} to say more than "too few to tell".'
    if not len(division.shards("validation")) and recipe.train is not None and recipe.train.epochs:
        yield "There is no validation split: checkpoints will be chosen on the events that are trained on."


def _estimates(
    recipe: Recipe, mine: StepMineOptions, folder: Path, start: Artifact, corpus: Corpus, division: Division
) -> Iterator[Estimate]:
    """Training, from real steps; the evaluation, from measuring one event."""
    assert recipe.train is not None
    trial = Draft(folder / ".trial", stage="train", seed=recipe.seed)
    try:
        preset = TracksPreset(trial, recipe.train, load_encoder(start), corpus, division, mine)
        module = preset.module(TIMED_STEPS).to(device_for(recipe.train.device, "train"))  # where the events are
        batches = list(preset.batches)[: TIMED_STEPS + 1]
        seconds = [_timed_step(module, batch, number) for number, batch in enumerate(batches)]
        began = time.perf_counter()
        preset.measure(0)
        validation = time.perf_counter() - began
    finally:
        shutil.rmtree(trial.path, ignore_errors=True)
    steps = len(preset.batches) if recipe.train.max_steps is None else min(len(preset.batches), recipe.train.max_steps)
    evaluations = recipe.train.epochs if recipe.train.eval_steps is None else steps // recipe.train.eval_steps + 1
    training = steps * float(np.median(seconds[1:] or seconds)) + (evaluations + 1) * validation
    parameters = sum(parameter.numel() for parameter in module.parameters()) * 4
    held = recipe.train.shards_in_memory * max(len(shard) for shard in corpus.shards) * 200  # bytes of a hit and its edges
    memory = Range(BASE_MEMORY[0] + held / 2, BASE_MEMORY[1] + 2 * held)
    yield Estimate("train", _range(training), memory, Range(parameters, 4 * parameters))
    events = len(division.shards("test")) or len(division.shards("train"))
    one = validation / max(1, len(division.shards("validation")) or events)
    if recipe.evaluate is not None:
        yield Estimate("evaluate", _range(SYSTEMS * 2 * one * events), memory, NOTHING)


def _timed_step(module: EmbeddingBase, batch: Any, number: int) -> float:
    began = time.perf_counter()
    loss = module.training_step(batch, number)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    module.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def _range(seconds: float) -> Range:
    return Range(FASTER * seconds, SLOWER * seconds)
