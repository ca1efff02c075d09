"""The stage that keeps one graph per event."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.encoders.fit import load_encoder
from likewise.errors import DataError
from likewise.graphs import stage
from likewise.graphs.files import read_graph
from likewise.graphs.options import GraphResultOptions
from likewise.graphs.stage import keep_graphs
from likewise.neighbors import oracle
from likewise.testing.artifacts import draft, publish
from likewise.vectors.shards import load_shard, vectors_of
from likewise.vectors.store import Made
from small_events import divided, ingested, started


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    items = ingested(folder)
    corpus = Corpus(items)
    split = divided(folder, corpus)
    return Made(items, started(folder, corpus, split), None, split, None)


def kept(folder: Path, made: Made, **options: Any) -> Artifact:
    unfinished = draft(folder, "graph")
    keep_graphs(unfinished, GraphResultOptions(**{"radius": 0.3, **options}), made)
    return publish(unfinished)


def test_every_event_has_its_graph_in_its_split(made: Made, tmp_path: Path) -> None:
    artifact = kept(tmp_path, made)
    listed = artifact.json("graphs.json")
    assert listed["radius"] == 0.3
    splits = [event["split"] for event in listed["events"]]
    assert sorted(splits) == ["test"] * 2 + ["train"] * 3 + ["validation"]
    encoder = load_encoder(made.model)
    corpus = Corpus(made.items)
    names = [shard.name for shard in corpus.shards]
    for event in listed["events"]:
        graph = read_graph(artifact.file(event["file"]))
        shard = load_shard(corpus, names.index(event["event"]), encoder.device)
        expected = oracle.within(vectors_of(encoder, shard).numpy(), 0.3)
        once = expected.query < expected.point
        found = {tuple(sorted(pair)) for pair in graph.edge_index.T.tolist()}
        assert found == set(zip(expected.query[once].tolist(), expected.point[once].tolist(), strict=True))
        assert (event["edges"], event["hits"]) == (len(found), len(shard.shard))
        radius = graph.hits.r
        assert (radius[graph.edge_index[0]] <= radius[graph.edge_index[1]]).all()


def test_options_cap_and_flip(made: Made, tmp_path: Path) -> None:
    plain, capped, turned = kept(tmp_path, made), kept(tmp_path, made, max_neighbors=2), kept(tmp_path, made, flip=True)
    file = plain.json("graphs.json")["events"][0]["file"]
    one, few, other = (read_graph(artifact.file(file)) for artifact in (plain, capped, turned))
    assert 0 < few.edge_index.shape[1] < one.edge_index.shape[1]
    assert few.cut > 0
    inward = other.hits.r[other.edge_index[0]] > other.hits.r[other.edge_index[1]]
    assert 0.3 < inward.mean() < 0.7
    tables = kept(tmp_path, made, tables=True)
    assert sum(name.endswith(".parquet") for name in tables.manifest.files) == 3 * 6


def test_whole_graphs_are_skipped_and_partial_ones_made_again(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = kept(tmp_path, made)
    part = draft(tmp_path, "graph")
    events = [event["file"] for event in whole.json("graphs.json")["events"]]
    for number, file in enumerate(events[:3]):
        (part.path / file).parent.mkdir(parents=True, exist_ok=True)
        content = (whole.path / file).read_bytes()
        (part.path / file).write_bytes(content if number else content[: len(content) // 2])
    kept_at = {file: os.stat(part.path / file).st_mtime_ns for file in events[1:3]}
    again = Draft(part.path, stage="graph")
    keep_graphs(again, GraphResultOptions(radius=0.3), made)
    assert {file: os.stat(part.path / file).st_mtime_ns for file in events[1:3]} == kept_at
    assert publish(again).content == whole.content


def test_a_radius_must_come_from_somewhere(made: Made, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\[result\] has no radius: set one, or add \[evaluate\]"):
        kept(tmp_path, made, radius=None)
    measured = draft(tmp_path, "evaluate")
    measured.write_json("graphs.json", {"systems": {"after": {"radius": 0.25}}})
    solved = Made(made.items, made.model, None, made.split, publish(measured))
    assert kept(tmp_path, solved, radius=None).json("graphs.json")["radius"] == 0.25


def test_without_a_split_all_events_are_kept(made: Made, tmp_path: Path) -> None:
    artifact = kept(tmp_path, Made(made.items, made.model, None, None, None))
    assert {event["split"] for event in artifact.json("graphs.json")["events"]} == {"train"}
    first = np.load(artifact.file(artifact.json("graphs.json")["events"][0]["file"]))
    assert first["edge_index"].dtype == np.int64


def test_tables_that_a_kill_left_unwritten_are_made_up_for(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kept(tmp_path, made, tables=True)
    written = stage.write_tables

    def killed(folder: Path, graph: Any) -> Any:
        raise KeyboardInterrupt

    part = draft(tmp_path, "graph")
    monkeypatch.setattr(stage, "write_tables", killed)
    with pytest.raises(KeyboardInterrupt):
        keep_graphs(part, GraphResultOptions(radius=0.3, tables=True), made)
    monkeypatch.setattr(stage, "write_tables", written)
    again = Draft(part.path, stage="graph")
    keep_graphs(again, GraphResultOptions(radius=0.3, tables=True), made)
    assert publish(again).content == whole.content
