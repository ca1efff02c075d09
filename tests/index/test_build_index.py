"""The stages that end a recipe: an index, or the vectors alone."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from likewise.index import structure
from likewise.index.build import build_index, keep_vectors
from likewise.index.faiss import FaissIndex
from likewise.index.options import IndexOptions, VectorsOptions
from likewise.testing.artifacts import draft, publish
from likewise.testing.corpora import small_corpus
from likewise.vectors.store import Made, Vectors


@pytest.fixture
def corpus(tmp_path):
    return small_corpus(tmp_path, [(f"question {n % 130}", f"answer {n}") for n in range(400)])


@pytest.fixture
def vectors(tmp_path, corpus, rng):
    embedded = draft(tmp_path, "embed")
    embedded.write_array("vectors.npy", rng.standard_normal((len(corpus), 8)).astype(np.float32))
    about = {
        "space": "a space",
        "dimension": 8,
        "distance": "cosine",
        "keys": {},
        "precision": "float32",
        "cosine_to_float32": 1.0,
    }
    embedded.write_json("space.json", about)
    return Vectors(publish(embedded))


def made(corpus, vectors):
    items = corpus._artifact
    return Made(items=items, model=items, vectors=vectors._artifact, split=None, measured=None)


def built(tmp_path, options, corpus, vectors, seed=0):
    unfinished = draft(tmp_path, "index", seed)
    build_index(unfinished, options, made(corpus, vectors))
    return publish(unfinished)


def test_the_documents_are_found_with_their_texts(tmp_path, corpus, vectors):
    index = FaissIndex.open(built(tmp_path, IndexOptions(), corpus, vectors))
    rows = corpus.rows("document")
    assert (len(index), index.space, index.base_space, index.recall) == (len(rows), "a space", "a space", 1.0)
    hits = index.search(np.array(vectors.array[rows[:5]]), 1)
    assert [found[0] for found in hits.ids] == [corpus.ids[row] for row in rows[:5]]
    assert hits.scores[:, 0] == pytest.approx(1.0)
    about = index.metadata([corpus.ids[rows[3]]])[0]
    assert about["text"] == corpus.payload(rows[3:4])[0]
    assert "role" not in about


def test_real_queries_measure_the_recall(tmp_path, corpus, vectors):
    about = FaissIndex.open(built(tmp_path, IndexOptions(type="ivf", recall_target=0.8), corpus, vectors)).description
    assert (about.measured_on, about.held_out) == ("queries", 130)
    assert about.recall >= 0.8
    few = FaissIndex.open(built(tmp_path, IndexOptions(type="ivf", held_out=110), corpus, vectors)).description
    assert few.held_out == 110


def test_documents_stand_in_for_too_few_queries(tmp_path, rng, vectors, corpus, monkeypatch):
    monkeypatch.setattr("likewise.index.build.FEWEST_QUERIES", 131)
    about = FaissIndex.open(built(tmp_path, IndexOptions(type="ivf"), corpus, vectors)).description
    assert (about.measured_on, about.held_out) == ("documents", 400)


def test_every_option_has_an_effect(tmp_path, corpus, vectors, monkeypatch):
    def description(**options):
        return FaissIndex.open(built(tmp_path, IndexOptions(**options), corpus, vectors)).description

    low, high = (description(type="ivf", recall_target=target) for target in (0.3, 1.0))
    assert low.nprobe < high.nprobe
    assert description(type="ivf", held_out=120).held_out == 120
    assert (description(type="auto").type, description(type="flat").type) == ("flat", "flat")
    monkeypatch.setattr(structure, "EXACT_BELOW", 100)
    assert (description(type="auto").type, description(type="flat").type) == ("ivf", "flat")


def test_a_killed_stage_ends_with_the_same_bytes(tmp_path, corpus, vectors):
    whole = built(tmp_path, IndexOptions(type="ivf"), corpus, vectors)
    interrupted = draft(tmp_path, "index")
    interrupted.write_text("index.faiss", "from an earlier attempt")
    build_index(interrupted, IndexOptions(type="ivf"), made(corpus, vectors))
    assert publish(interrupted).content == whole.content


def test_what_is_whole_is_not_built_again(tmp_path, corpus, vectors, monkeypatch):
    unfinished = draft(tmp_path, "index")
    build_index(unfinished, IndexOptions(), made(corpus, vectors))
    monkeypatch.setattr(FaissIndex, "build", None)
    build_index(unfinished, IndexOptions(), made(corpus, vectors))


def test_keep_vectors(tmp_path, corpus, vectors):
    unfinished = draft(tmp_path, "vectors")
    keep_vectors(unfinished, VectorsOptions(), made(corpus, vectors))
    artifact = publish(unfinished)
    rows = corpus.rows("document")
    assert json.loads(artifact.file("ids.json").read_text()) == [corpus.ids[row] for row in rows]
    assert np.array_equal(artifact.array("embeddings.npy"), vectors.array[rows])


def test_items_that_stand_together_are_not_copied():
    from likewise.index.build import _at

    array = np.arange(20.0, dtype=np.float32).reshape(10, 2)
    assert np.shares_memory(_at(array, np.arange(3, 8)), array)
    assert np.array_equal(_at(array, np.array([1, 4, 9])), array[[1, 4, 9]])
    assert len(_at(array, np.empty(0, dtype=np.int64))) == 0


def test_an_index_says_what_it_is(tmp_path, corpus, vectors):
    said = []
    unfinished = draft(tmp_path, "index")
    unfinished._reporter = SimpleNamespace(said=lambda stage, sentence: said.append(sentence))
    build_index(unfinished, IndexOptions(type="ivf", recall_target=0.5), made(corpus, vectors))
    assert "400 vectors in 10 lists" in said[0]
    assert "on 130 queries" in said[0]
