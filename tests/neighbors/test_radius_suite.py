"""The contract suite of searches within a radius refuses searches that are wrong in the usual ways."""

from dataclasses import replace

import numpy as np
import pytest

from likewise.neighbors.radius import within
from likewise.testing.radius import check_within


def chosen(edges, kept):
    return replace(edges, query=edges.query[kept], point=edges.point[kept], distance=edges.distance[kept])


def leaves_the_radius_out(points, radius, **rest):
    edges = within(points, radius, **rest)
    return chosen(edges, edges.distance < np.float32(radius))


def compares_squares_in_float32(points, radius, *, queries=None, **rest):
    edges = within(points, radius * (1 + 1e-6), queries=queries, **rest)
    gaps = (points if queries is None else queries)[edges.query] - points[edges.point]
    return chosen(edges, (gaps**2).sum(axis=1) <= np.float32(radius) ** 2)


def squares_distances(points, radius, **rest):
    edges = within(points, radius, **rest)
    return replace(edges, distance=edges.distance**2)


def is_its_own_neighbor(points, radius, *, queries=None, **rest):
    return within(points, radius, queries=points if queries is None and not rest.get("each_pair_once") else queries, **rest)


def forgets_duplicates(points, radius, **rest):
    edges = within(points, radius, **rest)
    return chosen(edges, edges.distance > 0) if rest.get("queries") is None else edges


def keeps_any_few(points, radius, *, max_neighbors=None, **rest):
    edges = within(points, radius, **rest)
    if max_neighbors is None:
        return edges
    order = np.lexsort((edges.point, edges.query))
    edges = chosen(edges, order)
    place = np.arange(len(edges.query)) - np.searchsorted(edges.query, edges.query)
    kept = chosen(edges, place < max_neighbors)
    return replace(kept, cut=len(np.unique(edges.query[place == max_neighbors])))


def does_not_count_the_cut(points, radius, **rest):
    return replace(within(points, radius, **rest), cut=0)


def orders_ties_from_the_end(points, radius, **rest):
    edges = within(points, radius, **rest)
    if rest.get("each_pair_once"):
        return edges
    return chosen(edges, np.lexsort((-edges.point, edges.distance, edges.query)))


def cancels(points, radius, *, queries=None, **rest):
    edges = within(points, radius, queries=queries, **rest)
    one, other = (points if queries is None else queries)[edges.query], points[edges.point]
    squares = (one * one).sum(axis=1) + (other * other).sum(axis=1) - 2 * (one * other).sum(axis=1)
    return replace(edges, distance=np.sqrt(np.maximum(squares, 0)))


def returns_int32(points, radius, **rest):
    edges = within(points, radius, **rest)
    return replace(edges, point=edges.point.astype(np.int32))


def accepts_anything(points, radius, **rest):
    return within(np.nan_to_num(points), radius, **rest)


def test_the_right_one_passes():
    check_within(within, dimensions=[2])


@pytest.mark.parametrize(
    "wrong",
    [
        leaves_the_radius_out,
        compares_squares_in_float32,
        squares_distances,
        is_its_own_neighbor,
        forgets_duplicates,
        keeps_any_few,
        does_not_count_the_cut,
        orders_ties_from_the_end,
        cancels,
        returns_int32,
        accepts_anything,
    ],
)
def test_wrong_ones_do_not(wrong):
    with pytest.raises(AssertionError):
        check_within(wrong, dimensions=[2])
