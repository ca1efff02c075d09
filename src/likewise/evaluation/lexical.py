"""BM25: documents that share words with the query, rare words counting more. The baseline that a text model should beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bm25s
import numpy as np

from likewise.evaluation.retrieval import BUDGET, RetrievalTask
from likewise.types import Float32, Int64, Neighbors


class LexicalRanker:
    """Ranks documents by BM25 (Lucene's variant, k1 = 1.5, b = 0.75, as bm25s sets them).

    Words are runs of two or more letters or digits in lower case; no stemming and no stop words, so that no language is
    assumed. A document that shares no word with the query is no answer.
    """

    def __init__(self, queries: Sequence[str], documents: Sequence[str]) -> None:
        """Texts of the task's queries [Q] and documents [M], in its order."""
        self._queries: list[list[str]] = _words(queries, return_ids=False)
        self._documents = len(documents)
        self._index: bm25s.BM25 | None = None
        words = _words(documents, return_ids=True)
        if words.vocab:  # bm25s cannot index a corpus without a single word
            self._index = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numpy")
            self._index.index(words, show_progress=False)

    def top(self, task: RetrievalTask, k: int) -> Neighbors:
        """The k best documents of each query; -1 where fewer share a word with it."""
        k = min(k, len(task.documents))
        rows = np.full((len(task), k), -1, dtype=np.int64)
        best = np.full((len(task), k), -np.inf, dtype=np.float32)
        step = max(1, BUDGET // (8 * len(task.documents)))
        for start in range(0, len(task), step):
            stop = min(start + step, len(task))
            for query, scores in enumerate(self.scores(task, start, stop), start):
                places = _highest(scores, k)
                rows[query, : len(places)] = task.documents[places]
                best[query, : len(places)] = scores[places]
        return Neighbors(rows, best, 0.0)

    def scores(self, task: RetrievalTask, start: int, stop: int) -> Float32:
        """BM25 of every document for a slice of the queries, -inf for no answer."""
        scores = np.zeros((stop - start, self._documents), dtype=np.float32)
        if self._index is not None:
            for place, query in enumerate(range(start, stop)):
                known = self._index.get_tokens_ids(self._queries[query])
                if known:
                    scores[place] = self._index.get_scores_from_ids(known)
        scores[(scores <= 0) | task.left_out(start, stop)] = -np.inf
        return scores


def _words(texts: Sequence[str], *, return_ids: bool) -> Any:
    """The words of each text: as strings, or as numbers with their vocabulary."""
    return bm25s.tokenize(list(texts), stopwords=None, stemmer=None, return_ids=return_ids, show_progress=False)


def _highest(scores: Float32, k: int) -> Int64:
    """The places of the k highest finite scores, highest first, ties by place."""
    places = np.flatnonzero(scores > -np.inf)
    if len(places) > k:
        border = np.partition(scores[places], len(places) - k)[len(places) - k]
        places = places[scores[places] >= border]
    order = np.argsort(-scores[places], kind="stable")[:k]
    chosen: Int64 = places[order].astype(np.int64)
    return chosen
