"""The stage on a small corpus whose right answers are known."""

import json

import numpy as np
import pytest

from likewise.data.evidence import PairEvidence
from likewise.data.split import Division
from likewise.errors import DataError
from likewise.evaluation.evaluate import evaluate, random_negatives
from likewise.evaluation.options import EvaluateOptions
from likewise.testing.artifacts import draft, publish
from likewise.testing.corpora import small_corpus
from likewise.types import SPLITS, Pairs
from likewise.vectors.store import Vectors

OPTIONS = EvaluateOptions(resamples=500, smallest_units=10)
TEST = SPLITS.index("test")


def corpus_of(folder, queries=40, extra=()):
    """Each query shares a word with its document; every fourth has a second positive."""
    pairs = [(f"query number{n} word{n}", f"document about word{n}") for n in range(queries)]
    pairs += [(f"query number{n} word{n}", f"another text for word{n}") for n in range(0, queries, 4)]
    return small_corpus(folder, [*pairs, *extra])


def vectors_of(folder, corpus, *, noise, seed=0, dimension=16):
    """A query's vector is that of its documents, with noise."""
    random = np.random.default_rng(seed)
    group = np.arange(len(corpus))
    for a, b in zip(corpus.pairs.a, corpus.pairs.b, strict=True):
        if corpus.pairs.label[(corpus.pairs.a == a) & (corpus.pairs.b == b)][0] == 1:
            group[b] = group[a]
    centres = np.random.default_rng(1).normal(size=(len(corpus), dimension))
    vectors = centres[group] + noise * random.normal(size=(len(corpus), dimension))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    written = draft(folder, "embed")
    written.write_array("vectors.npy", unit.astype(np.float32))
    written.write_json(
        "space.json", {"space": "test", "dimension": dimension, "distance": "cosine", "keys": {}, "precision": "float32"}
    )
    return publish(written)


def division_of(folder, corpus, test=None):
    """Every query is a test query, or those given."""
    items = np.full(len(corpus), -1, np.int8)
    queries = corpus.rows("query")
    items[queries] = SPLITS.index("train")
    items[queries if test is None else test] = TEST
    written = draft(folder, "split")
    asked = np.full(len(corpus), -1, np.int8)
    asked[corpus.pairs.a[corpus.pairs.label == 1]] = items[corpus.pairs.a[corpus.pairs.label == 1]]
    written.write_array("items.npy", items)
    written.write_array("queries.npy", asked)
    written.write_array("pairs.npy", items[corpus.pairs.a])
    written.write_json("leakage.json", {})
    return Division(publish(written))


def run(folder, corpus, before, after, *, options=OPTIONS, division=None, baselines=None, chosen="trained", **named):
    found = draft(folder, "evaluate")
    division = division or division_of(folder, corpus)
    classes = np.arange(len(corpus))
    evaluate(
        found, options, corpus, division, classes, Vectors(before), Vectors(after), baselines=baselines, chosen=chosen, **named
    )
    return publish(found)


@pytest.fixture
def corpus(tmp_path):
    return corpus_of(tmp_path)


def test_a_clear_gain(tmp_path, corpus):
    start, trained = vectors_of(tmp_path, corpus, noise=1.0), vectors_of(tmp_path, corpus, noise=0.3)
    rival = draft(tmp_path, "baselines")
    rival.write_array("static.npy", Vectors(vectors_of(tmp_path, corpus, noise=3.0)).array)
    found = run(tmp_path, corpus, start, trained, baselines=publish(rival))

    verdict = found.json("verdict.json")
    design = {"metric", "unit", "units", "before", "after", "difference", "interval_95", "verdict", "chosen", "wins", "losses"}
    assert design | {"baselines", "others"} <= set(verdict)
    assert (verdict["verdict"], verdict["metric"], verdict["units"], verdict["unit"]) == ("better", "ndcg@10", 40, "query")
    assert verdict["difference"] == pytest.approx(verdict["after"] - verdict["before"])
    assert [other["metric"] for other in verdict["others"]] == list(OPTIONS.others)
    assert set(verdict["baselines"]) == {"bm25", "static"}
    assert verdict["sentences"][0] == verdict["sentence"]

    systems = found.json("systems.json")
    assert [system["name"] for system in systems["systems"]] == ["start", "trained", "bm25", "static"]
    queries = found.table("queries.parquet")
    assert queries["row"].to_pylist() == corpus.rows("query").tolist()
    for name, system in zip(("before", "after", "bm25", "static"), systems["systems"], strict=True):
        for metric, value in system["metrics"].items():
            assert np.mean(queries[f"{metric} {name}"].to_numpy()) == pytest.approx(value)
    assert systems["systems"][2]["metrics"]["ndcg@10"] == pytest.approx(1.0)  # the shared word gives every answer away
    assert verdict["baselines"]["bm25"]["verdict"] in ("worse", "no difference shown")
    assert verdict["baselines"]["static"]["verdict"] == "better"


