from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest

from likewise.artifacts.run import current
from likewise.data.corpus import Corpus
from likewise.errors import UserError
from likewise.publishing import export as module
from likewise.publishing.export import WRITERS, export
from likewise.types import ROLES


@pytest.fixture(scope="module")
def corpus(trained_run: Path) -> Corpus:
    items = current(trained_run, "ingest")
    assert items is not None
    return Corpus(items)


@pytest.fixture(scope="module")
def vectors(trained_run: Path) -> Any:
    found = current(trained_run, "embed-after")
    assert found is not None
    return np.array(found.array("vectors.npy"))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP", 37)  # so that several pieces are written, the last of them short


def test_numpy(trained_run: Path, corpus: Corpus, vectors: Any, tmp_path: Path) -> None:
    paths = export(trained_run, tmp_path / "out", "numpy")
    assert [path.name for path in paths] == ["embeddings.npy", "ids.json", "metadata.csv"]
    found = np.load(paths[0], allow_pickle=False)
    assert found.dtype == np.float32
    assert np.array_equal(found, vectors)
    assert json.loads(paths[1].read_text()) == list(corpus.ids)
    with paths[2].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(corpus.ids)
    assert [row["role"] for row in rows] == [ROLES[code] for code in corpus.roles]


def test_faiss(trained_run: Path, corpus: Corpus, vectors: Any, tmp_path: Path) -> None:
    paths = {path.suffix: path for path in export(trained_run, tmp_path / "out", "faiss")}
    index = faiss.read_index(str(paths[".faiss"]))
    ids = json.loads(paths[".json"].read_text())
    rows = corpus.rows("document")
    assert ids == [corpus.ids[row] for row in rows]
    query = vectors[corpus.rows("query")[0]]
    scores, places = index.search(query[None], 5)
    expected = vectors[rows].astype(np.float64) @ query.astype(np.float64)
    assert np.allclose(scores[0], np.sort(expected)[::-1][:5], atol=1e-5)
    assert np.allclose(expected[places[0]], scores[0], atol=1e-5)


def test_parquet(trained_run: Path, corpus: Corpus, vectors: Any, tmp_path: Path) -> None:
    (path,) = export(trained_run, tmp_path / "out", "parquet")
    table = pq.read_table(path)
    assert table.column_names == ["id", "text", "role", "shard", "vector"]
    assert table["id"].to_pylist() == list(corpus.ids)
    assert table["text"].to_pylist() == corpus.payload(np.arange(len(corpus)))
    assert np.array_equal(np.array(table["vector"].to_pylist(), dtype=np.float32), vectors)


def test_csv(trained_run: Path, corpus: Corpus, vectors: Any, tmp_path: Path) -> None:
    (path,) = export(trained_run, tmp_path / "out", "csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(corpus.ids)
    assert [row["text"] for row in rows] == corpus.payload(np.arange(len(corpus)))
    assert np.array_equal(np.array([json.loads(row["vector"]) for row in rows], dtype=np.float32), vectors)


def test_jsonl(trained_run: Path, corpus: Corpus, vectors: Any, tmp_path: Path) -> None:
    (path,) = export(trained_run, tmp_path / "out", "jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == list(corpus.ids)
    assert list(rows[0]) == ["id", "text", "role", "shard", "vector"]
    assert np.array_equal(np.array([row["vector"] for row in rows], dtype=np.float32), vectors)


def test_numbers_as_text_are_the_same_numbers() -> None:
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**32, size=(40, 25), dtype=np.uint32).view(np.float32)
    vectors = np.where(np.isfinite(bits), bits, 0).astype(np.float32)
    vectors[0, :4] = [0.0, -0.0, np.finfo(np.float32).tiny / 2, np.finfo(np.float32).max]
    texts = module._as_text(vectors)
    assert np.array_equal(np.array([json.loads(text) for text in texts], dtype=np.float32), vectors)


def test_the_start_where_it_was_kept(kept_run: Path, tmp_path: Path) -> None:
    before = current(kept_run, "embed")
    assert before is not None
    paths = export(kept_run, tmp_path / "out", "numpy")
    assert np.array_equal(np.load(paths[0]), before.array("vectors.npy"))


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_an_existing_target_is_left_alone(trained_run: Path, tmp_path: Path, kind: Any) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="exists; name another folder"):
        export(trained_run, tmp_path, kind)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_leaves_nothing(trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VECTOR", "role")  # as if the data had a column of that name
    with pytest.raises(UserError, match='has a column "role" of its own'):
        export(trained_run, tmp_path / "out", "jsonl")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind(trained_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="use one of numpy, faiss, parquet, csv, jsonl"):
        export(trained_run, tmp_path / "out", "excel")  # type: ignore[arg-type]  # that is the point
