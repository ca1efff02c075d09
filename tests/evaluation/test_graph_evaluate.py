"""The stage `evaluate` for graphs, against the oracle on small events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likewise.artifacts.artifact import Artifact
from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.encoders.fit import load_encoder, save_encoder
from likewise.encoders.hits import HitEncoder
from likewise.evaluation import measurement
from likewise.evaluation.graph_evaluate import evaluate_graphs
from likewise.evaluation.options import GraphEvaluateOptions
from likewise.evaluation.surroundings import count_surroundings
from likewise.neighbors import oracle
from likewise.testing.artifacts import draft, publish
from small_events import divided, ingested, started

OPTIONS = GraphEvaluateOptions(efficiency=0.9, resamples=200, smallest_units=2)


class World:
    def __init__(self, folder: Path, **split: Any) -> None:
        self.folder = folder
        self.corpus = Corpus(ingested(folder, events=8))
        artifact = divided(folder, self.corpus, **split)
        self.division = Division(artifact)
        self.start = started(folder, self.corpus, artifact)

    def trained(self) -> Artifact:
        """A model that stands for a better one: φ counts more than r and z."""
        encoder = load_encoder(self.start)
        assert isinstance(encoder, HitEncoder)
        assert encoder.network is not None
        with torch.no_grad():
            encoder.network[0].weight[:, 1] *= 4
        unfinished = draft(self.folder, "train")
        save_encoder(unfinished, encoder)
        unfinished.write_json("chosen.json", {"chosen": "trained", "step": 3})
        return publish(unfinished)

    def evaluated(self, trained: Artifact | None, options: GraphEvaluateOptions = OPTIONS) -> Artifact:
        unfinished = draft(self.folder, "evaluate")
        evaluate_graphs(unfinished, options, self.corpus, self.division, self.start, trained)
        return publish(unfinished)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"), test=0.5)


def by_oracle(world: World, encoder: Any, raw: bool = False) -> tuple[float, float, float]:
    """The radius for 90% of the signal, signal purity and purity within it, over the test events."""
    graphs, signal_distances = [], []
    for number in world.division.shards("test").tolist():
        shard = world.corpus.shard(number)
        features = torch.from_numpy(np.array(shard.features))
        with torch.no_grad():
            vectors = (encoder.scale_features(features) if raw else encoder(features)).numpy()
        pairs = zip(shard.pairs.a.tolist(), shard.pairs.b.tolist(), strict=True)
        weight = dict(zip(pairs, shard.pairs.weight.tolist(), strict=True))
        graphs.append((vectors, weight))
        signal_distances += [
            np.linalg.norm(vectors[a].astype(np.float64) - vectors[b]) for (a, b), heavy in weight.items() if heavy > 0
        ]
    radius = float(np.sort(signal_distances)[int(np.ceil(0.9 * len(signal_distances))) - 1])
    signal = true = false = 0
    for vectors, weight in graphs:
        edges = oracle.within(vectors, radius * (1 + 1e-6))
        for a, b in zip(edges.query.tolist(), edges.point.tolist(), strict=True):
            if a < b:
                true += (a, b) in weight
                signal += weight.get((a, b), 0) > 0
                false += (a, b) not in weight
    return radius, signal / (signal + false), true / (true + false)


def test_every_system_equals_the_oracle(world: World) -> None:
    trained = world.trained()
    found = world.evaluated(trained).json("graphs.json")["systems"]
    encoders = {"before": load_encoder(world.start), "after": load_encoder(trained), "raw": load_encoder(world.start)}
    for name, encoder in encoders.items():
        radius, signal_purity, purity = by_oracle(world, encoder, raw=name == "raw")
        metrics = found[name]["metrics"]
        assert found[name]["exact"]
        assert found[name]["radius"] == pytest.approx(radius, rel=1e-5)
        assert metrics["signal_efficiency"]["micro"] == pytest.approx(0.9, abs=0.01)
        assert metrics["signal_purity"]["micro"] == pytest.approx(signal_purity, rel=1e-2)
        assert metrics["purity"]["micro"] == pytest.approx(purity, rel=1e-2)


def test_the_verdict_is_about_events_and_says_where_they_come_from(world: World) -> None:
    verdict = world.evaluated(world.trained()).json("verdict.json")
    assert (verdict["metric"], verdict["unit"], verdict["units"], verdict["chosen"]) == ("purity@0.9", "event", 4, "trained")
    assert verdict["interval_95"][0] <= verdict["difference"] <= verdict["interval_95"][1]
    assert set(verdict["baselines"]) == {"raw"}
    assert "held-out events" in verdict["sentences"][0]
    assert "raw features" in verdict["sentences"][1]


def test_a_start_that_was_kept_is_no_change(world: World) -> None:
    verdict = world.evaluated(None).json("verdict.json")
    assert (verdict["chosen"], verdict["difference"]) == ("start", 0.0)


def test_without_held_out_events_it_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, test=0.0, validation=0.0)
    verdict = world.evaluated(world.trained()).json("verdict.json")
    assert verdict["held_out"] is False
    assert "trained on" in verdict["sentences"][0]


def test_curves_and_bins(world: World) -> None:
    artifact = world.evaluated(world.trained())
    scan = artifact.table("scan.parquet").to_pandas()
    for _, curve in scan.groupby("system"):
        assert curve["radius"].is_monotonic_increasing
        assert curve["efficiency"].is_monotonic_increasing
        assert curve["neighbors"].is_monotonic_increasing
    binned = artifact.table("binned.parquet").to_pandas()
    signal = sum((world.corpus.shard(int(number)).pairs.weight > 0).sum() for number in world.division.shards("test"))
    for (_, name), part in binned.groupby(["system", "property"]):
        assert part["total"].sum() == pytest.approx(signal, abs=0.1 * signal), name
        known = part[part["total"] > 0]
        assert ((known["low"] <= known["efficiency"] + 1e-12) & (known["efficiency"] <= known["high"] + 1e-12)).all()


def test_large_events_are_sampled_and_say_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = world.evaluated(None).json("graphs.json")["systems"]["raw"]
    monkeypatch.setattr(measurement, "SAMPLED", 150)
    sampled = world.evaluated(None).json("graphs.json")["systems"]["raw"]
    assert (exact["exact"], sampled["exact"]) == (True, False)
    assert sampled["radius"] == exact["radius"]
    purity = exact["metrics"]["signal_purity"]["micro"]
    assert sampled["metrics"]["signal_purity"]["micro"] == pytest.approx(purity, rel=0.3)


@pytest.mark.parametrize("sampled", [1000, 40])
def test_surroundings_are_counted_around_all_points_or_a_sample(sampled: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
    vectors[7] = vectors[8]
    radii = np.array([0.0, 0.3, 1.0, 9.0])
    found = count_surroundings(torch.from_numpy(vectors), radii, 2, sampled=sampled, seed=1)
    edges = [oracle.within(vectors, radius).query for radius in radii]
    expected = np.array([len(each) / 2 for each in edges])
    assert found.exact == (sampled > 120)
    assert len(found.neighbors) == min(sampled, 120)
    if found.exact:
        np.testing.assert_array_equal(found.pairs, expected)
        np.testing.assert_array_equal(np.sort(found.neighbors), np.sort(np.bincount(edges[2], minlength=120)))
    else:
        assert found.pairs[-1] == expected[-1] == 120 * 119 / 2
        np.testing.assert_allclose(found.pairs[2], expected[2], rtol=0.25)
        assert found.neighbors.mean() == pytest.approx(2 * found.pairs[2] / 120)


def test_no_points_have_no_neighbors() -> None:
    found = count_surroundings(torch.zeros(0, 4), np.array([1.0]), 0, sampled=10, seed=0)
    assert (found.pairs.tolist(), found.neighbors.tolist(), found.exact) == ([0.0], [], True)


def test_a_fixed_radius_is_measured_beside(world: World) -> None:
    told = world.evaluated(world.trained(), OPTIONS.model_copy(update={"radius": 0.37})).json("graphs.json")
    assert told["at_radius"] == 0.37
    encoder = load_encoder(world.start)
    edges = 0
    for number in world.division.shards("test").tolist():
        features = torch.from_numpy(np.array(world.corpus.shard(number).features))
        with torch.no_grad():
            edges += len(oracle.within(encoder(features).numpy(), 0.37).query) // 2
    assert told["systems"]["before"]["at_radius"]["counts"]["edges"] == edges
    assert "at_radius" not in world.evaluated(None).json("graphs.json")["systems"]["before"]


def test_neighbors_of_all_measured_hits_are_kept(world: World) -> None:
    artifact = world.evaluated(None)
    table = artifact.table("neighbors.parquet").to_pandas()
    for name, system in artifact.json("graphs.json")["systems"].items():
        rows = table[table["system"] == name]
        counts = system["metrics"]["counts"]
        assert rows["hits"].sum() == counts["hits"]
        assert (rows["hits"] * rows["neighbors"]).sum() == 2 * counts["edges"]
