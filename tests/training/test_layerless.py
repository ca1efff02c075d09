"""Training on events: the step, its loader, the store of shards, validation, and the whole stage."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft, Silence, Stop
from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.encoders.fit import load_encoder
from likewise.errors import Terminated
from likewise.losses.hinge import Hinge
from likewise.losses.options import HingeOptions, LogisticOptions, TripletOptions
from likewise.mining.options import StepMineOptions
from likewise.mining.step import StepMiner
from likewise.testing.artifacts import draft, publish
from likewise.testing.batches import check_batches
from likewise.testing.miners import KnownPairs
from likewise.training.graph_validation import TOLD, GraphValidation
from likewise.training.layerless import LayerlessEmbedding
from likewise.training.options import TrainOptions
from likewise.training.shard_batches import ShardBatches
from likewise.training.tracks import TracksPreset
from likewise.training.train import train
from likewise.vectors.shards import ShardStore, load_shard, vectors_of
from small_events import divided, ingested, started

MINE = StepMineOptions(points_per_batch=100, radius=1.0, max_neighbors=30, random_pairs=2)
CPU = torch.device("cpu")


def options(**changes: Any) -> TrainOptions:
    given = {
        "epochs": 3,
        "learning_rate": 0.01,
        "logging_steps": 2,
        "metric": "purity@0.9",
        "guard": None,
        "precision": "float32",
        "loss": HingeOptions(),
    }
    return TrainOptions.model_validate({**given, **changes})


class World:
    """Six events, divided, and the encoder that was fitted on the training ones."""

    def __init__(self, folder: Path) -> None:
        self.corpus = Corpus(ingested(folder))
        split = divided(folder, self.corpus)
        self.division = Division(split)
        self.start = started(folder, self.corpus, split)

    def work(self, target: Draft, given: TrainOptions, mine: StepMineOptions = MINE) -> None:
        def make(encoder: Encoder, stop: Stop) -> TracksPreset:
            return TracksPreset(target, given, encoder, self.corpus, self.division, mine)

        train(target, given, self.start, make)

    def train(self, target: Draft, given: TrainOptions, mine: StepMineOptions = MINE) -> Artifact:
        self.work(target, given, mine)
        return publish(target)

    def module(self, kind: type[LayerlessEmbedding] = LayerlessEmbedding, **changes: Any) -> LayerlessEmbedding:
        store = ShardStore(self.corpus, 2, CPU)
        encoder = load_encoder(self.start)
        return kind(encoder, Hinge(HingeOptions()), StepMiner(MINE), store, options(**changes), steps=10, seed=3)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def batches_of(world: World, epochs: int = 2, seed: int = 0) -> ShardBatches:
    shards = [world.corpus.shards[number] for number in world.division.shards("train").tolist()]
    return ShardBatches(shards, epochs, seed)


def test_a_batch_is_a_shard(world: World) -> None:
    nothing = KnownPairs(np.zeros((len(world.corpus), len(world.corpus)), dtype=bool))
    check_batches(lambda: batches_of(world), nothing)
    batches = list(batches_of(world))
    starts = [int(batch.rows[0]) for batch in batches]
    train = sorted(world.corpus.shards[number].start for number in world.division.shards("train").tolist())
    assert sorted(starts[: len(train)]) == sorted(starts[len(train) :]) == train
    assert len({tuple(int(b.rows[0]) for b in batches_of(world, seed=seed)) for seed in range(6)}) > 1


def test_the_step_equals_brute_force(world: World) -> None:
    module = world.module()
    batch = next(iter(batches_of(world)))
    chosen = module.choose(batch)
    loss = module.compute_loss(module.embed(chosen.rows).float(), chosen)
    shard = load_shard(world.corpus, int(np.flatnonzero([s.start == batch.rows[0] for s in world.corpus.shards])[0]), CPU)
    with torch.no_grad():
        vectors = module.encoder(shard.features).double()
    apart = torch.cdist(vectors, vectors)
    keys = set(zip(chosen.rows[chosen.pairs.a].tolist(), chosen.rows[chosen.pairs.b].tolist(), strict=True))
    true = set(zip(*(side.tolist() for side in shard.evidence.edges), strict=True))
    assert true <= keys
    positive = torch.stack([apart[a, b] ** 2 for a, b in sorted(true)]).mean()
    negative = torch.stack([(1 - apart[a, b]).clamp(min=0) ** 2 for a, b in sorted(keys - true)]).mean()
    assert float(loss.loss.detach()) == pytest.approx(float(positive + negative), rel=1e-4)
    assert len(chosen.rows) < len(shard.shard), "only the hits that are involved are embedded with gradient"


def test_the_same_step_draws_the_same_pairs_and_another_others(world: World) -> None:
    first, second = itertools.islice(batches_of(world), 2)
    one, again, other = (world.module().choose(batch) for batch in (first, first, second))
    assert torch.equal(one.pairs.a, again.pairs.a)
    assert torch.equal(one.rows, again.rows)
    assert len(one.rows) != len(other.rows) or not torch.equal(one.rows, other.rows)


class Wide(LayerlessEmbedding):
    """A user's own architecture."""

    def __init__(self, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self.wide = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 5))

    def forward(self, prepared: Tensor) -> Tensor:
        scaled: Tensor = self.encoder.scale_features(prepared)  # type: ignore[operator]
        vectors: Tensor = self.wide(scaled)
        return vectors


def test_an_architecture_of_ones_own_learns(world: World) -> None:
    module = world.module(Wide)
    optimizer = torch.optim.Adam(module.wide.parameters(), lr=0.01)
    losses = []
    for batch in batches_of(world, epochs=12):
        optimizer.zero_grad()
        loss = module.training_step(batch, 0)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])


