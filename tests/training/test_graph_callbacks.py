"""The callbacks for modules that embed hits, through Lightning's own `test`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.encoders.fit import load_encoder
from likewise.errors import UserError
from likewise.graphs.files import graph_path, read_graph
from likewise.losses.hinge import Hinge
from likewise.losses.options import HingeOptions
from likewise.mining.options import StepMineOptions
from likewise.mining.step import StepMiner
from likewise.neighbors import oracle
from likewise.training.graph_callbacks import EmbeddingBuilder, EmbeddingPurEff, EmbeddingTelemetry
from likewise.training.layerless import LayerlessEmbedding
from likewise.training.logs import quiet_lightning
from likewise.training.options import TrainOptions
from likewise.training.shard_batches import WholeShards
from likewise.vectors.shards import ShardStore, load_shard
from small_events import divided, ingested, started

CPU = torch.device("cpu")


class Turned(LayerlessEmbedding):
    """An architecture of its own: φ alone."""

    def forward(self, prepared: Tensor) -> Tensor:
        scaled: Tensor = self.encoder.scale_features(prepared)
        return scaled[:, 1:2] * torch.tensor([1.0, 2.0])


class World:
    def __init__(self, folder: Path) -> None:
        self.corpus = Corpus(ingested(folder, weight_by="pt"))
        split = divided(folder, self.corpus)
        self.division = Division(split)
        self.start = started(folder, self.corpus, split)

    def module(self) -> LayerlessEmbedding:
        options = TrainOptions(loss=HingeOptions(), metric="purity@0.9", guard=None)
        store = ShardStore(self.corpus, 2, CPU)
        miner = StepMiner(StepMineOptions())
        return Turned(load_encoder(self.start), Hinge(HingeOptions()), miner, store, options, steps=1)

    def batches(self, split: Any) -> WholeShards:
        return WholeShards([self.corpus.shards[number] for number in self.division.shards(split).tolist()])

    def test(self, module: LightningModule, callbacks: list[Any], splits: tuple[str, ...] = ("test",)) -> None:
        with quiet_lightning():
            trainer = Trainer(
                accelerator="cpu", callbacks=callbacks, logger=False, enable_progress_bar=False, enable_checkpointing=False
            )
            trainer.test(module, [self.batches(split) for split in splits], verbose=False)

    def vectors(self, number: int) -> np.ndarray:
        with torch.no_grad():
            vectors: np.ndarray = self.module()(load_shard(self.corpus, number, CPU).features).numpy()
        return vectors


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def at(world: World, radius: float) -> tuple[float, float, float]:
    """Signal efficiency, weighted efficiency and signal purity over the test events, by brute force."""
    signal = found = weight = weight_found = false = 0.0
    for number in world.division.shards("test").tolist():
        pairs = world.corpus.shard(number).pairs
        true = dict(zip(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True), pairs.weight.tolist(), strict=True))
        edges = oracle.within(world.vectors(number), radius)
        near = {pair for pair in zip(edges.query.tolist(), edges.point.tolist(), strict=True) if pair[0] < pair[1]}
        signal += sum(heavy > 0 for heavy in true.values())
        found += sum(true.get(pair, 0) > 0 for pair in near)
        weight += sum(true.values())
        weight_found += sum(true.get(pair, 0) for pair in near)
        false += sum(pair not in true for pair in near)
    return found / signal, weight_found / weight, found / (found + false)


def test_efficiency_and_purity_of_an_architecture_of_its_own(world: World, tmp_path: Path) -> None:
    plain = EmbeddingPurEff(tmp_path / "records" / "plain.json", efficiency=0.9, r_test=0.02)
    heavy = EmbeddingPurEff(tmp_path / "heavy.json", efficiency=0.9, weighted=True)
    world.test(world.module(), [plain, heavy])
    record = json.loads(plain.path.read_text())["test"]
    assert record == json.loads(json.dumps(plain.record["test"]))
    for part, radius in (("r_test", 0.02), ("solved", record["solved"]["radius"])):
        efficiency, weighted, purity = at(world, radius)
        assert record[part]["radius"] == radius
        assert record[part]["signal_efficiency"]["micro"] == pytest.approx(efficiency)
        assert record[part]["weighted_efficiency"]["micro"] == pytest.approx(weighted, rel=1e-5)
        assert record[part]["signal_purity"]["micro"] == pytest.approx(purity, rel=1e-3)
        low, high = record[part]["signal_purity"]["micro_interval_95"]
        assert low <= purity <= high
    assert record["solved"]["signal_efficiency"]["micro"] == pytest.approx(0.9, abs=0.01)
    weighted = heavy.record["test"]["solved"]
    assert weighted["weighted_efficiency"]["micro"] == pytest.approx(0.9, abs=0.01)
    assert weighted["radius"] != record["solved"]["radius"]
    assert heavy.record["test"]["r_test"] is None


def test_figures_and_their_numbers(world: World, tmp_path: Path) -> None:
    world.test(
        world.module(),
        [EmbeddingTelemetry(tmp_path, efficiency=0.9, max_neighbors=20, splits=("train", "test"))],
        ("train", "test"),
    )
    for split in ("train", "test"):
        names = {path.name for path in (tmp_path / split).iterdir()}
        figures = ("purity", "radius", "against_pt", "against_eta", "against_production_radius", "neighbors")
        assert {f"{name}.{kind}" for name in figures for kind in ("pdf", "png")} < names
        assert (tmp_path / split / "purity.pdf").read_bytes().startswith(b"%PDF")
        assert {"scan.parquet", "binned.parquet", "neighbors.parquet", "telemetry.json"} < names
    told = json.loads((tmp_path / "test" / "telemetry.json").read_text())
    near = []
    for number in world.division.shards("test").tolist():
        vectors = world.vectors(number)
        near += np.bincount(oracle.within(vectors, told["radius"]).query, minlength=len(vectors)).tolist()
    assert told["neighbors"]["mean"] == pytest.approx(np.mean(near), rel=1e-3)
    assert told["counted"] == len(near)
    assert told["cut"] == sum(count > 20 for count in near) > 0
    scan = pyarrow.parquet.read_table(tmp_path / "test" / "scan.parquet").to_pandas()
    assert scan["efficiency"].is_monotonic_increasing


def test_one_whole_graph_for_every_event_of_every_split(world: World, tmp_path: Path) -> None:
    splits = ("train", "validation", "test")
    builder = EmbeddingBuilder(tmp_path, radius=0.05, tables=True, models={"filter": "abc"}, splits=splits)
    world.test(world.module(), [builder], splits)
    assert builder.built == len(world.corpus.shards)
    for split in splits:
        for number in world.division.shards(split).tolist():
            name = world.corpus.shards[number].name
            graph = read_graph(graph_path(tmp_path / split, name))
            assert graph.edge_index.shape[1] == len(oracle.within(world.vectors(number), 0.05).query) // 2
            assert (graph.hits.r[graph.edge_index[0]] <= graph.hits.r[graph.edge_index[1]]).all()
            assert set(graph.pedigree.models) == {"filter", "Turned"}
    names = {split: world.corpus.shards[world.division.shards(split)[0]].name for split in splits}
    first, second = (graph_path(tmp_path / split, names[split]) for split in ("train", "test"))
    before = second.read_bytes()
    first.write_bytes(first.read_bytes()[:-40])
    world.test(world.module(), [builder], splits)
    assert builder.built == 1, "only the one that is not whole"
    assert read_graph(first).event
    assert second.read_bytes() == before
    other = EmbeddingBuilder(tmp_path, radius=0.04, splits=splits)
    world.test(world.module(), [other], splits)
    assert other.built == len(world.corpus.shards), "another radius"


def test_what_cannot_be_told_is_said(world: World, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with pytest.raises(UserError, match=r"names 2 splits .* for 1 loaders"):
        world.test(world.module(), [EmbeddingPurEff(path, splits=("train", "test"))])
    with pytest.raises(UserError, match="needs a LayerlessEmbedding"):
        EmbeddingPurEff(path).on_test_start(Trainer(accelerator="cpu", logger=False), LightningModule())
    assert not path.exists()
