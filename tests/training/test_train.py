"""The stage `train`, from artifacts to artifacts, with an encoder that trains in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft, Silence, Stop
from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.encoders.fit import load_encoder, save_encoder
from likewise.errors import DataError, Terminated
from likewise.mining.options import MineOptions
from likewise.testing.artifacts import draft, publish
from likewise.testing.corpora import small_corpus
from likewise.testing.encoders import FakeEncoder, FakeEncoderOptions
from likewise.training.options import TrainOptions
from likewise.training.text import Material, TextPreset, batches_of
from likewise.training.train import train
from likewise.types import SplitName
from likewise.vectors.extract import embed
from likewise.vectors.options import EmbedOptions
from likewise.vectors.store import Vectors

TOPICS = 90


@dataclass
class World:
    """Everything the stage is given, for texts that no model knows yet: a query shares no word with its document."""

    corpus: Corpus
    division: Division
    classes: np.ndarray
    start: Artifact
    before: Vectors

    def train(self, target: Draft, options: TrainOptions, mine: MineOptions | None = None) -> Artifact:
        self.work(target, options, mine)
        return publish(target)

    def work(self, target: Draft, options: TrainOptions, mine: MineOptions | None) -> None:
        material = Material(self.corpus, self.division, self.classes, None, mine)

        def make(encoder: Encoder, stop: Stop) -> TextPreset:
            return TextPreset(target, options, encoder, self.before.array, material, EmbedOptions(), stop)

        train(target, options, self.start, make)


def world_in(folder: Path, validation: int = 20, seed: int = 0) -> World:
    """Queries and documents about 9 subjects, each with its own words on either side, so that one query helps others."""
    generator = np.random.default_rng(seed)
    pairs = []
    for topic in range(TOPICS):
        subject = topic % 9
        asked = " ".join(f"ask{subject}x{word}" for word in generator.choice(5, 3, replace=False))
        told = " ".join(f"tell{subject}x{word}" for word in generator.choice(5, 4, replace=False))
        pairs.append((f"{asked} q{topic}", f"{told} d{topic}"))
    splits: list[SplitName | None] = ["validation" if topic < validation else "train" for topic in range(TOPICS)]
    corpus = small_corpus(folder, pairs, splits)
    started = draft(folder, "fit")
    save_encoder(started, FakeEncoder(FakeEncoderOptions(dimension=24, buckets=2048)))
    start = publish(started)
    embedded = draft(folder, "embed")
    embed(embedded, EmbedOptions(), start, corpus)
    classes = np.arange(len(corpus), dtype=np.int64)
    return World(corpus, division_of(folder, corpus), classes, start, Vectors(publish(embedded)))


def division_of(folder: Path, corpus: Corpus) -> Division:
    """The splits that came with the pairs."""
    split = draft(folder, "split")
    items = np.full(len(corpus), -1, dtype=np.int8)
    items[corpus.pairs.a] = corpus.pair_splits
    split.write_array("items.npy", items)
    split.write_array("queries.npy", items)
    split.write_array("pairs.npy", corpus.pair_splits)
    return Division(publish(split))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_in(tmp_path_factory.mktemp("world"))


def options(**changes: object) -> TrainOptions:
    given = {"epochs": 3, "batch_size": 10, "learning_rate": 0.05, "logging_steps": 2, "guard": None, **changes}
    return TrainOptions.model_validate(given)


def bytes_of(artifact: Artifact) -> dict[str, bytes]:
    return {name: artifact.file(name).read_bytes() for name in artifact.manifest.files}


def test_what_was_learnt_is_handed_over(world: World, tmp_path: Path) -> None:
    trained = world.train(draft(tmp_path, "train"), options())
    chosen = trained.json("chosen.json")
    history = trained.json("history.json")
    assert chosen["chosen"] == "trained"
    assert chosen["best"] == max(entry["metrics"]["ndcg@10"] for entry in history) > chosen["start"] + 0.1
    assert [entry["step"] for entry in history] == [0, 7, 14, 21]
    again = draft(tmp_path, "embed")
    embed(again, EmbedOptions(), trained, world.corpus)
    assert not np.allclose(Vectors(publish(again)).array, world.before.array, atol=0.05)
    assert set(trained.manifest.files) >= {
        "encoder.json",
        "model/model.safetensors",
        "metrics.csv",
        "history.json",
        "chosen.json",
    }
    header, *lines = trained.file("metrics.csv").read_text().splitlines()
    assert header == "step,loss,active,learning_rate,gradient_norm,ndcg@10"
    assert len(lines) == 11 + 3


def test_a_worse_model_is_never_handed_over(world: World, tmp_path: Path) -> None:
    spoiled = world.train(draft(tmp_path, "train"), options(loss={"kind": "training.toys:Backwards"}))
    chosen = spoiled.json("chosen.json")
    assert (chosen["chosen"], chosen["step"], chosen["best"]) == ("start", 0, chosen["start"])
    assert all(entry["metrics"]["ndcg@10"] <= chosen["start"] for entry in spoiled.json("history.json"))
    assert load_encoder(spoiled).space == load_encoder(world.start).space


def test_the_guard_keeps_a_checkpoint_from_being_chosen(world: World, tmp_path: Path) -> None:
    free = world.train(draft(tmp_path, "train"), options(guard="recall@1"))
    assert free.json("chosen.json")["chosen"] == "trained"
    history = free.json("history.json")
    strict = options(guard="recall@100", guard_tolerance=0.0, metric="ndcg@10")
    # With 90 documents recall@100 is 1 for every model, so nothing is forbidden; recall@90 of a start that is 1 cannot rise.
    assert world.train(draft(tmp_path, "train"), strict).json("chosen.json")["guard_best"] == 1.0
    assert all(entry["allowed"] for entry in history)


def test_no_epochs_hand_over_the_start(world: World, tmp_path: Path) -> None:
    trained = world.train(draft(tmp_path, "train"), options(epochs=0))
    chosen = trained.json("chosen.json")
    assert (chosen["chosen"], chosen["steps"], chosen["metric"]) == ("start", 0, "ndcg@10")
    assert trained.json("history.json") == []
    assert load_encoder(trained).space == load_encoder(world.start).space


def test_the_same_bytes_again(world: World, tmp_path: Path) -> None:
    one, two = (world.train(draft(tmp_path, "train", seed=3), options(epochs=1)) for _ in range(2))
    assert bytes_of(one) == bytes_of(two)
    other = world.train(draft(tmp_path, "train", seed=4), options(epochs=1))
    assert bytes_of(one)["model/model.safetensors"] != bytes_of(other)["model/model.safetensors"]


@pytest.mark.parametrize(
    ("changes", "mine"),
    [
        ({}, None),
        ({"accumulate": 3, "eval_steps": 2}, None),
        ({"early_stopping": 1, "save_steps": 4}, None),
        ({}, MineOptions(num_negatives=2, range_max=20, refresh_every=1)),
    ],
    ids=["plain", "accumulate", "early stopping", "refresh"],
)
def test_stopped_again_and_again_it_leaves_the_same_bytes(
    world: World, tmp_path: Path, changes: dict[str, object], mine: MineOptions | None
) -> None:
    straight = world.train(draft(tmp_path, "train"), options(**changes), mine)
    target = draft(tmp_path, "stopped")
    interruptions = 0
    for patience in (2, 4, 7, 5, 9, 10**9):
        try:
            train_until(world, target, options(**changes), mine, patience)
        except Terminated:
            interruptions += 1
        else:
            break
    assert interruptions >= 3
    assert bytes_of(publish(target)) == bytes_of(straight)


def train_until(world: World, target: Draft, given: TrainOptions, mine: MineOptions | None, patience: int) -> None:
    """Train, and ask to stop when so many signs of progress have been given, wherever that is."""
    asked: list[Stop] = []
    deferred, seen = target.deferred_stop, iter(range(10**9))

    @contextmanager
    def remembered() -> Iterator[Stop]:
        with deferred() as stop:
            asked.append(stop)
            yield stop

    class Impatient(Silence):
        def progress(self, stage: str, done: int, total: int, note: str) -> None:
            if next(seen) >= patience:
                asked[-1].requested = True

    changed: Any = target
    changed.deferred_stop, changed._reporter = remembered, Impatient()
    try:
        world.work(target, given, mine)
    finally:
        changed.deferred_stop = deferred


def test_fresh_negatives_are_numbered_and_used(world: World, tmp_path: Path) -> None:
    mine = MineOptions(num_negatives=2, range_max=20, refresh_every=1)
    trained = world.train(draft(tmp_path, "train"), options(), mine)
    assert [name for name in trained.manifest.files if name.startswith("negatives")] == [
        "negatives-001.parquet",
        "negatives-002.parquet",
    ]
    table = trained.table("negatives-002.parquet")
    assert set(table["anchor"].to_pylist()) == set(world.division.queries("train").tolist())
    without = world.train(draft(tmp_path, "train"), options())
    assert bytes_of(trained)["model/model.safetensors"] != bytes_of(without)["model/model.safetensors"]
    seldom = world.train(draft(tmp_path, "train"), options(), mine.model_copy(update={"refresh_every": 2}))
    assert [name for name in seldom.manifest.files if name.startswith("negatives")] == ["negatives-001.parquet"]


def test_nothing_to_choose_by(tmp_path: Path) -> None:
    world = world_in(tmp_path, validation=0)
    with pytest.raises(DataError, match=r"validation split has no query .*raise \[split\] validation"):
        world.train(draft(tmp_path, "train"), options())


def test_nothing_to_train_on(tmp_path: Path) -> None:
    world = world_in(tmp_path, validation=TOPICS)
    with pytest.raises(DataError, match="train split has no positive pair"):
        world.train(draft(tmp_path, "train"), options())


def test_files_tell_no_time(world: World, tmp_path: Path) -> None:
    trained = world.train(draft(tmp_path, "train"), options(epochs=1, loggers=("tensorboard",)))
    assert any(name.startswith("tensorboard/events") for name in trained.manifest.files)
    texts = [trained.file(name).read_text() for name in trained.manifest.files if name.endswith((".json", ".csv"))]
    assert not any("time" in text or str(tmp_path) in text for text in texts)
    assert json.loads(trained.file("chosen.json").read_text())["steps"] == 7


def test_pairs_that_stand_in_no_batch_are_told(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path, [("a", "x"), ("b", "y"), ("c", "y"), ("d", "y")], ["train"] * 4)
    told: list[str] = []
    target: Any = draft(tmp_path, "train")
    target.say = told.append
    material = Material(corpus, division_of(tmp_path, corpus), np.arange(len(corpus)), None, None)
    assert batches_of(material, options(batch_size=2), target).left_out == 2
    assert told == ["2 training pairs stand in no batch of the first epoch: each could only stand alone."]