def test_no_more_shards_in_memory_than_asked(world: World) -> None:
    store = ShardStore(world.corpus, 2, CPU)
    first = store.get(0)
    assert store.get(0) is first
    store.get(1)
    store.get(2)
    assert list(store._held) == [1, 2]
    row = world.corpus.shards[4].start + 5
    assert store.at(row).shard.name == "event000000004"
    assert store.at(world.corpus.shards[4].start).start == world.corpus.shards[4].start


def test_validation_equals_brute_force(world: World) -> None:
    numbers = world.division.shards("train").tolist()
    encoder = load_encoder(world.start)
    load = lambda number: load_shard(world.corpus, number, CPU)  # noqa: E731
    loss = Hinge(HingeOptions())
    validation = GraphValidation(numbers, load, ["purity@0.9"], StepMiner(MINE), loss, 0)
    found = validation.measure(lambda shard: vectors_of(encoder, shard))
    distances, graphs = [], []
    for number in numbers:
        shard = load(number)
        apart = torch.cdist(vectors_of(encoder, shard).double(), vectors_of(encoder, shard).double()).numpy()
        weight = dict(
            zip(
                zip(shard.shard.pairs.a.tolist(), shard.shard.pairs.b.tolist(), strict=True),
                shard.shard.pairs.weight.tolist(),
                strict=True,
            )
        )
        distances += [apart[pair] for pair, heavy in weight.items() if heavy > 0]
        graphs.append((apart, weight))
    radius = np.sort(distances)[int(np.ceil(0.9 * len(distances))) - 1] * (1 + 1e-6)
    right = sum(distance <= radius for distance in distances)
    wrong = 0
    for apart, weight in graphs:
        a, b = np.nonzero(np.triu(apart <= radius, 1))
        wrong += sum(pair not in weight for pair in zip(a.tolist(), b.tolist(), strict=True))
    masked = [apart[pair] <= radius for apart, weight in graphs for pair, heavy in weight.items() if not heavy]
    true = len(distances) + len(masked)
    assert found["purity@0.9"] == pytest.approx(right / (right + wrong), rel=1e-3)
    assert found["radius"] == pytest.approx(radius, rel=1e-5)
    assert found["efficiency"] == pytest.approx((right + sum(masked)) / true, rel=1e-3)
    assert found["purity"] == pytest.approx((right + sum(masked)) / (right + sum(masked) + wrong), rel=1e-3)
    assert found["f1"] == pytest.approx(2 * right / (len(distances) + right + wrong), rel=1e-3)
    assert found == validation.measure(lambda shard: vectors_of(encoder, shard)), "the same draws every time"


def test_the_validation_loss_counts_true_pairs_outside_of_the_radius(world: World) -> None:
    numbers = world.division.shards("validation").tolist()
    load = lambda number: load_shard(world.corpus, number, CPU)  # noqa: E731
    far = StepMiner(MINE.model_copy(update={"radius": 1e-6, "regimes": ("hnm",)}))  # finds nothing but what it stands on
    found = GraphValidation(numbers, load, ["purity@0.9"], far, Hinge(HingeOptions()), 0).measure(lambda s: s.features)
    expected = []
    for number in numbers:
        shard = load(number)
        a, b = shard.evidence.edges
        expected.append(float((shard.features[a] - shard.features[b]).square().sum(dim=1).mean()))
    assert found["validation_loss"] == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize(
    "loss", [HingeOptions(), LogisticOptions(), TripletOptions(distance="euclidean", negatives="listed", margin=0.5)]
)
def test_training_makes_graphs_purer(world: World, tmp_path: Path, loss: Any) -> None:
    trained = world.train(draft(tmp_path, "train"), options(epochs=15, loss=loss))
    chosen = trained.json("chosen.json")
    assert chosen["chosen"] == "trained"
    assert chosen["best"] > 1.3 * chosen["start"]


def test_without_a_validation_split_it_says_so(world: World, tmp_path: Path) -> None:
    division = Division(divided(tmp_path, world.corpus, validation=0.0, test=0.0))
    told: list[str] = []
    target: Any = draft(tmp_path, "train")
    target.say = told.append
    preset = TracksPreset(target, options(), load_encoder(world.start), world.corpus, division, MINE)
    assert set(preset.measure(0)) == set(preset.metrics) == {"purity@0.9", *TOLD}
    assert any("chosen on the events they are trained on" in sentence for sentence in told)


@pytest.mark.parametrize("changes", [{}, {"accumulate": 2, "eval_steps": 2}], ids=["plain", "accumulating"])
def test_stopped_again_and_again_it_leaves_the_same_bytes(world: World, tmp_path: Path, changes: dict[str, Any]) -> None:
    straight = world.train(draft(tmp_path, "straight"), options(**changes))
    target: Any = draft(tmp_path, "stopped")
    interruptions = 0
    deferred = target.deferred_stop
    for patience in (1, 2, 2, 10**9):
        asked: list[Stop] = []
        seen = itertools.count()

        @contextmanager
        def remembered(asked: list[Stop] = asked) -> Iterator[Stop]:
            with deferred() as stop:
                asked.append(stop)
                yield stop

        class Impatient(Silence):
            def progress(
                self, stage: str, done: int, total: int, note: str, seen: Any = seen, asked: Any = asked, patience: int = patience
            ) -> None:
                if next(seen) >= patience:
                    asked[-1].requested = True

        target.deferred_stop, target._reporter = remembered, Impatient()
        try:
            world.work(target, options(**changes))
        except Terminated:
            interruptions += 1
        else:
            break
    target.deferred_stop = deferred
    assert interruptions >= 2
    one, other = straight.manifest.files, publish(target).manifest.files
    assert {name: record.sha256 for name, record in one.items()} == {name: record.sha256 for name, record in other.items()}
