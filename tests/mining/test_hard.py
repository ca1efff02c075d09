from __future__ import annotations

import numpy as np
import pytest

from likewise.mining.hard import Candidates, by_score, candidates_of, choose, draw, filter_candidates
from likewise.mining.options import MineOptions
from mining.reference import draw as reference_draw


def candidates(*scores: float) -> Candidates:
    """One anchor, row 100, with items 0, 1, 2 … of the given falling scores."""
    return candidates_of(np.array([100]), np.arange(len(scores))[None], np.array([scores], np.float32))


def left(options: MineOptions, positive: float, *scores: float) -> list[int]:
    found, _ = filter_candidates(candidates(*scores), np.array([positive], np.float32), None, options)
    return found.item[found.keep].tolist()


def test_absolute_margin_is_met_exactly() -> None:
    assert left(MineOptions(absolute_margin=0.25), 0.75, 0.75, 0.5625, 0.5, 0.25) == [2, 3]


def test_relative_margin_of_a_positive_score() -> None:
    assert left(MineOptions(relative_margin=0.25), 0.5, 0.5, 0.4375, 0.375, -0.5) == [2, 3]


def test_relative_margin_below_zero_asks_for_a_lower_score() -> None:
    """positive · (1 − m) would lie above a positive of −1, and let in what is nearer than the positive."""
    assert left(MineOptions(relative_margin=0.25), -1.0, 0.0, -0.875, -1.0, -1.25, -2.0) == [3, 4]


def test_no_margin_without_a_positive() -> None:
    assert left(MineOptions(relative_margin=0.25, absolute_margin=0.5), np.inf, 0.9, 0.1) == [0, 1]


def test_each_candidate_is_counted_once() -> None:
    options = MineOptions(range_min=1, max_score=0.75, min_score=0.25, absolute_margin=0.0, relative_margin=0.5)
    negative = np.array([[False, True, False, False, False, False, False]])
    found, removed = filter_candidates(
        candidates(1.0, 0.9, 0.875, 0.625, 0.375, 0.25, 0.125), np.array([0.5], np.float32), negative, options
    )
    counted = {name: count for name, count in removed.by_filter.items() if count}
    assert counted == {
        "known_negative": 1, "range_min": 1, "max_score": 1, "min_score": 1, "absolute_margin": 1, "relative_margin": 1,
    }  # fmt: skip
    assert found.item[found.keep].tolist() == [5]


def test_filters_leave_their_input_alone() -> None:
    given = candidates(0.9, 0.1)
    filter_candidates(given, np.array([0.5], np.float32), None, MineOptions(max_score=0.0))
    assert given.keep.all()


def test_missing_candidates_are_never_chosen() -> None:
    given = candidates_of(np.array([7]), np.array([[3, -1, -1]]), np.array([[0.5, -np.inf, -np.inf]], np.float32))
    for strategy in ("top", "random"):
        found = choose(given, MineOptions(num_negatives=2, sampling_strategy=strategy), 0)
        assert (found.anchor.tolist(), found.item.tolist(), found.rank.tolist()) == ([7], [3], [0])


def test_none_asked_gives_none() -> None:
    for strategy in ("top", "random"):
        assert len(choose(candidates(0.9, 0.8), MineOptions(num_negatives=0, sampling_strategy=strategy), 0)) == 0


def test_other_scores_reorder_but_keep_ranks() -> None:
    found = by_score(candidates(0.9, 0.8, 0.7), np.array([[1.0, 3.0, 1.0]], np.float32))
    assert (found.item.tolist(), found.rank.tolist()) == ([[1, 0, 2]], [[1, 0, 2]])


@pytest.mark.parametrize("seed", [0, 1, 2**63 + 5])
def test_draws_equal_integers(seed: int) -> None:
    anchors, items = np.array([0, 1, 2**40]), np.array([[0, 1], [5, 2**33], [3, 3]])
    expected = [[reference_draw(seed, a, b) for b in row] for a, row in zip(anchors.tolist(), items.tolist(), strict=True)]
    assert draw(seed, anchors, items).tolist() == expected


def test_a_draw_depends_on_the_seed_and_on_nothing_else() -> None:
    options = MineOptions(num_negatives=3, range_max=50, sampling_strategy="random")
    given = candidates(*np.linspace(1, 0, 50).tolist())
    first = choose(given, options, 1).item.tolist()
    assert choose(given, options, 1).item.tolist() == first
    assert choose(given, options, 2).item.tolist() != first
    wider = candidates_of(
        np.array([100]), np.append(given.item, [[-1, -1]], 1), np.append(given.score, [[-9, -9]], 1).astype(np.float32)
    )
    assert choose(wider, options, 1).item.tolist() == first