def test_results_scores_and_curves_say_the_same(tmp_path, corpus):
    start, trained = vectors_of(tmp_path, corpus, noise=1.0), vectors_of(tmp_path, corpus, noise=0.3)
    found = run(tmp_path, corpus, start, trained)
    queries, results = found.table("queries.parquet"), found.table("results.parquet").to_pylist()
    positives = {(int(a), int(b)) for a, b in zip(corpus.pairs.a, corpus.pairs.b, strict=True)}
    assert {(line["query"], line["row"]) for line in results if line["positive"]} <= positives
    assert not any(line["positive"] for line in results if (line["query"], line["row"]) not in positives)
    for name in ("before", "after"):
        own = [line for line in results if line["system"] == name]
        assert all(line["rank"] <= 10 for line in own)
        first = {line["query"]: line["rank"] for line in reversed(own) if line["positive"]}
        for row, rank in zip(queries["row"].to_pylist(), queries[f"rank {name}"].to_pylist(), strict=True):
            assert first.get(row) == (rank if rank <= 10 else None)
    curves = found.table("curves.parquet")
    for k in (1, 10):
        mean = np.mean(queries[f"recall@{k} after"].to_numpy())
        assert curves["after"][k - 1].as_py() == pytest.approx(mean)

    scores = found.table("scores.parquet").to_pydict()
    after = Vectors(trained).array
    assert len(scores["query"]) == len(corpus.pairs)
    for place in range(len(scores["query"])):
        query, document, negative = (scores[name][place] for name in ("query", "document", "negative"))
        assert (query, document) in positives
        assert (query, negative) not in positives
        assert scores["positive after"][place] == pytest.approx(after[query] @ after[document], abs=1e-6)
        assert scores["random after"][place] == pytest.approx(after[query] @ after[negative], abs=1e-6)
        wrong = [row for row in corpus.rows("document").tolist() if (query, row) not in positives]
        assert scores["hardest after"][place] == pytest.approx((after[wrong] @ after[query]).max(), abs=1e-6)


def test_the_start_was_kept(tmp_path, corpus):
    start = vectors_of(tmp_path, corpus, noise=0.5)
    found = run(tmp_path, corpus, start, start, chosen="start")
    verdict = found.json("verdict.json")
    assert (verdict["verdict"], verdict["difference"], verdict["chosen"]) == ("no difference shown", 0, "start")
    assert "no trained checkpoint was better on validation" in verdict["sentence"]
    assert [system["name"] for system in found.json("systems.json")["systems"]] == ["start", "bm25"]
    assert "BM25" in verdict["sentences"][1]
    untrained = run(tmp_path, corpus, start, start, chosen="start", tried=False)
    assert "nothing was trained" in untrained.json("verdict.json")["sentence"]


def test_bm25_wins_is_said(tmp_path, corpus):
    bad = vectors_of(tmp_path, corpus, noise=5.0)
    found = run(tmp_path, corpus, bad, bad)
    assert any(sentence.startswith("BM25 wins: ") for sentence in found.json("verdict.json")["sentences"])
    assert found.json("verdict.json")["baselines"]["bm25"]["interval_95"][1] < 0


def test_equal_inputs_give_equal_bytes(tmp_path, corpus):
    start, trained = vectors_of(tmp_path, corpus, noise=1.0), vectors_of(tmp_path, corpus, noise=0.5)
    one, two = (run(tmp_path, corpus, start, trained) for _ in range(2))
    assert one.content == two.content


def test_labeled_pairs_are_measured(tmp_path):
    extra = [(f"query number{n} word{n}", f"document about word{(n + 7) % 40}", 0) for n in range(20)]
    corpus = corpus_of(tmp_path, extra=extra)
    start = vectors_of(tmp_path, corpus, noise=0.1)
    pairs = run(tmp_path, corpus, start, start).json("systems.json")["systems"][0]["pairs"]
    assert (pairs["alike"], pairs["not_alike"]) == (50, 20)
    assert pairs["auc"] > 0.95


