import math
import re

import numpy as np

from likewise.evaluation.lexical import LexicalRanker
from likewise.evaluation.retrieval import RetrievalTask, measure, ranks_within, whole_ranks
from likewise.types import Pairs

DOCUMENTS = [
    "the cat sat on the mat",
    "a dog chased the cat",
    "stock markets fell on Friday, markets fell again",
    "",
    "die Katze saß auf der Matte",
    "a dog chased the cat",
]
QUERIES = ["cat on a mat", "Markets fell; markets", "Katze", "zebra", "!?"]


def task_for(positives):
    a, b = (np.array(column, np.int64) for column in zip(*positives, strict=True))
    pairs = Pairs(a, b + len(QUERIES), np.ones(len(a), np.int8), np.ones(len(a), np.float32))
    queries, documents = np.arange(len(QUERIES)), np.arange(len(QUERIES), len(QUERIES) + len(DOCUMENTS))
    return RetrievalTask.of(queries, documents, pairs, np.arange(len(QUERIES) + len(DOCUMENTS)))


TASK = task_for([(0, 0), (1, 2), (2, 4), (3, 1), (4, 3)])


def words(text):
    return [word for word in re.findall(r"\w+", text.lower()) if len(word) > 1]


def reference(query, k1=1.5, b=0.75):
    """BM25 as Lucene computes it (without its constant factor k1 + 1), in plain Python."""
    documents = [words(text) for text in DOCUMENTS]
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for word in words(query):
            holders = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
            count = document.count(word)
            score += idf * count / (count + k1 * (1 - b + b * len(document) / mean))
        scores.append(score)
    return scores


def test_scores_are_bm25():
    found = LexicalRanker(QUERIES, DOCUMENTS).scores(TASK, 0, len(QUERIES))
    for query, scores in zip(QUERIES, found, strict=True):
        expected = np.array(reference(query))
        np.testing.assert_allclose(np.where(np.isneginf(scores), 0, scores), expected, rtol=1e-5)


def test_documents_without_a_common_word_are_no_answer_and_ties_go_by_row():
    ranker = LexicalRanker(QUERIES, DOCUMENTS)
    rows = ranker.top(TASK, 10).rows
    assert rows.shape == (5, 6)
    assert rows[3].tolist() == rows[4].tolist() == [-1] * 6
    assert rows[0].tolist()[:4] == [5, 7, 6, 10]  # three words; the rare "on"; two equal documents, by row
    assert measure(ranker, TASK, ["recall@100"]).values["recall@100"].tolist() == [1, 1, 1, 0, 0]
    np.testing.assert_array_equal(whole_ranks(ranker, TASK), ranks_within(rows, TASK))


def test_a_cut_list_is_the_head_of_the_full_one():
    ranker = LexicalRanker(QUERIES, DOCUMENTS)
    np.testing.assert_array_equal(ranker.top(TASK, 2).rows, ranker.top(TASK, 6).rows[:, :2])


def test_a_corpus_without_words_answers_nothing():
    ranker = LexicalRanker(QUERIES, ["", "?", "…", "", "", ""])
    assert (ranker.top(TASK, 3).rows == -1).all()
    assert not measure(ranker, TASK, ["map"]).values["map"].any()
