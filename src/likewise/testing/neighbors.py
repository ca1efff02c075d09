"""What every search for nearest neighbors must do: a contract suite against the float64 oracle.

    from likewise.testing.neighbors import check_nearest
    def test_mine() -> None:
        check_nearest(my_nearest)

Shapes: Q queries, N base items, D dimensions, K neighbors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.neighbors import oracle
from likewise.neighbors.rounding import gamma
from likewise.testing.refusals import refused
from likewise.types import Distance, Float32, Float64, Int64, Neighbors

Nearest = Callable[..., Neighbors]  # (queries, base, k, *, distance, exclude) of numpy arrays
DISTANCES: tuple[Distance, ...] = ("cosine", "dot", "euclidean")


@dataclass(frozen=True, slots=True)
class Case:
    """One question with its name; `exclude` holds codes [Q] and [N]."""

    name: str
    queries: Float32
    base: Float32
    k: int
    exclude: tuple[Int64, Int64] | None = None


def check_nearest(nearest: Nearest, *, distances: Sequence[Distance] = DISTANCES, seed: int = 0) -> None:
    """Ask `nearest(queries, base, k, distance=…, exclude=…)` every case; AssertionError with a sentence where it is wrong."""
    for distance in distances:
        for case in cases(np.random.default_rng(seed)):
            found = nearest(case.queries, case.base, case.k, distance=distance, exclude=case.exclude)
            check_answer(found, case, distance)
        _check_refusals(nearest, distance)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    """Questions of all the kinds that go wrong."""

    def normal(*shape: int) -> Float32:
        return rng.standard_normal(shape).astype(np.float32)

    def codes(count: int, groups: int) -> Int64:
        return rng.integers(-1, groups, count)

    queries, base = normal(37, 24), normal(301, 24)
    yield Case("random vectors", queries, base, 10)
    yield Case("k = 1", queries, base, 1)
    yield Case("k = N", queries, base, 301)
    yield Case("k > N", queries, base[:5], 10)
    yield Case("one dimension", normal(9, 1), normal(50, 1), 7)
    yield Case("one query, one item", normal(1, 3), normal(1, 3), 1)
    yield Case("no query", queries[:0], base, 3)
    yield Case("empty base", queries, base[:0], 3)
    yield Case("ragged groups excluded", queries, base, 10, (codes(37, 30), codes(301, 30)))
    yield Case("most of the base excluded", queries, base, 10, (codes(37, 2), codes(301, 2)))
    yield Case("everything excluded", queries, base, 10, (np.zeros(37, dtype=np.int64), np.zeros(301, dtype=np.int64)))
    yield Case("no code is shared", queries, base, 10, (np.full(37, 7), codes(301, 3)))
    yield Case("each leaves itself out", base, base, 4, (np.arange(301), np.arange(301)))
    yield Case("duplicates across the cut", queries, base[rng.integers(0, 12, 301)], 10)
    yield Case("duplicates, excluded", queries, base[rng.integers(0, 6, 301)], 25, (codes(37, 4), codes(301, 4)))
    yield Case("all items equal", queries, np.repeat(base[:1], 301, axis=0), 10)
    yield Case("whole numbers: many ties", rng.integers(-1, 2, (30, 6)).astype(np.float32), _signs(rng, 400, 6), 12)
    zeros = base.copy()
    zeros[::3] = 0
    yield Case("vectors of zeros", np.vstack([queries, np.zeros((2, 24), np.float32)]), zeros, 10)
    yield Case("far from the origin", normal(20, 16) + 1000, normal(300, 16) + 1000, 10)
    yield Case("one item far away", queries, np.vstack([base, base[:1] * 1e4]), 10)
    yield Case("nearly equal", 1 + 1e-4 * normal(20, 16), 1 + 1e-4 * normal(300, 16), 10)
    yield Case("lengths from 1e-3 to 1e3", queries, base * 10 ** rng.uniform(-3, 3, (301, 1)).astype(np.float32), 10)


def check_answer(found: Neighbors, case: Case, distance: Distance) -> None:
    """Compare one answer with the oracle; AssertionError with a sentence where it is wrong."""
    where = f"{case.name} ({distance})"
    rows, scores = np.asarray(found.rows), np.asarray(found.scores)
    shape = (len(case.queries), case.k)
    assert rows.shape == scores.shape == shape, f"{where}: shapes {rows.shape} and {scores.shape}, not {shape}"
    assert rows.dtype == np.dtype(np.int64), f"{where}: rows are {rows.dtype}"
    assert scores.dtype == np.dtype(np.float32), f"{where}: scores are {scores.dtype}"

    exact = oracle.scores(case.queries, case.base, distance)
    allowed = np.ones(exact.shape, dtype=bool)
    if case.exclude is not None:
        asked, codes = case.exclude
        allowed = (asked[:, None] != codes[None, :]) | (asked[:, None] < 0)
    _check_tolerance(found, case, distance, where)
    for query in range(len(case.queries)):
        _check_query(rows[query], scores[query], exact[query], allowed[query], case, found.tolerance, f"{where}, query {query}")


def _check_query(
    rows: Int64, scores: Float32, exact: Float64, allowed: NDArray[np.bool_], case: Case, tolerance: float, where: str
) -> None:
    count = min(case.k, int(allowed.sum()))
    present, score = rows[:count], scores[:count]
    assert (present >= 0).all(), f"{where}: {(rows >= 0).sum()} found of {count} that are allowed"
    assert (rows[count:] == -1).all(), f"{where}: rows after the last must be -1"
    assert (scores[count:] == -np.inf).all(), f"{where}: scores after the last must be -inf"
    if not count:
        return
    assert len(set(present.tolist())) == count, f"{where}: a row is there twice"
    assert allowed[present].all(), f"{where}: row {present[~allowed[present]][0]} is excluded"
    wrong = np.abs(score - exact[present])
    assert wrong.max() <= tolerance, f"{where}: a score is {wrong.max():.3g} off, stated {tolerance:.3g}"
    steps = np.diff(score)
    assert (steps <= 0).all(), f"{where}: scores rise along the row"
    assert (np.diff(present)[steps == 0] > 0).all(), f"{where}: equal scores are not in the order of rows"
    left = np.setdiff1d(np.flatnonzero(allowed), present)
    if len(left):
        missed = exact[left].max() - exact[present].min()
        assert missed <= tolerance, f"{where}: an item nearer by {missed:.3g} is missing, stated {tolerance:.3g}"
        last = present[-1]
        same = left[(case.base[left] == case.base[last]).all(axis=1)]
        assert not len(same) or same.min() > last, f"{where}: row {same.min()} equals row {last} and should come first"


def _check_tolerance(found: Neighbors, case: Case, distance: Distance, where: str) -> None:
    """A bound so wide that it excuses anything is no bound."""
    lengths = [np.linalg.norm(vectors.astype(np.float64), axis=1).max(initial=0) for vectors in (case.queries, case.base)]
    scale = {"cosine": 1.0, "dot": lengths[0] * lengths[1], "euclidean": sum(lengths)}[distance]
    most = 8 * gamma(case.base.shape[1]) * scale + 1e-16
    assert 0 <= found.tolerance <= most, f"{where}: tolerance {found.tolerance:.3g} is more than float32 explains ({most:.3g})"


def _check_refusals(nearest: Nearest, distance: Distance) -> None:
    def ask(queries: Float32, base: Float32, k: int = 1) -> Callable[[], object]:
        return lambda: nearest(queries, base, k, distance=distance, exclude=None)

    good = np.ones((4, 3), dtype=np.float32)
    for value in (np.nan, np.inf):
        bad = good.copy()
        bad[2, 1] = value
        refused(ask(bad, good), f"{value} in a query", "row 2")
        refused(ask(good, bad), f"{value} in the base", "row 2")
    refused(ask(good, good[:, :2].copy()), "a base of another dimension", "dimension")
    refused(ask(good, good, k=0), "k = 0", "k = 0")


def _signs(rng: np.random.Generator, count: int, dimension: int) -> Float32:
    return rng.integers(-1, 2, (count, dimension)).astype(np.float32)
