"""Labels by neighbours, against loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from likewise.evaluation.classify import Accuracy, Labeled, LeftOut, classify, leave_one_out, vote
from likewise.types import Float32, Float64, Int64, Neighbors


def unit(vectors: np.ndarray) -> Float32:
    scaled: Float32 = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def clusters(items: int = 120, labels: int = 4, noise: float = 1.2, seed: int = 0) -> Labeled:
    """Vectors around a centre for each label, near enough to each other for some to be taken for another's."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, labels, items)
    vectors = random.normal(size=(labels, 6))[codes] + noise * random.normal(size=(items, 6))
    return Labeled(unit(vectors), codes.astype(np.int64), [f"label {code}" for code in range(labels)], np.arange(items))


def brute_force(query: Float64, voters: Float64, codes: Int64, k: int) -> tuple[int, float]:
    """The winner and its share, one vote at a time."""
    cosines = voters @ query
    nearest = np.lexsort((np.arange(len(cosines)), -cosines))[:k]
    sums: dict[int, float] = {}
    for place in nearest:
        sums[int(codes[place])] = sums.get(int(codes[place]), 0.0) + max(float(cosines[place]), 0.0)
    winner = max(sums, key=lambda code: sums[code])  # of equal ones the first met, whose neighbour is nearer
    return winner, sums[winner] / sum(sums.values())


def left_out(labeled: Labeled, k: int = 5, **options: object) -> LeftOut:
    found = leave_one_out(labeled, k, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def accuracy(labeled: Labeled, k: int = 5, **options: object) -> Accuracy:
    return left_out(labeled, k, **options).accuracy


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_new_items_against_brute_force(k: int) -> None:
    labeled = clusters()
    queries = clusters(seed=1).vectors
    votes = classify(queries, labeled, k)
    exact = labeled.vectors.astype(np.float64)
    for row, query in enumerate(queries.astype(np.float64)):
        winner, share = brute_force(query, exact, labeled.codes, k)
        assert votes.winner[row] == winner
        assert votes.share[row] == pytest.approx(share, abs=1e-5)
    assert votes.neighbors.rows.shape == (len(queries), k)


@pytest.mark.parametrize("k", [1, 5])
def test_leave_one_out_against_brute_force(k: int) -> None:
    labeled = clusters()
    alike = labeled.alike.copy()
    alike[60:90] = alike[:30]  # any items may be near-duplicates
    labeled = Labeled(labeled.vectors, labeled.codes, labeled.names, alike)
    found = left_out(labeled, k)
    exact = labeled.vectors.astype(np.float64)
    winners = []
    for row in range(len(labeled)):
        others = alike != alike[row]
        winners.append(brute_force(exact[row], exact[others], labeled.codes[others], k)[0])
    np.testing.assert_array_equal(found.votes.winner, winners)
    right = np.array(winners) == labeled.codes
    assert found.accuracy.accuracy == right.mean()
    assert 0.3 < right.mean() < 0.95  # there is something to be told apart, and something to be confused
    counts = np.zeros((4, 4), np.int64)
    np.add.at(counts, (labeled.codes, np.array(winners)), 1)
    np.testing.assert_array_equal(found.accuracy.matrix(), counts)
    recalls = counts.diagonal() / counts.sum(axis=1)
    assert found.accuracy.mean_recall == pytest.approx(recalls.mean())
    for place, each in enumerate(found.accuracy.labels):
        assert (each.recall, each.precision) == (recalls[place], counts[place, place] / counts[:, place].sum())
    assert found.accuracy.largest == counts.sum(axis=1).max() / len(labeled)
    frequent = [each.items for each in found.accuracy.confusions]
    assert frequent == sorted(frequent, reverse=True)
    assert sum(frequent) == (~right).sum()


def found(scores: list[float], rows: list[int]) -> Neighbors:
    return Neighbors(np.array([rows]), np.array([scores], np.float32), 0.0)


def test_votes_are_weighted_by_similarity() -> None:
    votes = vote(found([0.9, 0.4, 0.4], [0, 1, 2]), np.array([0, 1, 1]))
    assert (votes.winner[0], votes.share[0]) == (0, pytest.approx(0.9 / 1.7))
    votes = vote(found([0.7, 0.4, 0.4], [0, 1, 2]), np.array([0, 1, 1]))
    assert (votes.winner[0], votes.share[0]) == (1, pytest.approx(0.8 / 1.5))


@pytest.mark.parametrize("codes", [[0, 1, 1, 0], [1, 0, 0, 1]])
def test_of_equal_votes_the_nearer_wins(codes: list[int]) -> None:
    votes = vote(found([0.75, 0.5, 0.5, 0.25], [0, 1, 2, 3]), np.array(codes))
    assert votes.winner[0] == codes[0]
    assert votes.share[0] == 0.5


def test_neighbors_that_are_not_alike_at_all_have_equal_votes() -> None:
    votes = vote(found([0.0, -0.2, -0.5], [0, 1, 2]), np.array([0, 1, 1]))
    assert (votes.winner[0], votes.share[0]) == (1, pytest.approx(2 / 3))
    votes = vote(found([0.1, -0.2, -0.5], [0, 1, 2]), np.array([0, 1, 1]))
    assert (votes.winner[0], votes.share[0]) == (0, 1.0)


def test_the_sums_of_many_neighbours_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 40, 500)
    rows = np.stack([rng.permutation(500) for _ in range(7)])
    rows[3, 400:] = -1
    scores = -np.sort(-rng.uniform(0.01, 1, rows.shape).astype(np.float32), axis=1)
    votes = vote(Neighbors(rows, np.where(rows >= 0, scores, -np.inf), 0.0), codes)
    for query in range(7):
        sums = dict.fromkeys(range(40), 0.0)
        for row, score in zip(rows[query], scores[query], strict=True):
            if row >= 0:
                sums[codes[row]] += float(score)
        winner = max(sums, key=lambda code: sums[code])
        assert votes.winner[query] == winner
        assert votes.share[query] == pytest.approx(sums[winner] / sum(sums.values()))


