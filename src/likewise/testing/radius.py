"""What every search within a radius must do: a contract suite against the float64 oracle.

    from likewise.testing.radius import check_within
    def test_mine() -> None:
        check_within(my_within)

Coordinates are chosen so that ties in distance are ties in float64, too: the answers must be those of the oracle, edge by edge.

Shapes: N points, Q queries, D dimensions, E edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from likewise.neighbors import oracle
from likewise.testing.refusals import refused
from likewise.types import Edges, Float32, Int64

Within = Callable[..., Edges[Any]]  # (points, radius, *, queries, max_neighbors, each_pair_once) of numpy arrays
DIMENSIONS = (1, 2, 3, 8, 12, 17, 64)
CAPS = (1, 7, 100)  # of neighbors; also asked: all


@dataclass(frozen=True, slots=True)
class Case:
    """One question with its name."""

    name: str
    points: Float32
    radius: float
    queries: Float32 | None = None


def check_within(within: Within, *, dimensions: Sequence[int] = DIMENSIONS, seed: int = 0) -> None:
    """Ask `within(points, radius, queries=…, max_neighbors=…, each_pair_once=…)` every case, in each of the ways to ask it.

    AssertionError with a sentence where an answer is wrong.
    """
    for dimension in dimensions:
        for case in cases(dimension, np.random.default_rng(seed)):
            check_case(within, case)
        _check_refusals(within, dimension)


def check_case(within: Within, case: Case) -> None:
    """All neighbors, the nearest few, and, where points ask about each other, each pair once."""
    where = f"{case.name}, {case.points.shape[1]} dimensions, radius {case.radius:.9g}"
    for most in (None, *CAPS):
        found = within(case.points, case.radius, queries=case.queries, max_neighbors=most)
        expected = oracle.within(case.points, case.radius, queries=case.queries, max_neighbors=most)
        _check_edges(found, expected, f"{where}, {'all neighbors' if most is None else f'at most {most}'}")
    if case.queries is None:
        found = within(case.points, case.radius, each_pair_once=True)
        _check_edges(found, _once(oracle.within(case.points, case.radius)), f"{where}, each pair once")


def cases(dimension: int, rng: np.random.Generator) -> Iterator[Case]:
    """Questions of all the kinds that go wrong."""

    def normal(count: int) -> Float32:
        return rng.standard_normal((count, dimension)).astype(np.float32)

    points, queries = normal(280), normal(70)
    usual = math.sqrt(dimension)  # about half of the pairs are nearer than √2 of this
    for share in (0.5, 1.0, 1.5):
        yield Case("random points", points, share * usual)
        yield Case("random queries", points, share * usual, queries)
    yield Case("few queries, many points", normal(9000), 0.5 * usual, queries)
    yield Case("many queries, few points", points[:70], 0.5 * usual, normal(2000))
    yield Case("everything within", points, 100 * usual)
    yield Case("nothing within", points, 1e-6)
    yield Case("radius 0", points, 0.0)
    yield Case("radius 0 among duplicates", np.repeat(points[:20], 9, axis=0), 0.0)
    yield Case("no points", points[:0], 1.0)
    yield Case("no points, some queries", points[:0], 1.0, queries)
    yield Case("no queries", points, 1.0, queries[:0])
    yield Case("one point", points[:1], 1.0)
    yield Case("64 points, one leaf", points[:64], usual)
    yield Case("65 points, one leaf and one point", points[:65], usual)
    yield Case("all points equal", np.repeat(points[:1], 200, axis=0), 0.5)
    copies = np.vstack([np.repeat(points[:2], 150, axis=0), points[2:40]])
    yield Case("150-fold duplicates", copies[rng.permutation(len(copies))], 0.8 * usual)
    yield Case("queries among the points", points, usual, points[::3].copy())
    lattice = (rng.integers(-2, 3, (280, dimension)) / 4).astype(np.float32)
    for steps in (1, 2, 4):
        yield Case("lattice, ties at the radius", lattice, math.sqrt(steps) / 4)
    yield Case("lattice, other lattice", lattice, 0.5, (rng.integers(-2, 3, (70, dimension)) / 4).astype(np.float32))
    yield Case("far from the origin", normal(280) + 1000, usual)
    yield Case("two clouds far apart", np.vstack([points[:150], points[150:] + 1e6]), usual)
    yield Case("squares below float32", points * np.float32(1e-25), 1e-25 * usual)
    yield Case("squares near the end of float32", points * np.float32(1e17), 1e17 * usual)
    yield Case("a radius beyond float32", points, 1e30)
    grid = np.round(points[:150] * 1024) / np.float32(1024)  # sums of squares are exact in float64, in any order
    apart = oracle.within(grid, 2 * usual).distance
    for radius in np.sort(apart)[:: max(1, len(apart) // 4)].tolist()[1:]:
        yield Case("a radius that one pair has exactly", grid, radius)
        yield Case("a radius just below a pair's", grid, math.nextafter(radius, 0))


def _check_edges(found: Edges[Any], expected: Edges[Any], where: str) -> None:
    query, point, distance = (np.asarray(column) for column in (found.query, found.point, found.distance))
    for name, column, kind in (("query", query, np.int64), ("point", point, np.int64), ("distance", distance, np.float32)):
        assert column.dtype == np.dtype(kind), f"{where}: {name} is {column.dtype}"
    assert len(query) == len(point) == len(distance), f"{where}: columns of lengths {len(query)}, {len(point)}, {len(distance)}"
    assert found.cut == expected.cut, f"{where}: {found.cut} queries were cut, not {expected.cut}"
    if not (np.array_equal(query, expected.query) and np.array_equal(point, expected.point)):
        raise AssertionError(f"{where}: {_difference(query, point, expected)}")
    nearest = expected.distance.astype(np.float32)
    off = np.abs(distance.astype(np.float64) - nearest) > np.spacing(nearest)
    assert not off.any(), f"{where}: distance {distance[off][0]} should be {nearest[off][0]}"


def _difference(query: Int64, point: Int64, expected: Edges[Any]) -> str:
    pairs = set(zip(query.tolist(), point.tolist(), strict=True))
    wanted = set(zip(expected.query.tolist(), expected.point.tolist(), strict=True))
    if len(pairs) < len(query):
        return f"{len(query) - len(pairs)} edges are there twice"
    if pairs - wanted:
        return f"{min(pairs - wanted)} is not an edge, nor are {len(pairs - wanted) - 1} more"
    if wanted - pairs:
        return f"{min(wanted - pairs)} is missing, as are {len(wanted - pairs) - 1} more"
    odd = np.flatnonzero((query != expected.query) | (point != expected.point))[0]
    return f"edge {odd} should be ({expected.query[odd]}, {expected.point[odd]}): wrong order"


def _once(edges: Edges[Any]) -> Edges[Any]:
    """Each pair one time, by query and point."""
    kept = np.flatnonzero(edges.query < edges.point)
    kept = kept[np.lexsort((edges.point[kept], edges.query[kept]))]
    return replace(edges, query=edges.query[kept], point=edges.point[kept], distance=edges.distance[kept])


def _check_refusals(within: Within, dimension: int) -> None:
    good = np.ones((4, dimension), dtype=np.float32)
    for value in (np.nan, np.inf, -np.inf, 3e38):
        bad = good.copy()
        bad[2, dimension - 1] = value
        refused(partial(within, bad, 1.0), f"{value} in a point", "row 2")
        refused(partial(within, good, 1.0, queries=bad), f"{value} in a query", "row 2")
    for radius in (-1.0, math.nan, math.inf):
        refused(partial(within, good, radius), f"radius {radius}", "radius")
    refused(partial(within, good, 1.0, max_neighbors=0), "max_neighbors = 0", "max_neighbors")
    refused(partial(within, good[0], 1.0), "points of one axis", "shape")
    refused(partial(within, good.astype(np.float64), 1.0), "points in float64", "float32")
    refused(partial(within, good, 1.0, queries=np.ones((4, dimension + 1), np.float32)), "wider queries", "dimension")
    refused(partial(within, good, 1.0, queries=good, each_pair_once=True), "each pair once, with queries", "each_pair_once")
    refused(partial(within, good, 1.0, max_neighbors=2, each_pair_once=True), "each pair once, but two", "each_pair_once")
