"""True edges of one event as evidence, against brute force."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data.path_evidence import PathEvidence
from likewise.testing.evidence import check_evidence
from likewise.types import Int64, Pairs


@st.composite
def events(draw: Any) -> tuple[Pairs[Int64], Int64]:
    """Particles of hits in a row, some of them masked, and noise."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 14))
    groups = random.integers(0, 4, count)
    a, b, weight = [], [], []
    for particle in range(1, 4):
        hits = random.permutation(np.flatnonzero(groups == particle))
        heavy = random.choice([0.0, 0.5, 2.0])
        for first, second in itertools.pairwise(hits):
            a.append(first)
            b.append(second)
            weight.append(heavy)
    pairs: Pairs[Int64] = Pairs(
        np.array(a, np.int64), np.array(b, np.int64), np.ones(len(a), np.int8), np.array(weight, np.float32)
    )
    return pairs, groups.astype(np.int64)


@settings(max_examples=100, deadline=None)
@given(events())
def test_contract_and_brute_force(event: tuple[Pairs[Int64], Int64]) -> None:
    edges, groups = event
    evidence = PathEvidence(edges, groups)
    check_evidence(evidence, len(groups))
    known = {
        frozenset(pair): weight
        for pair, weight in zip(zip(edges.a.tolist(), edges.b.tolist(), strict=True), edges.weight.tolist(), strict=True)
    }
    every = np.arange(len(groups))
    label, weight = evidence.label(every[:, None], every[None, :])
    for a in every:
        for b in every:
            if frozenset((a, b)) in known and a != b:
                assert (label[a, b], weight[a, b]) == (1, known[frozenset((a, b))])
            elif a == b or (groups[a] == groups[b] > 0):
                assert (label[a, b], weight[a, b]) == (1, 0), "one particle, but no edge: masked"
            else:
                assert (label[a, b], weight[a, b]) == (0, 1)
    assert {frozenset(pair) for pair in zip(*(side.tolist() for side in evidence.edges), strict=True)} == {
        pair for pair, heavy in known.items() if heavy > 0
    }
    assert evidence.signal.tolist() == sorted({hit for pair, heavy in known.items() if heavy > 0 for hit in pair})
    assert evidence.noise.tolist() == np.flatnonzero(groups == 0).tolist()


def test_particle_ids_of_63_bits() -> None:
    groups = np.array([4505867370102784, 2**62 + 1, 4505867370102784, 0])
    pairs: Pairs[Int64] = Pairs(np.array([2]), np.array([0]), np.ones(1, np.int8), np.ones(1, np.float32))
    label, weight = PathEvidence(pairs, groups).label(np.array([0, 0, 1]), np.array([2, 1, 3]))
    assert label.tolist() == [1, 0, 0]
    assert weight.tolist() == [1, 1, 1]


def test_it_moves_to_a_device() -> None:
    pairs: Pairs[Int64] = Pairs(np.array([0]), np.array([1]), np.ones(1, np.int8), np.ones(1, np.float32))
    moved = PathEvidence(pairs, np.array([1, 1, 0])).to(torch.device("cpu"))
    assert (moved.count, [side.tolist() for side in moved.edges]) == (3, [[0], [1]])