def test_codes_may_be_more_than_items() -> None:
    votes = vote(Neighbors(np.array([[0, 1], [1, 0]]), np.array([[0.9, 0.3], [0.8, 0.2]], np.float32), 0.0), np.array([3, 0]))
    assert votes.winner.tolist() == [3, 0]
    np.testing.assert_allclose(votes.share, [0.75, 0.8], rtol=1e-6)


def test_nobody_may_vote() -> None:
    votes = vote(found([-np.inf, -np.inf], [-1, -1]), np.array([0, 1]))
    assert (votes.winner[0], votes.share[0]) == (-1, 0.0)


def test_near_duplicates_do_not_vote_for_each_other() -> None:
    random = np.random.default_rng(0)
    vectors = unit(np.repeat(random.normal(size=(40, 8)), 3, axis=0) + 0.01 * random.normal(size=(120, 8)))
    codes = np.repeat(random.integers(0, 2, 40), 3).astype(np.int64)  # of looks, which tell nothing of each other
    looks = np.repeat(np.arange(40), 3)
    apart = accuracy(Labeled(vectors, codes, ["a", "b"], looks), 2)
    assert apart.with_near_duplicates == 1.0
    assert apart.accuracy < 0.75
    assert apart.units == 40
    blind = accuracy(Labeled(vectors, codes, ["a", "b"], np.arange(120)), 2)
    assert blind.accuracy == 1.0
    assert blind.with_near_duplicates is None
    low, high = apart.interval_95
    ungrouped_low, ungrouped_high = accuracy(Labeled(vectors[::3], codes[::3], ["a", "b"], np.arange(40)), 2).interval_95
    assert high - low > 0.5 * (ungrouped_high - ungrouped_low)  # three looks at a thing are not three things


def test_what_only_near_duplicates_share_is_not_counted() -> None:
    labeled = clusters(items=60, labels=2)
    codes = labeled.codes.copy()
    codes[:3] = [2, 3, 3]
    alike = labeled.alike.copy()
    alike[2] = alike[1]
    result = left_out(Labeled(labeled.vectors, codes, ["a", "b", "c", "d"], alike))
    assert result.accuracy.alone == 3
    assert result.rows.min() == 3
    assert (result.accuracy.items, result.accuracy.countable, result.accuracy.labeled) == (57, 57, 60)


def test_nothing_can_be_counted() -> None:
    labeled = clusters(items=3, labels=2)
    assert leave_one_out(Labeled(labeled.vectors, np.arange(3), ["a", "b", "c"], np.arange(3)), 5) is None
    assert leave_one_out(clusters(), 5, measured=np.zeros(120, np.bool_)) is None


def test_only_what_is_measured_is_counted_and_all_vote() -> None:
    labeled = clusters()
    measured = np.arange(120) < 30
    some, every = left_out(labeled, measured=measured), left_out(labeled)
    np.testing.assert_array_equal(some.rows, np.arange(30))
    np.testing.assert_array_equal(some.votes.winner, every.votes.winner[:30])


def test_of_many_items_some_are_drawn_with_the_seed() -> None:
    labeled = clusters()
    one, same, other = (left_out(labeled, most=50, seed=seed) for seed in (1, 1, 2))
    assert (one.accuracy.items, one.accuracy.countable) == (50, 120)
    assert one.accuracy == same.accuracy
    assert one.rows.tolist() != other.rows.tolist()


def test_intervals_hold_the_accuracy_and_shrink() -> None:
    few, many = (accuracy(clusters(items=items)) for items in (80, 2000))
    for each in (few, many):
        assert each.interval_95[0] < each.accuracy < each.interval_95[1]
    assert few.interval_95[1] - few.interval_95[0] > 2 * (many.interval_95[1] - many.interval_95[0])


@pytest.mark.parametrize("right", [True, False])
def test_the_interval_where_all_agree_is_the_exact_one(right: bool) -> None:
    vectors = unit(np.repeat([[1.0, 0.0], [0.0, 1.0]], 6, axis=0) + 0.01 * np.random.default_rng(0).normal(size=(12, 2)))
    codes = np.repeat([0, 1], 6) if right else np.tile([0, 1], 6)
    labeled = Labeled(vectors, codes.astype(np.int64), ["a", "b"], np.arange(12))
    if not right:  # of each pair of neighbours one has either label
        labeled = Labeled(
            unit(np.repeat(np.random.default_rng(0).normal(size=(6, 9)), 2, axis=0)), codes, ["a", "b"], np.arange(12)
        )
    result = accuracy(labeled, 1)
    assert result.accuracy == float(right)
    exact = binomtest(12 * right, 12).proportion_ci(method="exact")
    assert result.interval_95 == (pytest.approx(exact.low), pytest.approx(exact.high))
