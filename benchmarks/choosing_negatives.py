"""Choosing negatives: 100,000 anchors with 100 candidates each, the search excluded on both sides.

Both sides get the same vectors, the same (anchor, positive) pairs and the same candidates, found once beforehand by an exhaustive
search, and must end with the same negatives, which is checked (but for rounding at the margin, in one of a thousand at most).

- Peer: `sentence_transformers.util.mine_hard_negatives`, run whole. Its model is a stand-in whose `encode` hands out the vectors,
  and its faiss index one whose `search` hands out slices of the candidates, so that neither costs it time.
- Ours: from the pairs and the candidates to a table of (anchor, positive, negative) texts like theirs: what is known to be alike,
  the positives' scores, all filters with their counts, the suspicious candidates, the choice, and the texts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import faiss
import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from sentence_transformers.util import mine_hard_negatives, pairwise_cos_sim

import harness
from likewise.mining.hard import candidates_of
from likewise.mining.known import KnownAlike, PositiveScores
from likewise.mining.miner import Ground, Selector, pair_scores
from likewise.mining.options import MineOptions
from likewise.mining.suspicious import Suspicious
from likewise.neighbors.nearest import nearest
from likewise.types import Float32, Int64, Pairs

DIMENSION = 64
CANDIDATES = 100
NOISE = 0.15  # so that the margin removes candidates of most anchors, and all of some
GOAL = 50.0


@dataclass(frozen=True)
class Workload:
    """Q anchors, rows 0 … Q-1, each with one positive, row Q + i; texts by row; and the candidates of every anchor [Q, K + 1]."""

    vectors: Float32
    texts: list[str]
    rows: Int64
    scores: Float32

    @classmethod
    def of(cls, anchors: int) -> Workload:
        random = np.random.default_rng(0)
        documents = unit(random.standard_normal((anchors, DIMENSION), dtype=np.float32))
        queries = unit(documents + NOISE * random.standard_normal((anchors, DIMENSION), dtype=np.float32))
        texts = [f"query {row}" for row in range(anchors)] + [f"document {row}" for row in range(anchors)]
        found = nearest(queries, documents, CANDIDATES + 1)  # one more: the positive is not a candidate
        return cls(np.concatenate([queries, documents]), texts, found.rows + anchors, found.scores)

    def __len__(self) -> int:
        return len(self.rows)


def unit(vectors: Float32) -> Float32:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ours(work: Workload, texts: pa.Array, options: MineOptions) -> pa.Table:
    count = len(work)
    anchors = np.arange(count)
    every = np.arange(2 * count)
    pairs: Pairs[Int64] = Pairs(anchors, anchors + count, np.ones(count, np.int8), np.ones(count, np.float32))
    known = KnownAlike.of(anchors, pairs, pairs, every, anchors + count)
    ground = Ground(anchors, anchors + count, every, known, pairs, np.empty(0, np.int64))
    positive = PositiveScores.of(anchors, pairs, pair_scores(work.vectors, pairs.a, pairs.b))
    selector = Selector(ground, positive, options, seed=0)
    candidates = candidates_of(anchors, work.rows, work.scores)
    negatives = selector.block(candidates, anchors, Suspicious.nothing()).negatives
    columns = {"anchor": negatives.anchor, "positive": negatives.anchor + count, "negative": negatives.item}
    return pa.table({name: texts.take(pa.array(rows)) for name, rows in columns.items()})


class GivenModel:
    """A model that has all vectors already."""

    device = torch.device("cpu")

    def __init__(self, work: Workload) -> None:
        self.work = work

    def get_embedding_dimension(self) -> int:
        return DIMENSION

    def encode_query(self, texts: list[str], **named: Any) -> Float32:
        return self.work.vectors[: len(self.work)]

    def encode_document(self, texts: list[str], **named: Any) -> Float32:
        return self.work.vectors[len(self.work) :]

    def similarity_pairwise(self, queries: Float32, documents: Float32) -> torch.Tensor:
        return pairwise_cos_sim(queries, documents)


@contextmanager
def given_search(work: Workload) -> Iterator[None]:
    """faiss.IndexFlatIP hands out the candidates that were found before."""

    class Given:
        def __init__(self, dimension: int) -> None:
            self.at = 0

        def add(self, vectors: Float32) -> None: ...

        def search(self, queries: Float32, k: int) -> tuple[Float32, Int64]:
            part = slice(self.at, self.at + len(queries))
            self.at += len(queries)
            assert k == work.rows.shape[1]
            return work.scores[part], work.rows[part] - len(work)

    with patch.object(faiss, "IndexFlatIP", Given):
        yield


def peer(work: Workload, dataset: Dataset, options: MineOptions) -> Dataset:
    with given_search(work):
        return mine_hard_negatives(
            dataset,
            GivenModel(work),
            corpus=work.texts[len(work) :],
            range_min=options.range_min,
            range_max=CANDIDATES,
            relative_margin=options.relative_margin,
            num_negatives=options.num_negatives,
            sampling_strategy=options.sampling_strategy,
            use_faiss=True,
            verbose=False,
        )


def check_same(one: pa.Table, other: pa.Table) -> None:
    left, right = triples(one), triples(other)
    assert len(left ^ right) <= len(right) / 1000, (
        f"the two sides chose other negatives: {len(left - right)} and {len(right - left)}"
    )


def triples(table: pa.Table) -> set[tuple[str, str, str]]:
    return set(zip(*(table[name].to_pylist() for name in ("anchor", "positive", "negative")), strict=True))


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--anchors", type=int, default=100_000)


def main() -> None:
    given = harness.arguments(__doc__, extend=add)
    torch.set_num_threads(given.threads)
    faiss.omp_set_num_threads(given.threads)
    work = Workload.of(2_000 if given.quick else given.anchors)
    texts = pa.array(work.texts)
    count = len(work)
    dataset = Dataset.from_dict({"anchor": work.texts[:count], "positive": work.texts[count:]})
    print(harness.machine())
    ratio = {}
    for strategy in ("random", "top"):
        options = MineOptions(num_negatives=3, range_max=CANDIDATES, relative_margin=0.05, sampling_strategy=strategy)
        mine = partial(ours, work, texts, options)
        one, other = harness.timed(mine, partial(peer, work, dataset, options), repeat=given.repeat)
        ratio[strategy] = (one.seconds, other.seconds)
        faster = other.seconds / one.seconds
        print(f"{strategy}: ours {one.seconds:.3f} s, peer {other.seconds:.2f} s, {faster:.0f}×, {len(one.value):,} triples")
        if strategy == "top":
            check_same(one.value, other.value.data.table)
    harness.result("choosing_negatives", *ratio["top"], GOAL, higher_is_better=False, gated=not given.quick)


if __name__ == "__main__":
    main()
