"""Tuning against a recall counted by hand."""

import numpy as np
import pytest

from likewise.index.structure import build_structure, lists_of, search_structure
from likewise.index.tune import HeldOut, held_out_documents, tune
from likewise.neighbors import oracle


@pytest.fixture
def documents(rng):
    return rng.standard_normal((800, 8)).astype(np.float32)


def recall_by_hand(structure, documents, queries, nprobe, own=None):
    shares = []
    for place, query in enumerate(queries):
        order = [row for row in oracle.nearest(query[None], documents, 11)[0][0] if own is None or row != own[place]][:10]
        _, rows = search_structure(structure, query[None], 11, "cosine", nprobe)
        found = [row for row in rows[0] if own is None or row != own[place]][:10]
        shares.append(len(set(order) & set(found)) / 10)
    return np.mean(shares)


@pytest.mark.parametrize("target", [0.3, 0.7, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("kind", ["queries", "documents"])
def test_the_fewest_lists_that_reach_the_target(target, kind, documents, rng):
    structure = build_structure(documents, "cosine", "ivf", seed=0)
    queries = HeldOut(rng.standard_normal((60, 8)).astype(np.float32))
    held_out = queries if kind == "queries" else held_out_documents(documents, 60, seed=1)
    assert held_out.kind == kind
    tuned = tune(structure, documents, held_out, "cosine", target)
    by_hand = [recall_by_hand(structure, documents, held_out.vectors, n, held_out.own) for n in range(1, lists_of(structure) + 1)]
    assert tuned.nprobe == 1 + next(place for place, recall in enumerate(by_hand) if recall >= target)
    assert tuned.recall == pytest.approx(by_hand[tuned.nprobe - 1])


def test_duplicates_at_the_cut_are_no_misses(rng):
    documents = np.repeat(rng.standard_normal((20, 8)), 40, axis=0).astype(np.float32)
    structure = build_structure(documents, "cosine", "ivf", seed=0)
    assert tune(structure, documents, held_out_documents(documents, 100, seed=0), "cosine", 1.0).recall == 1.0


def test_fewer_documents_than_ten(rng):
    documents = rng.standard_normal((4, 8)).astype(np.float32)
    structure = build_structure(documents, "cosine", "ivf", seed=0)
    assert tune(structure, documents, held_out_documents(documents, 1000, seed=0), "cosine", 0.95).recall == 1.0


def test_held_out_documents_are_drawn_with_the_seed(documents):
    one, same, other = (held_out_documents(documents, 50, seed).own for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert len(set(one.tolist())) == 50
