from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likewise.data.corpus import Corpus, Shard, items_file
from likewise.testing.artifacts import draft, publish
from likewise.testing.corpora import small_corpus

PAIRS = [("what is rain", "water that falls"), ("what is snow", "frozen water", 0), ("what is rain", "drops")]


def test_rows_follow_the_order_of_reading(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path, PAIRS, ["train", None, "test"], shards=2)
    assert corpus.ids == ["q0", "d0", "q1", "d1", "d2"]
    assert corpus.roles.tolist() == [0, 1, 0, 1, 1]
    assert corpus.rows("query").tolist() == [0, 2]
    assert corpus.rows("document").tolist() == [1, 3, 4]
    assert corpus.shards == (Shard("shard-0", 0, 2), Shard("shard-1", 2, 5))
    assert len(corpus) == 5
    assert corpus.row_of("d1") == 3


def test_pairs_are_rows(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path, PAIRS, ["train", None, "test"])
    pairs = list(zip(corpus.pairs.a.tolist(), corpus.pairs.b.tolist(), corpus.pairs.label.tolist(), strict=True))
    assert pairs == [(0, 1, 1), (2, 3, 0), (0, 4, 1)]
    assert corpus.pairs.a.dtype == np.int64
    assert corpus.pairs.label.dtype == np.int8
    assert corpus.pairs.weight.dtype == np.float32
    assert corpus.pair_splits.tolist() == [0, -1, 2]


def test_an_unknown_id_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        small_corpus(tmp_path, PAIRS).row_of("d9")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 59), max_size=80), st.integers(1, 7), st.sampled_from([1, 300, 1 << 20]))
def test_payloads_come_in_the_order_asked_for(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int], shards: int, budget: int
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    artifact = small_corpus(folder, [(f"query {n}", f"document {n}") for n in range(30)], shards=shards)._artifact
    corpus = Corpus(artifact, budget=budget)
    texts = [text for n in range(30) for text in (f"query {n}", f"document {n}")]
    assert corpus.payload(rows) == [texts[row] for row in rows]
    assert corpus.metadata(rows)["id"].to_pylist() == [corpus.ids[row] for row in rows]


def test_decoded_row_groups_stay_within_the_budget(tmp_path: Path) -> None:
    artifact = small_corpus(tmp_path, [("q" * 1000 + str(n), "d" * 1000) for n in range(40)], shards=8)._artifact
    corpus = Corpus(artifact, budget=12_000)
    corpus.payload(range(len(corpus)))
    assert corpus._parts._bytes <= 12_000
    assert sum(column.nbytes for column in corpus._parts._held.values()) == corpus._parts._bytes


def test_items_are_slices_of_one_shard(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path, [(f"q{n}", f"d{n}") for n in range(20)], shards=3)
    rows = [39, 0, 1, 2, 3, 4, 20, 21]
    slices = list(corpus.items(rows, size=3))
    assert [len(piece) for piece in slices] == [1, 3, 2, 2]
    assert [piece.shard for piece in slices] == ["shard-2", "shard-0", "shard-0", "shard-1"]
    assert [name for piece in slices for name in piece.ids] == [corpus.ids[row] for row in rows]
    assert [text for piece in slices for text in piece.payload] == corpus.payload(rows)
    assert [role for piece in slices for role in piece.columns["role"]] == [
        ("query", "document")[corpus.roles[row]] for row in rows
    ]
    assert sum(len(piece) for piece in corpus.items()) == len(corpus)
    assert list(corpus.items([])) == []


def test_a_column_that_a_shard_lacks_is_null_there(tmp_path: Path) -> None:
    unfinished = draft(tmp_path)
    columns = {"id": ["a"], "text": ["one"], "shard": ["first"]}
    unfinished.write_table(items_file(0), pa.table(columns))
    unfinished.write_table(items_file(1), pa.table({**columns, "id": ["b"], "color": ["red"]}))
    unfinished.write_json("counts.json", {"shards": [{"name": "first", "items": 1}, {"name": "second", "items": 1}]})
    corpus = Corpus(publish(unfinished))
    assert corpus.metadata([1, 0])["color"].to_pylist() == ["red", None]
    assert corpus.roles.tolist() == [1, 1]  # without a role an item is a document


def test_shards_may_be_empty(tmp_path: Path) -> None:
    unfinished = draft(tmp_path)
    table = pa.table({"id": ["a", "b"], "text": ["one", "two"], "role": ["query", "document"], "shard": ["x", "x"]})
    for number, part in enumerate((table.slice(0, 0), table, table.slice(0, 0))):
        unfinished.write_table(items_file(number), part)
    counts = [{"name": f"s{number}", "items": count} for number, count in enumerate((0, 2, 0))]
    unfinished.write_json("counts.json", {"shards": counts})
    corpus = Corpus(publish(unfinished))
    assert corpus.payload([1, 0]) == ["two", "one"]
    assert [piece.shard for piece in corpus.items()] == ["s1"]


def test_a_pickled_corpus_opens_its_files_again(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path, PAIRS)
    corpus.payload([0])
    again = pickle.loads(pickle.dumps(corpus))
    assert again.payload([4, 0]) == ["drops", "what is rain"]
