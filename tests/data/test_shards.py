"""Ingest and split where evidence stays within a shard."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.artifacts.run import Run
from likewise.data.corpus import Corpus
from likewise.data.events.cuts import signal
from likewise.data.events.edges import all_pairs, consecutive_edges
from likewise.data.events.generate import generate, simulate
from likewise.data.events.source import EventsSource, GeneratedEventsSource
from likewise.data.events.trackml_writing import write_trackml
from likewise.data.ingest import ingest
from likewise.data.options import EventsOptions, SplitOptions
from likewise.data.split import Division
from likewise.data.split_shards import divide_shards
from likewise.errors import DataError
from likewise.testing.artifacts import draft, publish
from likewise.testing.sources import check_source
from small_events import CUTS, GENERATOR, divided, generated, ingested


def edges_of(a: np.ndarray, b: np.ndarray) -> set[tuple[int, int]]:
    return {(min(pair), max(pair)) for pair in zip(a.tolist(), b.tolist(), strict=True)}


@pytest.mark.parametrize("edges", ["consecutive", "all_pairs"])
def test_a_shard_holds_its_event(edges: str, tmp_path: Path) -> None:
    corpus = Corpus(ingested(tmp_path, edges=edges))
    assert (corpus.scope, [shard.name for shard in corpus.shards][:2]) == ("shard", ["event000000000", "event000000001"])
    for number in (0, 5):
        event, shard = generate(GENERATOR, number, 0), corpus.shard(number)
        assert (shard.name, shard.start, len(shard)) == (event.name, corpus.shards[number].start, len(event))
        np.testing.assert_array_equal(shard.features, np.stack([event.r, event.phi, event.z], axis=1))
        np.testing.assert_array_equal(shard.columns["particle"], event.particle)
        true = consecutive_edges(event, "module") if edges == "consecutive" else all_pairs(event)
        heavy = shard.pairs.weight > 0
        assert edges_of(shard.pairs.a, shard.pairs.b) == edges_of(true[0], true[1])
        kept = true[:, signal(event, true, CUTS)]
        assert edges_of(shard.pairs.a[heavy], shard.pairs.b[heavy]) == edges_of(kept[0], kept[1])
        assert 0 < kept.shape[1] < true.shape[1], "some are signal, some are masked"


def test_rows_reach_across_shards(tmp_path: Path) -> None:
    corpus = Corpus(ingested(tmp_path))
    rows = np.array([corpus.shards[2].start + 3, 1])
    np.testing.assert_array_equal(corpus.payload(rows), [corpus.shard(2).features[3], corpus.shard(0).features[1]])
    assert corpus.ids[rows[0]].startswith("event000000002/")
    assert sum(len(piece) for piece in corpus.items()) == len(corpus)


def test_weights_by_momentum(tmp_path: Path) -> None:
    corpus = Corpus(ingested(tmp_path, weight_by="pt", largest_weight=2.0))
    shard = corpus.shard(0)
    expected = np.clip(shard.columns["pt"][shard.pairs.a] / CUTS.pt_signal_min, 1, 2)
    heavy = shard.pairs.weight > 0
    np.testing.assert_allclose(shard.pairs.weight[heavy], expected[heavy], rtol=1e-6)
    assert len(np.unique(shard.pairs.weight[heavy])) > 2


def written(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for number in range(count):
        write_trackml(simulate(GENERATOR, number, 0), folder)
    return folder


def test_the_contract_of_sources(tmp_path: Path) -> None:
    check_source(lambda: GeneratedEventsSource(generated(events=2)))
    folder = written(tmp_path / "events", 2)
    check_source(lambda: EventsSource(EventsOptions(path=str(folder))))


def test_written_and_read_back_is_what_was_generated(tmp_path: Path) -> None:
    unfinished = draft(tmp_path, "ingest")
    ingest(unfinished, EventsOptions(path=str(written(tmp_path / "events")), cuts=CUTS))
    read, made = Corpus(publish(unfinished)), Corpus(ingested(tmp_path, events=3))
    for number in range(3):
        one, other = read.shard(number), made.shard(number)
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.pairs.a, other.pairs.a)
        np.testing.assert_array_equal(one.pairs.weight > 0, other.pairs.weight > 0)


def test_a_corrupt_event_stops_the_run_or_is_rejected_and_counted(tmp_path: Path) -> None:
    folder = written(tmp_path / "events")
    hits = folder / "event000000001-hits.csv"
    hits.write_text(hits.read_text(encoding="utf-8").replace("hit_id", "hut_id"), encoding="utf-8")
    with pytest.raises(DataError, match=r"event000000001-hits.csv.*hit_id.*or set on_bad"):
        ingest(draft(tmp_path, "ingest"), EventsOptions(path=str(folder), cuts=CUTS))
    unfinished = draft(tmp_path, "ingest")
    ingest(unfinished, EventsOptions(path=str(folder), cuts=CUTS, on_bad="reject"))
    counts = unfinished.json("counts.json")
    assert (counts["rows"], counts["accepted"], counts["rejected"]) == (3, 2, 1)
    (reject,) = unfinished.table("rejects.parquet").to_pylist()
    assert "event000000001-hits.csv" in reject["file"]
    corpus = Corpus(publish(unfinished))
    assert [len(shard) > 0 for shard in corpus.shards] == [True, False, True]
    division = Division(divided(tmp_path, corpus, validation=0.0, test=0.5))
    assert sorted([*division.shards("train").tolist(), *division.shards("test").tolist()]) == [0, 2]


def test_sample_size_draws_events(tmp_path: Path) -> None:
    folder = written(tmp_path / "events")
    drawn = {tuple(EventsSource(EventsOptions(path=str(folder), sample_size=1), seed=seed).shards()) for seed in range(20)}
    assert len(drawn) == 3
    assert EventsSource(EventsOptions(path=str(folder), prefix="event000000002")).shards() == ["event000000002"]


def test_only_a_new_event_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "events", 2)
    read: list[str] = []
    inner: Callable[..., Any] = EventsSource.read
    monkeypatch.setattr(EventsSource, "read", lambda self, shard: (read.append(shard), inner(self, shard))[1])

    def run() -> Artifact:
        with Run(tmp_path / "run") as r:
            found = r.stage(ingest, EventsOptions(path=str(folder), cuts=CUTS))
        assert found is not None
        return found

    run()
    write_trackml(simulate(GENERATOR, 7, 0), folder)
    read.clear()
    again = run()
    assert read == ["event000000007"]
    shutil.rmtree(tmp_path / "run")
    assert again.manifest.content == run().manifest.content


def test_a_killed_ingest_goes_on_with_the_next_event(tmp_path: Path) -> None:
    whole = ingested(tmp_path)
    part = draft(tmp_path, "ingest")
    shutil.copytree(whole.path / "parts", part.path / "parts")
    for number in (0, 1, 2):
        for name in (f"items-{number:05d}.parquet", f"pairs-{number:05d}.parquet"):
            shutil.copyfile(whole.path / name, part.path / name)
    again = Draft(part.path, stage="ingest")
    ingest(again, generated())
    assert publish(again).content == whole.content


def test_shards_are_divided_whole_and_counted(tmp_path: Path) -> None:
    corpus = Corpus(ingested(tmp_path, events=10))
    artifact = divided(tmp_path, corpus)
    division = Division(artifact)
    found = {split: division.shards(split).tolist() for split in ("train", "validation", "test")}
    assert {split: len(numbers) for split, numbers in found.items()} == {"train": 5, "validation": 2, "test": 3}
    assert sorted(number for numbers in found.values() for number in numbers) == list(range(10))
    report = artifact.json("leakage.json")
    for code, (split, numbers) in enumerate(found.items()):
        rows = sum(len(corpus.shards[number]) for number in numbers)
        assert report[split] == {"units": len(numbers), "items": rows}
        assert int((division.items == code).sum()) == rows


def test_another_seed_divides_otherwise_and_more_events_move_none(tmp_path: Path) -> None:
    corpus, more = Corpus(ingested(tmp_path, events=12)), Corpus(ingested(tmp_path, events=20))

    def held(corpus: Corpus, seed: int) -> list[int]:
        unfinished = draft(tmp_path, "split", seed)
        divide_shards(unfinished, SplitOptions(validation=0.2, test=0.3), corpus)
        return Division(publish(unfinished)).shards("test").tolist()

    tests = {seed: held(corpus, seed) for seed in range(1, 4)}
    assert len({tuple(found) for found in tests.values()}) > 1
    assert [number for number in held(more, 1) if number < 12] == tests[1]


def test_an_empty_split_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    corpus = Corpus(ingested(tmp_path, events=1))
    with pytest.raises(DataError, match=r"leaves no shard for validation: there are 1 units to divide"):
        divided(tmp_path, corpus)
    assert Division(divided(tmp_path, corpus, validation=0.0, test=0.0)).shards("train").tolist() == [0]