def test_options_have_an_effect(tmp_path, corpus):
    start, trained = vectors_of(tmp_path, corpus, noise=1.0), vectors_of(tmp_path, corpus, noise=0.3)
    options = EvaluateOptions(metric="map", others=("mrr@3",), baselines=(), resamples=200, smallest_units=41)
    verdict = run(tmp_path, corpus, start, trained, options=options).json("verdict.json")
    assert (verdict["metric"], verdict["baselines"], verdict["verdict"]) == ("map", {}, "too few to tell")
    assert [other["metric"] for other in verdict["others"]] == ["mrr@3"]
    worlds = [{"resamples": 200}, {"resamples": 300}, {"negligible": 1e-6}]
    base = {"baselines": (), "smallest_units": 2}
    same = vectors_of(tmp_path, corpus, noise=1.0, seed=9)
    found = [
        run(tmp_path, corpus, start, same, options=EvaluateOptions(**base, **world)).json("verdict.json") for world in worlds
    ]
    assert found[0]["interval_95"] != found[1]["interval_95"]
    assert found[2]["needed"] > 1_000_000


def test_no_test_query_is_an_error_that_says_what_to_do(tmp_path, corpus):
    start = vectors_of(tmp_path, corpus, noise=1.0)
    nobody = division_of(tmp_path, corpus, test=np.array([], np.int64))
    with pytest.raises(DataError, match=r"raise \[split\] test"):
        run(tmp_path, corpus, start, start, division=nobody)


def test_only_test_queries_are_measured_and_those_without_positives_are_counted(tmp_path):
    corpus = corpus_of(tmp_path, extra=[("a query with only a negative", "document about word1", 0)])
    lonely = corpus.row_of("q40")
    division = division_of(tmp_path, corpus, test=np.array([0, 2, lonely]))
    start = vectors_of(tmp_path, corpus, noise=0.1)
    systems = run(tmp_path, corpus, start, start, division=division).json("systems.json")
    assert (systems["queries"], systems["queries_without_positives"]) == (2, 1)


def test_a_gain_that_is_memory_is_told_apart(tmp_path):
    """Half of the test queries share their document with a training query, and only those get better."""
    pairs = [(f"query number{n}", f"document {n}") for n in range(60)]
    pairs += [(f"training query number{n}", f"document {n}") for n in range(30)]
    corpus = small_corpus(tmp_path, pairs)
    test = np.array([corpus.pairs.a[corpus.pairs.b == corpus.row_of(f"d{n}")].min() for n in range(60)])
    start = vectors_of(tmp_path, corpus, noise=1.5)
    better = np.array(Vectors(start).array)
    for n in range(30):
        better[test[n]] = better[corpus.row_of(f"d{n}")]
    written = draft(tmp_path, "embed")
    written.write_array("vectors.npy", better)
    found = run(tmp_path, corpus, start, publish(written), division=division_of(tmp_path, corpus, test=test))
    unseen, seen = found.json("verdict.json")["parts"]
    assert (unseen["queries"], seen["queries"]) == (30, 30)
    assert (seen["verdict"], unseen["verdict"]) == ("better", "no difference shown")
    assert unseen["difference"] == pytest.approx(0, abs=0.03)
    assert unseen["sentence"].startswith("answers not seen in training: no difference shown: ")
    assert unseen["sentence"] in found.json("verdict.json")["sentences"]
    assert sum(found.table("queries.parquet")["seen"].to_pylist()) == 30


def test_random_negatives_are_never_alike():
    """Documents 3 … 9; query 0 knows all but one, query 1 all, query 2 none."""
    known = [(0, document) for document in range(3, 9)] + [(1, document) for document in range(3, 10)]
    a, b = (np.array(column, np.int64) for column in zip(*known, strict=True))
    evidence = PairEvidence(Pairs(a, b, np.ones(len(a), np.int8), np.ones(len(a), np.float32)), 10)
    chosen = random_negatives(np.repeat([0, 1, 2], 50), np.arange(3, 10), evidence, seed=4)
    assert set(chosen[:50]) == {9}
    assert set(chosen[50:100]) == {-1}
    assert set(chosen[100:]) == set(range(3, 10))


def test_the_verdict_is_plain_json(tmp_path, corpus):
    start = vectors_of(tmp_path, corpus, noise=1.0)
    text = run(tmp_path, corpus, start, start).file("verdict.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)
