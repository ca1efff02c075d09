"""Retrieval metrics against plain loops over every query and document."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.evaluation.retrieval import (
    RetrievalTask,
    VectorRanker,
    measure,
    ranks_within,
    recall_curve,
    whole_ranks,
)
from likewise.types import Pairs

NAMES = (
    "ndcg@1",
    "ndcg@3",
    "ndcg@10",
    "recall@1",
    "recall@5",
    "precision@1",
    "precision@4",
    "hit@1",
    "hit@5",
    "mrr@2",
    "mrr@10",
    "map@3",
    "map@10",
    "map@r",
    "map",
)


def pairs_of(known):
    a, b, label, weight = (list(column) for column in zip(*known, strict=True)) if known else ([], [], [], [])
    return Pairs(np.array(a, np.int64), np.array(b, np.int64), np.array(label, np.int8), np.array(weight, np.float32))


@st.composite
def questions(draw):
    """Items with duplicated vectors (exact ties), classes of near-duplicates, and ragged positives."""
    items = draw(st.integers(2, 14))
    shared = draw(st.booleans())
    queries = np.arange(items) if shared else np.arange(draw(st.integers(1, items - 1)))
    documents = np.arange(items) if shared else np.arange(len(queries), items)
    # vectors on axes: cosines are exactly 0 or ±1, so every tie is exact in float32, too
    vectors = np.zeros((items, 3), np.float32)
    for row, (axis, sign) in enumerate(
        draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, -1, 2])), min_size=items, max_size=items))
    ):
        vectors[row, axis] = sign
    classes = np.array(draw(st.lists(st.integers(0, items - 1), min_size=items, max_size=items)), np.int64)
    places = st.tuples(st.sampled_from(list(map(int, queries))), st.sampled_from(list(map(int, documents))))
    known = draw(
        st.lists(st.tuples(places, st.sampled_from([1, 1, 1, 0]), st.sampled_from([1.0, 0.5, 0.0])), min_size=1, max_size=12)
    )
    return vectors, queries, documents, classes, [(a, b, label, weight) for (a, b), label, weight in known]


def reference_ranking(vectors, query, documents, classes, positives):
    """The documents that may answer a query, best first, ties by row."""
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    answers = [d for d in documents if (classes[d] != classes[query] and d != query) or d in positives]
    return sorted(answers, key=lambda d: (-float(unit[query] @ unit[d]), d))


def reference_metric(name, ranking, positives):
    kind, _, cut = name.partition("@")
    k = len(ranking) if not cut else len(positives) if cut == "r" else int(cut)
    hits = [1 if d in positives else 0 for d in ranking[:k]]
    if kind == "ndcg":
        ideal = sum(1 / math.log2(i + 2) for i in range(min(k, len(positives))))
        return sum(hit / math.log2(i + 2) for i, hit in enumerate(hits)) / ideal
    if kind == "recall":
        return sum(hits) / len(positives)
    if kind == "precision":
        return sum(hits) / k
    if kind == "hit":
        return float(any(hits))
    if kind == "mrr":
        return next((1 / (i + 1) for i, hit in enumerate(hits) if hit), 0.0)
    return sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / len(positives)


@settings(max_examples=150, deadline=None)
@given(questions())
def test_every_metric_equals_a_loop(case):
    vectors, queries, documents, classes, known = case
    task = RetrievalTask.of(queries, documents, pairs_of(known), classes)
    positives = {q: {b for a, b, label, weight in known if a == q and label == 1 and weight > 0} for q in map(int, queries)}
    asked = [q for q in map(int, queries) if positives[q]]
    assert task.queries.tolist() == asked
    assert task.without_positives == len(queries) - len(asked)
    if not asked:
        return
    rankings = {q: reference_ranking(vectors, q, map(int, documents), classes, positives[q]) for q in asked}
    listed = VectorRanker(vectors).top(task, len(documents))
    for place, query in enumerate(asked):
        assert [row for row in listed.rows[place].tolist() if row >= 0] == rankings[query]
    expected = {name: [reference_metric(name, rankings[q], positives[q]) for q in asked] for name in NAMES}
    counted = measure(VectorRanker(vectors), task, NAMES)
    searched = measure(VectorRanker(vectors), task, [name for name in NAMES if name != "map"])
    for name in NAMES:
        np.testing.assert_allclose(counted.values[name], expected[name], atol=1e-12, err_msg=name)
        assert counted.values[name].dtype == np.float64
        if name != "map":
            np.testing.assert_allclose(searched.values[name], expected[name], atol=1e-12, err_msg=name)
    curve = recall_curve(counted.ranks, task, len(documents))
    loop = [
        np.mean([reference_metric(f"recall@{k}", rankings[q], positives[q]) for q in asked]) for k in range(1, len(documents) + 1)
    ]
    np.testing.assert_allclose(curve, loop, atol=1e-12)


def random_task(seed, queries=40, documents=200, positives=3):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(queries + documents, 16)).astype(np.float32)
    a = np.repeat(np.arange(queries), positives)
    b = random.integers(queries, queries + documents, len(a))
    pairs = Pairs(a, b, np.ones(len(a), np.int8), np.ones(len(a), np.float32))
    classes = np.arange(queries + documents)
    return vectors, RetrievalTask.of(np.arange(queries), np.arange(queries, queries + documents), pairs, classes)


def test_slices_change_nothing(monkeypatch):
    vectors, task = random_task(1)
    ranker = VectorRanker(vectors)
    top = ranker.top(task, 200).rows
    whole = whole_ranks(ranker, task)
    np.testing.assert_array_equal(whole, ranks_within(top, task))
    monkeypatch.setattr("likewise.evaluation.retrieval.BUDGET", 8 * 200 * 3)
    np.testing.assert_array_equal(whole_ranks(ranker, task), whole)
    np.testing.assert_array_equal(ranks_within(top, task), whole)


def test_the_order_of_queries_and_pairs_does_not_matter():
    vectors, task = random_task(2)
    shuffled = np.random.default_rng(0).permutation(len(task.query))
    pairs = Pairs(
        task.queries[task.query][shuffled],
        task.document[shuffled],
        np.ones(len(shuffled), np.int8),
        np.ones(len(shuffled), np.float32),
    )
    again = RetrievalTask.of(task.queries[::-1], task.documents[::-1], pairs, task.classes)
    for name, values in measure(VectorRanker(vectors), task, NAMES).values.items():
        np.testing.assert_array_equal(values, measure(VectorRanker(vectors), again, NAMES).values[name])


def test_a_positive_in_the_querys_own_class_is_found_and_its_copy_is_not():
    """Row 0 asks; 1 is its known positive and nearly the same text; 2 is another copy, 3 something else."""
    vectors = np.array([[1, 0], [1, 0.01], [1, 0.001], [0, 1]], np.float32)
    classes = np.array([0, 0, 0, 3])
    task = RetrievalTask.of(np.array([0]), np.arange(4), pairs_of([(0, 1, 1, 1.0)]), classes)
    assert VectorRanker(vectors).top(task, 4).rows.tolist() == [[1, 3, -1, -1]]


def test_unknown_metrics_are_refused():
    vectors, task = random_task(3)
    with pytest.raises(ValueError, match="is not a metric"):
        measure(VectorRanker(vectors), task, ["ndcg@10", "hits@3"])


def test_a_cut_beyond_all_documents_costs_nothing():
    task = RetrievalTask.of(np.array([0]), np.array([1, 2]), pairs_of([(0, 1, 1, 1.0)]), np.arange(3))
    vectors = np.eye(3, dtype=np.float32) + 0.1
    assert measure(VectorRanker(vectors), task, ["ndcg@1000000000000"]).mean("ndcg@1000000000000") > 0
