"""The contract suite of nearest neighbors refuses searches that are wrong in the usual ways."""

from dataclasses import replace

import numpy as np
import pytest

from likewise.errors import DataError
from likewise.neighbors import oracle
from likewise.neighbors.nearest import nearest
from likewise.testing.neighbors import check_nearest


def right(queries, base, k, *, distance="cosine", exclude=None):
    return nearest(queries, base, k, distance=distance, exclude=exclude)


def forgets_exclusion(queries, base, k, *, distance, exclude):
    return right(queries, base, k, distance=distance)


def excludes_code_minus_one(queries, base, k, *, distance, exclude):
    shifted = None if exclude is None else (exclude[0] + 1, exclude[1] + 1)
    return right(queries, base, k, distance=distance, exclude=shifted)


def excludes_after_the_cut(queries, base, k, *, distance, exclude):
    found = right(queries, base, k, distance=distance)
    if exclude is None:
        return found
    own = (found.rows >= 0) & (exclude[0][:, None] == exclude[1][found.rows]) & (exclude[0][:, None] >= 0)
    return replace(found, rows=np.where(own, -1, found.rows), scores=np.where(own, np.float32(-np.inf), found.scores))


def takes_any_of_equal_items(queries, base, k, *, distance, exclude):
    turned = None if exclude is None else (exclude[0], exclude[1][::-1].copy())
    found = right(queries, base[::-1].copy(), k, distance=distance, exclude=turned)
    rows = np.where(found.rows >= 0, len(base) - 1 - found.rows, -1)
    order = np.lexsort((np.where(rows >= 0, rows, len(base)), -found.scores), axis=1)
    return replace(found, rows=np.take_along_axis(rows, order, axis=1))


def shows_ties_in_another_order(queries, base, k, *, distance, exclude):
    found = right(queries, base, k, distance=distance, exclude=exclude)
    order = np.lexsort((-found.rows, -found.scores), axis=1)
    return replace(found, rows=np.take_along_axis(found.rows, order, axis=1))


def forgets_to_scale(queries, base, k, *, distance, exclude):
    return right(queries, base, k, distance="dot" if distance == "cosine" else distance, exclude=exclude)


def squares_distances(queries, base, k, *, distance, exclude):
    found = right(queries, base, k, distance=distance, exclude=exclude)
    return replace(found, scores=np.where(found.rows >= 0, -(found.scores**2), -np.inf).astype(np.float32))


def does_not_center(queries, base, k, *, distance, exclude):
    if distance != "euclidean":
        return right(queries, base, k, distance=distance, exclude=exclude)
    found = right(queries, base, k, distance=distance, exclude=exclude)
    squares = (queries**2).sum(1)[:, None] + (base**2).sum(1)[None] - 2 * queries @ base.T
    wrong = -np.sqrt(np.maximum(np.take_along_axis(squares, np.maximum(found.rows, 0), axis=1), 0)) if len(base) else found.scores
    return replace(found, scores=np.where(found.rows >= 0, wrong, -np.inf).astype(np.float32))


def misses_the_last(queries, base, k, *, distance, exclude):
    kept = base[:-1] if len(base) > 1 else base
    return right(queries, kept, k, distance=distance, exclude=None if exclude is None else (exclude[0], exclude[1][: len(kept)]))


def pads_with_zeros(queries, base, k, *, distance, exclude):
    found = right(queries, base, k, distance=distance, exclude=exclude)
    return replace(found, rows=np.maximum(found.rows, 0))


def excuses_anything(queries, base, k, *, distance, exclude):
    return replace(right(queries, base, k, distance=distance, exclude=exclude), tolerance=1e9)


def claims_to_be_exact(queries, base, k, *, distance, exclude):
    return replace(right(queries, base, k, distance=distance, exclude=exclude), tolerance=0.0)


def accepts_nan(queries, base, k, *, distance, exclude):
    return right(np.nan_to_num(queries), np.nan_to_num(base), k, distance=distance, exclude=exclude)


def names_no_row(queries, base, k, *, distance, exclude):
    try:
        return right(queries, base, k, distance=distance, exclude=exclude)
    except DataError:
        raise DataError("something is wrong") from None


WRONG = [
    forgets_exclusion,
    excludes_code_minus_one,
    excludes_after_the_cut,
    takes_any_of_equal_items,
    shows_ties_in_another_order,
    forgets_to_scale,
    squares_distances,
    does_not_center,
    misses_the_last,
    pads_with_zeros,
    excuses_anything,
    claims_to_be_exact,
    accepts_nan,
    names_no_row,
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_wrong_searches_are_refused(wrong):
    with pytest.raises(AssertionError):
        check_nearest(wrong)


def test_a_search_in_float64_passes():
    def by_the_oracle(queries, base, k, *, distance, exclude):
        found = right(queries, base, k, distance=distance, exclude=exclude)  # for its tolerance and refusals
        rows, scores = oracle.nearest(queries, base, k, distance=distance, exclude=exclude)
        order = np.lexsort((np.where(rows >= 0, rows, len(base)), -scores.astype(np.float32)), axis=1)
        rows = np.take_along_axis(rows, order, axis=1)
        return replace(found, rows=rows, scores=np.take_along_axis(scores, order, axis=1).astype(np.float32))

    check_nearest(by_the_oracle, distances=["dot"])
