"""A small run whose artifacts are real (ingest, evaluate) or written by hand (the rest), with hostile texts in all of them."""

import csv
import io

import numpy as np
import pytest

from likewise.data.split import Division
from likewise.evaluation.evaluate import evaluate
from likewise.evaluation.options import EvaluateOptions
from likewise.testing.artifacts import draft, publish
from likewise.testing.corpora import small_corpus
from likewise.vectors.store import Vectors

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(2)>\'"&{{ 7*7 }}</style>'


def _vectors(folder, corpus, noise, seed):
    random = np.random.default_rng(seed)
    group = np.arange(len(corpus))
    group[corpus.pairs.b] = group[corpus.pairs.a]
    vectors = np.random.default_rng(1).normal(size=(len(corpus), 8))[group] + noise * random.normal(size=(len(corpus), 8))
    written = draft(folder, "embed")
    written.write_array("vectors.npy", (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    written.write_json("space.json", {"space": "s", "dimension": 8, "distance": "cosine", "keys": {}, "precision": "float32"})
    return publish(written)


def _division(folder, corpus):
    written = draft(folder, "split")
    items = np.full(len(corpus), -1, np.int8)
    items[corpus.rows("query")] = 2
    written.write_array("items.npy", items)
    written.write_array("queries.npy", items)
    written.write_array("pairs.npy", np.full(len(corpus.pairs), 2, np.int8))
    written.write_json("leakage.json", {"pairs_dropped": 1, "examples": [{"query": HOSTILE, "document": "d", "reason": "r"}]})
    return publish(written)


def _written(folder, stage, **files):
    out = draft(folder, stage)
    for name, content in files.items():
        name = name.replace("__", ".")
        if isinstance(content, str):
            out.write_text(name, content)
        else:
            out.write_json(name, content)
    return publish(out)


def _suspicious():
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(
        ["query_id", "query", "negative_id", "negative", "negative_score", "positive_id", "positive", "positive_score", "mark"]
    )
    for number in range(30):
        table.writerow(["q", HOSTILE, "n", f"negative {number}", "0.9", "p", HOSTILE, "0.8", ""])
    return out.getvalue()


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """A function of `chosen` giving the finished artifacts of a run by stage."""

    def make(chosen="trained"):
        folder = tmp_path_factory.mktemp("run")
        corpus = small_corpus(folder, [(f"query {n} {HOSTILE}", f"document {n} {HOSTILE} word{n}") for n in range(30)])
        split = _division(folder, corpus)
        before = _vectors(folder, corpus, 1.0, 0)
        after = before if chosen == "start" else _vectors(folder, corpus, 0.5, 1)
        found = draft(folder, "evaluate")
        options = EvaluateOptions(resamples=200)
        vectors = (Vectors(before), Vectors(after))
        classes = np.arange(len(corpus))
        evaluate(found, options, corpus, Division(split), classes, *vectors, baselines=None, chosen=chosen)
        metrics = "step,loss,ndcg@10\n2,1.5,\n4,1.2,\n4,,0.61\n8,0.9,\n8,,0.58\n"
        choice = {"chosen": chosen, "step": 4, "metric": "ndcg@10", "start": 0.5, "best": 0.61, "guard": {"metric": "recall@100"}}
        return {
            "ingest": corpus._artifact,
            "fingerprint": _written(folder, "fingerprint", counts__json={"items": 60, "joined": 2}),
            "split": split,
            "mine": _written(folder, "mine", mining__json={"removed": {"known_positive": 3}}, suspicious__csv=_suspicious()),
            "train": _written(folder, "train", chosen__json=choice, metrics__csv=metrics),
            "evaluate": publish(found),
        }

    return make


@pytest.fixture(scope="session")
def finished(make_run):
    """The artifacts of a run in which training helped."""
    return make_run()


@pytest.fixture(scope="session")
def hostile():
    """A text that tries to be more than text."""
    return HOSTILE
