from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.mining.hard import score
from likewise.mining.kept import KeptBlocks, Mined
from likewise.mining.known import KnownAlike
from likewise.mining.miner import Ground, HardMiner, mine_hard
from likewise.mining.options import MineOptions
from likewise.testing.miners import KnownPairs, check_miner
from mining.reference import Task, mine

STEPS = st.sampled_from([None, -0.5, 0.0, 0.25, 0.5])  # scores are multiples of a half, so that limits are met exactly


@st.composite
def tasks(draw: Any) -> Task:
    """Few items with few directions (many equal scores), some near-duplicates, some without positives; exact in float32."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    items = draw(st.integers(1, 16))
    corners = np.concatenate([np.eye(4) * 2, random.choice([-1.0, 1.0], (6, 4)), np.zeros((1, 4))])  # length 2, or 0
    vectors = corners[random.integers(0, len(corners), items)].astype(np.float32)
    documents = np.flatnonzero(random.random(items) < draw(st.sampled_from([0.0, 0.6, 1.0]))).tolist()
    anchors = np.flatnonzero(random.random(items) < 0.5).tolist()
    classes = np.arange(items)
    for row in range(1, items):
        if random.random() < 0.2:
            classes[row] = classes[random.integers(0, row)]

    def pairs(share: float) -> set[tuple[int, int]]:
        return {(a, b) for a in anchors for b in documents if a != b and random.random() < share}

    stated = pairs(draw(st.sampled_from([0.0, 0.2, 0.6])))
    return Task(vectors, anchors, documents, classes.tolist(), stated, stated | pairs(0.05), pairs(0.1))


@st.composite
def choices(draw: Any) -> MineOptions:
    range_min = draw(st.integers(0, 3))
    window = draw(st.integers(1, 8))
    return MineOptions(
        range_min=range_min,
        range_max=range_min + window,
        num_negatives=draw(st.integers(0, window)),
        max_score=draw(STEPS),
        min_score=draw(STEPS),
        absolute_margin=draw(STEPS),
        relative_margin=draw(STEPS),
        sampling_strategy=draw(st.sampled_from(["top", "random"])),
        suspicious=draw(st.sampled_from([0, 3, 1000])),
    )


def ground_of(task: Task) -> Ground:
    anchors, documents, code = (np.array(rows, dtype=np.int64) for rows in (task.anchors, task.documents, task.classes))
    stated, apart = task.pairs(task.stated), task.pairs(task.negatives)
    known = KnownAlike.of(anchors, task.pairs(task.alike), stated, code, documents)
    keys = np.sort(np.searchsorted(anchors, apart.a) * len(code) + apart.b)
    return Ground(anchors, documents, code, known, stated, keys)


def assert_same(mined: Mined, expected: Any) -> None:
    found = mined.negatives
    assert list(zip(found.anchor.tolist(), found.item.tolist(), found.score.tolist(), found.rank.tolist(), strict=True)) == [
        (anchor, item, pytest.approx(score, abs=1e-6), rank) for anchor, item, score, rank in expected.negatives
    ]
    assert {field.name: getattr(mined.removed, field.name) for field in fields(mined.removed)} == expected.counts
    suspects = mined.suspicious
    assert (
        list(zip(suspects.anchor.tolist(), suspects.negative.tolist(), suspects.positive.tolist(), strict=True))
        == expected.suspicious
    )


@settings(max_examples=200, deadline=None)
@given(task=tasks(), options=choices(), seed=st.integers(0, 2**63), cells=st.integers(1, 60))
def test_equals_loops(task: Task, options: MineOptions, seed: int, cells: int) -> None:
    budget = 1 << 20
    with patch.multiple("likewise.mining.miner", BYTES_PER_CANDIDATE=budget // cells, CELLS_AT_ONCE=1 + cells // 2):
        mined = mine_hard(task.vectors, ground_of(task), options, seed, budget=budget)
    assert_same(mined, mine(task, options, seed))


@settings(max_examples=100, deadline=None)
@given(task=tasks(), options=choices(), seed=st.integers(0, 2**32))
def test_equals_loops_with_a_judge(task: Task, options: MineOptions, seed: int) -> None:
    """A cross-encoder's scores replace the cosines before limits and margins; ranks stay those of the search."""

    def judge(a: Any, b: Any) -> Any:
        return ((a * 7 + b * 13) % 9 - 4) / 2  # with ties, some below zero

    mined = mine_hard(task.vectors, ground_of(task), options, seed, rescore=lambda a, b: judge(a, b).astype(np.float32))
    assert_same(mined, mine(task, options, seed, judge))


