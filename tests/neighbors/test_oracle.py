"""The oracle against loops over single numbers."""

import math

import numpy as np
import pytest

from likewise.neighbors import oracle


def by_hand(query, item, distance):
    if distance == "euclidean":
        return -math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(query, item, strict=True)))
    product = sum(float(a) * float(b) for a, b in zip(query, item, strict=True))
    if distance == "dot":
        return product
    lengths = math.hypot(*map(float, query)) * math.hypot(*map(float, item))
    return product / lengths if lengths else 0.0


@pytest.mark.parametrize("distance", ["cosine", "dot", "euclidean"])
def test_nearest_equals_loops(distance, rng):
    queries, base = rng.standard_normal((5, 3)), rng.standard_normal((17, 3))
    base[4] = base[9] = base[2]
    base[5] = queries[4] = 0
    asked, codes = rng.integers(-1, 3, 5), rng.integers(-1, 3, 17)
    rows, scores = oracle.nearest(queries, base, 20, distance=distance, exclude=(asked, codes))
    for query in range(5):
        allowed = [row for row in range(17) if asked[query] < 0 or codes[row] != asked[query]]
        expected = sorted(allowed, key=lambda row: (-round(by_hand(queries[query], base[row], distance), 12), row))
        found = [row for row in rows[query].tolist() if row >= 0]
        assert found == expected
        assert scores[query, : len(found)] == pytest.approx([by_hand(queries[query], base[row], distance) for row in found])
        assert (scores[query, len(found) :] == -np.inf).all()


def test_chunks_change_nothing(monkeypatch, rng):
    queries, base = rng.standard_normal((23, 4)), rng.standard_normal((31, 4))
    (rows, scores), near = oracle.nearest(queries, base, 5), oracle.within(base, 1.0)
    monkeypatch.setattr(oracle, "CHUNK_BYTES", 8 * 31 * 2)
    rows_again, scores_again = oracle.nearest(queries, base, 5)
    assert np.array_equal(rows, rows_again)
    assert scores_again == pytest.approx(scores, rel=1e-12)
    again = oracle.within(base, 1.0)
    assert np.array_equal(near.query, again.query)
    assert np.array_equal(near.point, again.point)


def test_within_equals_loops(rng):
    points, queries = rng.standard_normal((40, 3)), rng.standard_normal((10, 3))
    for asked, own in ((queries, False), (points, True)):
        found = oracle.within(points, 1.2, queries=None if own else asked)
        expected = {
            (query, point)
            for query in range(len(asked))
            for point in range(40)
            if math.dist(asked[query], points[point]) <= 1.2 and not (own and query == point)
        }
        assert set(zip(found.query.tolist(), found.point.tolist(), strict=True)) == expected
        assert len(found.query) == len(expected)
        assert found.distance == pytest.approx(
            [math.dist(asked[q], points[p]) for q, p in zip(found.query, found.point, strict=True)]
        )
        assert found.cut == 0


def test_within_keeps_the_nearest_and_counts_what_it_cut(rng):
    points = rng.standard_normal((60, 2))
    everything, cut = oracle.within(points, 1.0), oracle.within(points, 1.0, max_neighbors=3)
    degrees = np.bincount(everything.query, minlength=60)
    assert cut.cut == (degrees > 3).sum() > 0
    for query in range(60):
        nearest = np.sort(everything.distance[everything.query == query])[:3]
        assert np.array_equal(cut.distance[cut.query == query], nearest)


def test_within_of_nothing():
    found = oracle.within(np.empty((0, 3)), 1.0)
    assert (len(found.query), len(found.point), len(found.distance), found.cut) == (0, 0, 0, 0)
