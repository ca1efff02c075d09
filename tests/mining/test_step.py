"""Pairs found within a training step, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data.path_evidence import PathEvidence
from likewise.mining.options import StepMineOptions
from likewise.mining.step import StepMiner, distinct, queries_of, training_pairs
from likewise.testing.miners import check_miner
from likewise.types import Int64, Pairs


def event(seed: int, count: int = 60) -> tuple[torch.Tensor, PathEvidence, set[tuple[int, int]], set[tuple[int, int]]]:
    """Vectors, evidence, and the true edges: trained ones and masked ones."""
    random = np.random.default_rng(seed)
    vectors = torch.from_numpy(random.normal(size=(count, 3)).astype(np.float32))
    groups = random.integers(0, 9, count)
    trained, masked = set(), set()
    for particle in range(1, 9):
        hits = np.flatnonzero(groups == particle).tolist()
        (masked if particle < 3 else trained).update(itertools.pairwise(hits))
    edges = sorted(trained | masked)
    a, b = (np.array(side, dtype=np.int64) for side in zip(*edges, strict=True))
    weight = np.array([float(edge in trained) for edge in edges], np.float32)
    pairs: Pairs[Int64] = Pairs(a, b, np.ones(len(a), np.int8), weight)
    return vectors, PathEvidence(pairs, groups.astype(np.int64)), trained, masked


def found_pairs(options: StepMineOptions, seed: int = 0) -> tuple[dict[tuple[int, int], int], set[tuple[int, int]]]:
    vectors, evidence, trained, _ = event(seed)
    pairs = training_pairs(vectors, evidence, StepMiner(options), torch.Generator().manual_seed(1))
    keys = list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    assert keys == sorted(set(keys)), "each pair once, sorted"
    assert all(a < b for a, b in keys)
    assert (pairs.weight > 0).all()
    return dict(zip(keys, pairs.label.tolist(), strict=True)), trained


@pytest.mark.parametrize("queries", ["signal", "noise", "all"])
@pytest.mark.parametrize("radius", [0.3, 1.5])
def test_hard_pairs_are_those_within_the_radius(queries: str, radius: float) -> None:
    options = StepMineOptions(regimes=("hnm",), queries=queries, radius=radius, max_neighbors=60, points_per_batch=None)
    found, trained = found_pairs(options)
    vectors, evidence, _, masked = event(0)
    groups = evidence._groups
    pool = {"signal": evidence.signal, "noise": torch.cat([evidence.signal, evidence.noise]), "all": torch.arange(60)}[queries]
    near = torch.cdist(vectors.double(), vectors.double()) <= radius
    expected = dict.fromkeys(trained, 1)
    for a, b in itertools.combinations(range(60), 2):
        asked = bool((pool == a).any() or (pool == b).any())
        together = bool(groups[a] == groups[b] > 0)
        if asked and bool(near[a, b]) and not together:
            expected[a, b] = 0
    assert found == expected
    assert not masked & set(found)


@pytest.mark.parametrize("most", [1, 4])
def test_the_nearest_however_far(most: int) -> None:
    options = StepMineOptions(regimes=("hnm",), search="nearest", max_neighbors=most, points_per_batch=None)
    found, trained = found_pairs(options)
    vectors, evidence, _, _ = event(0)
    order = torch.cdist(vectors.double(), vectors.double()).argsort(dim=1, stable=True)[:, : most + 1]
    assert set(found) > trained, "a query is its own nearest, and no candidate"
    wanted = {(min(q, p), max(q, p)) for q in evidence.signal.tolist() for p in order[q].tolist() if p != q}
    assert set(found) == trained | {pair for pair in wanted if evidence.label(np.array(pair[:1]), np.array(pair[1:]))[1][0] > 0}


def test_no_more_neighbors_than_asked_and_the_nearest_first() -> None:
    near = StepMineOptions(regimes=("hnm",), radius=9.0, max_neighbors=4, points_per_batch=None)
    nearest = StepMineOptions(regimes=("hnm",), search="nearest", max_neighbors=4, points_per_batch=None)
    assert found_pairs(near)[0] == found_pairs(nearest)[0]


def test_random_pairs_are_drawn_for_each_query() -> None:
    one, trained = found_pairs(StepMineOptions(regimes=("rp",), random_pairs=1, points_per_batch=None))
    many, _ = found_pairs(StepMineOptions(regimes=("rp",), random_pairs=12, points_per_batch=None))
    assert trained <= set(one)
    assert 4 * len(set(one) - trained) < len(set(many) - trained)
    both, _ = found_pairs(StepMineOptions(regimes=("hnm", "rp"), radius=0.5, random_pairs=1, points_per_batch=None))
    assert set(one) <= set(both)


def test_points_per_batch_limits_the_queries() -> None:
    _, evidence, _, _ = event(0)
    generator = torch.Generator().manual_seed(2)
    drawn = queries_of(evidence, StepMineOptions(points_per_batch=7), generator)
    again = queries_of(evidence, StepMineOptions(points_per_batch=7), generator)
    assert len(drawn) == len(set(drawn.tolist())) == 7
    assert set(drawn.tolist()) <= set(evidence.signal.tolist())
    assert drawn.tolist() != again.tolist()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
@settings(max_examples=100, deadline=None)
def test_distinct(pairs: list[tuple[int, int]]) -> None:
    a, b = (torch.tensor([pair[side] for pair in pairs], dtype=torch.int64) for side in (0, 1))
    found = list(zip(*(side.tolist() for side in distinct(a, b, 7)), strict=True))
    assert found == sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})


def test_an_event_without_signal_has_only_what_is_drawn() -> None:
    nothing: Pairs[Int64] = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.float32))
    evidence = PathEvidence(nothing, np.zeros(9, np.int64))
    pairs = training_pairs(torch.zeros(9, 3), evidence, StepMiner(StepMineOptions()), torch.Generator())
    assert len(pairs) == 0


def test_the_contract_of_miners() -> None:
    check_miner(lambda: StepMiner(StepMineOptions(points_per_batch=None)), distance="euclidean")