@pytest.mark.parametrize("strategy", ["top", "random"])
def test_blocks_do_not_matter(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    vectors = random.standard_normal((300, 16)).astype(np.float32)
    stated = {(int(a), int(b)) for a, b in random.integers([0, 150], [150, 300], (400, 2))}
    stated |= {(0, b) for b in range(150, 290)}
    task = Task(vectors, range(150), range(150, 300), range(300), stated, stated)
    options = MineOptions(num_negatives=4, range_max=20, sampling_strategy=strategy, suspicious=17)
    whole = mine_hard(vectors, ground_of(task), options, 5)
    monkeypatch.setattr("likewise.mining.miner.CELLS_AT_ONCE", 7)
    monkeypatch.setattr("likewise.mining.miner.MOST_ANCHORS", 64)
    small = mine_hard(vectors, ground_of(task), options, 5, budget=1 << 17)
    for part in ("negatives", "suspicious"):
        one, other = getattr(whole, part), getattr(small, part)
        assert all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    assert whole.removed == small.removed
    assert (np.bincount(whole.negatives.anchor) == 4).all()


@pytest.mark.parametrize("judged", [False, True])
def test_an_interrupted_mining_goes_on_with_the_next_block(judged: bool, tmp_path: Path) -> None:
    vectors = np.random.default_rng(4).standard_normal((300, 16)).astype(np.float32)
    stated = {(a, a + 150) for a in range(150)}
    ground = ground_of(Task(vectors, range(150), range(150, 300), range(300), stated, stated))
    options = MineOptions(num_negatives=4, range_max=20, suspicious=17)
    asked: list[int] = []

    def judge(a: Any, b: Any) -> Any:
        asked.append(len(a))
        return ((a * 7 + b * 13) % 9).astype(np.float32)

    def attempt(kept: KeptBlocks | None, *, until: int = 1000) -> Mined:
        def stop(done: int, total: int) -> None:
            if done >= until:
                raise KeyboardInterrupt

        return mine_hard(vectors, ground, options, 5, rescore=judge if judged else None, progress=stop, kept=kept)

    with patch.multiple("likewise.mining.miner", MOST_ANCHORS=40, PAIRS_AT_ONCE=800):
        whole = attempt(None)
        with pytest.raises(KeyboardInterrupt):
            attempt(KeptBlocks(tmp_path), until=80)
        asked.clear()
        with patch("likewise.mining.miner.score", wraps=score) as searched:
            again = attempt(KeptBlocks(tmp_path))
    assert searched.call_count == 2  # 70 of 150 anchors are left
    assert sum(asked) == (150 + 70 * 20 if judged else 0)  # the positives are judged anew
    for part in ("negatives", "suspicious"):
        one, other = getattr(whole, part), getattr(again, part)
        assert all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    assert whole.removed == again.removed


def test_an_anchor_with_many_positives_sees_as_many_candidates_as_others() -> None:
    vectors = np.ones((40, 2), np.float32)
    stated = {(0, b) for b in range(2, 36)} | {(1, 2)}
    task = Task(vectors, [0, 1], range(2, 40), range(40), stated, stated)
    mined = mine_hard(vectors, ground_of(task), MineOptions(num_negatives=3, range_max=4), 0)
    assert mined.negatives.item.tolist() == [36, 37, 38, 3, 4, 5]
    assert mined.removed.known_positive == 35


def test_progress_counts_anchors() -> None:
    task = Task(np.ones((50, 2), np.float32), range(10, 50), range(10), range(50), set(), set())
    told: list[tuple[int, int]] = []
    with patch.multiple("likewise.mining.miner", MOST_ANCHORS=16):
        mine_hard(task.vectors, ground_of(task), MineOptions(), 0, progress=lambda done, total: told.append((done, total)))
    assert told == [(16, 40), (32, 40), (40, 40)]


def test_random_draws_are_even() -> None:
    """Each of ten candidates is drawn as often as any other over many anchors and seeds."""
    vectors = np.ones((1010, 2), np.float32)
    task = Task(vectors, range(10, 1010), range(10), range(1010), set(), set())
    options = MineOptions(num_negatives=2, range_max=10, sampling_strategy="random")
    drawn = np.zeros(10)
    for seed in range(5):
        drawn += np.bincount(mine_hard(vectors, ground_of(task), options, seed).negatives.item, minlength=10)
    assert drawn.sum() == 5 * 2000
    assert ((drawn - 1000) ** 2 / 1000).sum() < 28  # chi-squared with 9 degrees of freedom: 0.1% lies above 27.9


@pytest.mark.parametrize(
    "options",
    [
        MineOptions(num_negatives=3),
        MineOptions(num_negatives=3, range_min=2, range_max=9, sampling_strategy="random"),
        MineOptions(num_negatives=40, range_max=60, relative_margin=0.1, refresh_every=1),
    ],
)
@pytest.mark.parametrize("documents", [None, np.arange(60)])
def test_contract(options: MineOptions, documents: Any) -> None:
    check_miner(lambda: HardMiner(options, documents))


def test_contract_catches_a_miner_that_ignores_evidence() -> None:
    class Careless(HardMiner):
        def propose(self, vectors: Any, anchors: Any, evidence: Any, seed: int) -> Any:
            return super().propose(vectors, anchors, KnownPairs(np.eye(len(vectors), dtype=bool)), seed)

    with pytest.raises(AssertionError, match="known to be alike"):
        check_miner(lambda: Careless(MineOptions(num_negatives=20)))


def test_near_duplicates_of_positives_are_left_out() -> None:
    vectors = np.eye(6, 4, dtype=np.float32)
    vectors[1:] += 1
    classes = np.array([0, 1, 1, 3, 4, 4])
    miner = HardMiner(MineOptions(num_negatives=6), documents=np.arange(1, 6), classes=classes)
    alike = np.zeros((6, 6), dtype=bool)
    alike[0, 1] = True
    assert sorted(miner.propose(vectors, np.array([0]), KnownPairs(alike), 0).item.tolist()) == [3, 4, 5]
