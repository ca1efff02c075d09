from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.evaluation.retrieval import RetrievalTask, VectorRanker, measure
from likewise.testing.artifacts import draft, publish
from likewise.testing.corpora import small_corpus
from likewise.training.baselines import baselines
from likewise.types import Float32


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """What is asked in one half of the words is told in the other: only training can tell which belongs to which."""
    generator = np.random.default_rng(0)
    pairs = []
    for number in range(240):
        subjects = generator.choice(30, 3, replace=False)
        pairs.append((" ".join(f"ask{s}" for s in subjects) + f" {number}", " ".join(f"tell{s}" for s in subjects)))
    splits = ["test" if number % 5 == 0 else "train" for number in range(len(pairs))]
    return small_corpus(tmp_path_factory.mktemp("corpus"), pairs, splits)  # type: ignore[arg-type]  # the literals


def vectors_of(folder: Path, corpus: Corpus, seed: int = 0) -> tuple[Float32, Division]:
    split = draft(folder, "split")
    items = np.full(len(corpus), -1, dtype=np.int8)
    items[corpus.pairs.a] = corpus.pair_splits
    for name, values in {"items.npy": items, "queries.npy": items, "pairs.npy": corpus.pair_splits}.items():
        split.write_array(name, values)
    division = Division(publish(split))
    target = draft(folder, "baselines", seed)
    baselines(target, ["static"], corpus, division, np.arange(len(corpus), dtype=np.int64))
    return np.array(publish(target).array("static.npy"), dtype=np.float32), division


def test_static_embeddings_learn(corpus: Corpus, tmp_path: Path) -> None:
    vectors, division = vectors_of(tmp_path, corpus)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    positives = division.positives(corpus, "test")
    task = RetrievalTask.of(division.queries("test"), corpus.rows("document"), positives, np.arange(len(corpus)))
    found = measure(VectorRanker(vectors), task, ["ndcg@10"]).mean("ndcg@10")
    assert found > 0.3  # by chance 0.02: before training no query shares a word with its document


def test_the_same_seed_gives_the_same_bytes(corpus: Corpus, tmp_path: Path) -> None:
    one, two, other = (vectors_of(tmp_path, corpus, seed)[0] for seed in (1, 1, 2))
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()
