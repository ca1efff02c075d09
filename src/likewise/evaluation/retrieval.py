"""Retrieval: every query ranks every document, and what counts is where its positives stand.

Q queries, M documents, P positives (a query and a document each), N items, K results, D dimensions. Every metric is a
function of the ranks of the positives alone, so that is what a ranker is asked for: from a top-K list (the neighbors), or,
for metrics that look at the whole ranking, by counting the documents that score above each positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from likewise.evaluation.metrics import Metric
from likewise.neighbors.nearest import nearest
from likewise.types import Float32, Float64, Int64, Neighbors, Pairs

BUDGET = 256 << 20  # bytes of scores or comparisons held at once


@dataclass(frozen=True, slots=True)
class RetrievalTask:
    """Who asks, who may answer, and which answers are right.

    `queries` [Q] and `documents` [M, ascending] are item rows. The positives are flat and sorted: `query` [P] is a position in
    `queries`, `document` [P] an item row. `classes` [N] are near-duplicate classes of items. A document of the query's own
    class (the query itself, or its copy) is not an answer and is left out of the ranking, unless it is a known positive.
    `without_positives` counts queries that were asked for but have none; they are not in `queries`.
    """

    queries: Int64
    documents: Int64
    query: Int64
    document: Int64
    classes: Int64
    without_positives: int

    @classmethod
    def of(cls, queries: Int64, documents: Int64, positives: Pairs[Int64], classes: Int64) -> RetrievalTask:
        """The task of the given item rows; pairs with label 1 and a weight are positives, others are passed over."""
        documents = np.unique(documents)
        right = (positives.label == 1) & (positives.weight > 0) & np.isin(positives.a, queries)
        known = np.unique(np.stack([positives.a[right], positives.b[right]], axis=1).astype(np.int64), axis=0)
        assert np.isin(known[:, 1], documents).all(), "a positive is not among the documents"
        asked = np.unique(queries)
        answerable = np.intersect1d(asked, known[:, 0]).astype(np.int64)
        position = np.searchsorted(answerable, known[:, 0]).astype(np.int64)
        missing = len(asked) - len(answerable)
        return cls(answerable, documents.astype(np.int64), position, known[:, 1], np.asarray(classes, dtype=np.int64), missing)

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def counts(self) -> Int64:
        """[Q]: how many positives each query has, at least 1."""
        return np.bincount(self.query, minlength=len(self)).astype(np.int64)

    def is_positive(self, query: Int64, document: Int64) -> NDArray[np.bool_]:
        """Whether each (position in `queries`, item row) is a known positive."""
        stride = len(self.classes)
        known = self.query * stride + self.document  # sorted, as the positives are
        asked = query * stride + document
        place = np.minimum(np.searchsorted(known, asked), len(known) - 1)  # there is a positive wherever there is a query
        found: NDArray[np.bool_] = (document >= 0) & (known[place] == asked)
        return found

    def left_out(self, start: int, stop: int) -> NDArray[np.bool_]:
        """[stop - start, M]: the documents that are no answer to each query of the slice."""
        own = self.classes[self.documents][None, :] == self.classes[self.queries[start:stop]][:, None]
        first, last = np.searchsorted(self.query, [start, stop])
        own[self.query[first:last] - start, np.searchsorted(self.documents, self.document[first:last])] = False
        return np.asarray(own, dtype=np.bool_)


class Ranker(Protocol):
    """Something that scores documents for queries; bigger is closer, -inf is no answer at all."""

    def top(self, task: RetrievalTask, k: int) -> Neighbors:
        """The k best documents of each query, by item row: rows [Q, min(k, M)], ties by row, -1 where there are no more."""
        ...

    def scores(self, task: RetrievalTask, start: int, stop: int) -> Float32:
        """[stop - start, M]: the score of every document for a slice of the queries, -inf where left out."""
        ...


class VectorRanker:
    """Ranks by the cosine of vectors [N, D], row-aligned with the items."""

    def __init__(self, vectors: NDArray[Any]) -> None:
        self.vectors = vectors
        self._documents: tuple[Int64, Float32] | None = None  # of the task whose scores were asked for last

    def top(self, task: RetrievalTask, k: int) -> Neighbors:
        """The nearest documents, exhaustively."""
        k = min(k, len(task.documents))
        queries, base = self._rows(task.queries), self._rows(task.documents)
        own = task.classes[task.queries]
        base_classes = task.classes[task.documents]
        # A query with a positive in its own class must still find that one: it looks at everything, and what is no answer
        # is taken out afterwards. All other queries never see their own class.
        open_class = np.zeros(len(task), dtype=bool)
        open_class[task.query[own[task.query] == task.classes[task.document]]] = True
        rows = np.full((len(task), k), -1, dtype=np.int64)
        scores = np.full((len(task), k), -np.inf, dtype=np.float32)
        tolerance = 0.0
        for members, exclude in ((np.flatnonzero(~open_class), True), (np.flatnonzero(open_class), False)):
            if not len(members):
                continue
            extra = 0 if exclude else _largest_class(own[members], base_classes)
            width = min(k + extra, len(base))
            codes = (own[members], base_classes) if exclude else None
            found = nearest(queries[members], base, width, distance="cosine", exclude=codes)
            named = np.where(found.rows >= 0, task.documents[found.rows], -1)
            if not exclude:
                named = _without_own(task, members, named)
            order = np.argsort(named < 0, axis=1, kind="stable")[:, :k]  # what is no answer goes last, the rest keeps its order
            rows[members] = np.take_along_axis(named, order, axis=1)
            scores[members] = np.where(rows[members] >= 0, np.take_along_axis(found.scores, order, axis=1), -np.inf)
            tolerance = max(tolerance, found.tolerance)
        return Neighbors(rows, scores, tolerance)

    def scores(self, task: RetrievalTask, start: int, stop: int) -> Float32:
        """Cosines of the slice's queries with all documents."""
        if self._documents is None or self._documents[0] is not task.documents:
            self._documents = task.documents, self._rows(task.documents)
        scores: Float32 = self._rows(task.queries[start:stop]) @ self._documents[1].T
        scores[task.left_out(start, stop)] = -np.inf
        return scores

    def _rows(self, rows: Int64) -> Float32:
        return unit_length(np.asarray(self.vectors[rows], dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a ranker achieved: the rank of every positive [P] (1 is best, 0 not found) and each metric per query [Q]."""

    ranks: Int64
    values: dict[str, Float64]

    def mean(self, name: str) -> float:
        """A metric's mean over the queries."""
        return float(self.values[name].mean())


def measure(ranker: Ranker, task: RetrievalTask, names: Sequence[str]) -> Measured:
    """Every named metric of every query [Q] float64. Unknown names raise RecipeError."""
    metrics = [Metric.parse(name) for name in names]
    assert len(task), "no query has a positive"
    if any(metric.kind == "map" and metric.k is None for metric in metrics):
        ranks = whole_ranks(ranker, task)
    else:
        depth = max(metric.k or int(task.counts.max()) for metric in metrics)
        ranks = ranks_within(ranker.top(task, depth).rows, task)
    return Measured(ranks, {metric.name: metric_values(ranks, task, metric) for metric in metrics})


def ranks_within(ranked: Int64, task: RetrievalTask) -> Int64:
    """[P]: the rank (from 1) of each positive in the result lists, item rows [Q, K]; 0 where it is not in them."""
    ranks = np.zeros(len(task.query), dtype=np.int64)
    step = max(1, BUDGET // max(8 * ranked.shape[1], 1))
    for start in range(0, len(ranks), step):
        piece = slice(start, start + step)
        same = ranked[task.query[piece]] == task.document[piece, None]
        ranks[piece] = np.where(same.any(axis=1), same.argmax(axis=1) + 1, 0)
    return ranks


def whole_ranks(ranker: Ranker, task: RetrievalTask) -> Int64:
    """[P]: the rank of each positive among all documents, ties by row; 0 where the ranker does not return it at all."""
    ranks = np.zeros(len(task.query), dtype=np.int64)
    place = np.searchsorted(task.documents, task.document)
    width = len(task.documents)
    step = max(1, BUDGET // (8 * width))
    for start in range(0, len(task), step):
        stop = min(start + step, len(task))
        scores = ranker.scores(task, start, stop)
        first, last = np.searchsorted(task.query, [start, stop])
        for piece in range(first, last, step):  # a query may have many positives
            chosen = slice(piece, min(piece + step, last))
            ranks[chosen] = _count_above(scores[task.query[chosen] - start], place[chosen])
    return ranks


def metric_values(ranks: Int64, task: RetrievalTask, metric: Metric) -> Float64:
    """[Q] float64: one metric of every query, from the ranks [P] of its positives (0 not found).

    As trec_eval and BEIR define them, with binary gains: nDCG divides by the ideal ranking of all known positives cut at K,
    recall and MAP by the number of known positives, precision by K; hit is trec_eval's success. MAP@R is that of Musgrave et
    al., "A metric learning reality check" (2020).
    """
    counts = task.counts
    limit = counts[task.query] if metric.kind == "map@r" else (metric.k or np.iinfo(np.int64).max)
    found = (ranks > 0) & (ranks <= limit)
    query, rank = task.query[found], ranks[found]

    def total(weights: Float64) -> Float64:
        return np.bincount(query, weights=weights, minlength=len(task)).astype(np.float64)

    match metric.kind:
        case "ndcg":
            assert metric.k is not None
            ideal = np.cumsum(1 / np.log2(np.arange(2, min(metric.k, int(counts.max(initial=1))) + 2)))
            best = ideal[np.minimum(counts, metric.k) - 1]
            return np.asarray(total(1 / np.log2(rank + 1)) / best, dtype=np.float64)
        case "recall":
            return total(np.ones(len(rank))) / counts
        case "precision":
            assert metric.k is not None
            return total(np.ones(len(rank))) / metric.k
        case "hit":
            return (total(np.ones(len(rank))) > 0).astype(np.float64)
        case "mrr":
            first = np.zeros(len(task))
            np.maximum.at(first, query, 1 / rank)
            return first
        case "map" | "map@r":
            return total(_precision_at(query, rank)) / counts


def recall_curve(ranks: Int64, task: RetrievalTask, depth: int) -> Float64:
    """[depth] float64: mean recall at 1, 2, … depth, from the ranks [P] of the positives."""
    found = (ranks > 0) & (ranks <= depth)
    share = 1 / task.counts[task.query[found]]
    gained = np.bincount(ranks[found] - 1, weights=share, minlength=depth)
    curve: Float64 = np.cumsum(gained) / len(task)
    return curve


def _precision_at(query: Int64, rank: Int64) -> Float64:
    """The precision of each found positive's query at its rank: (positives up to there) / rank."""
    order = np.lexsort((rank, query))
    sorted_query = query[order]
    first = np.searchsorted(sorted_query, sorted_query, side="left")
    precision = np.empty(len(rank))
    precision[order] = (np.arange(len(rank)) - first + 1) / rank[order]
    return precision


def _count_above(scores: Float32, place: Int64) -> Int64:
    """The rank of the document at `place` [p] in each row of scores [p, M]; 0 where its score is -inf."""
    own = np.take_along_axis(scores, place[:, None], axis=1)
    above = (scores > own).sum(axis=1)
    tied_before = ((scores == own) & (np.arange(scores.shape[1]) < place[:, None])).sum(axis=1)
    ranks: Int64 = np.where(np.isneginf(own[:, 0]), 0, above + tied_before + 1)
    return ranks


def unit_length(vectors: Float32) -> Float32:
    """Vectors [n, D] scaled to length 1; those of length 0 stay as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _largest_class(asked: Int64, base: Int64) -> int:
    """The most documents that share a class with one of the queries."""
    classes, counts = np.unique(base[np.isin(base, asked)], return_counts=True)
    return int(counts.max()) if len(classes) else 0


def _without_own(task: RetrievalTask, members: Int64, rows: Int64) -> Int64:
    """Result rows [q, K] of the queries at `members`, with -1 for documents of the query's own class that are not positives."""
    own = (rows >= 0) & (task.classes[rows] == task.classes[task.queries[members]][:, None])
    answers = task.is_positive(np.broadcast_to(members[:, None], rows.shape), rows)
    cleaned: Int64 = np.where(own & ~answers, -1, rows)
    return cleaned
