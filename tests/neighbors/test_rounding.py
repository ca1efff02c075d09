"""The stated bounds against errors that were measured, and against the worst that was found."""

import numpy as np
import pytest
import torch

from likewise.neighbors import oracle
from likewise.neighbors.nearest import nearest
from likewise.neighbors.rounding import UNIT, first_pass_error, gamma, score_error

DISTANCES = ["cosine", "dot", "euclidean"]


def test_gamma_grows_with_the_terms():
    assert gamma(1) == pytest.approx(9 * UNIT, rel=1e-6)
    assert gamma(4096) == pytest.approx(4104 * UNIT, rel=1e-3)
    with pytest.raises(AssertionError, match="no useful bound"):
        gamma(2**24)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("dimension", [1, 7, 384, 1500])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_scores_are_within_half_the_tolerance(distance, dimension, shift, rng):
    queries = (rng.standard_normal((20, dimension)) + shift).astype(np.float32)
    base = (rng.standard_normal((300, dimension)) + shift).astype(np.float32)
    found = nearest(queries, base, 300, distance=distance)
    exact = np.take_along_axis(oracle.scores(queries, base, distance), found.rows, axis=1)
    assert np.abs(found.scores - exact).max() <= found.tolerance / 2


@pytest.mark.parametrize("distance", DISTANCES)
def test_sums_that_float32_gets_most_wrong_are_within_the_bound(distance):
    # One large term and many that are each lost when added to it one after the other.
    dimension = 4096
    vector = np.full((1, dimension), 2.0**-12.5, dtype=np.float32)
    vector[0, 0] = 1
    found = nearest(vector, vector * np.float32(1 + 2**-20), 1, distance=distance)
    exact = oracle.scores(vector, vector * np.float32(1 + 2**-20), distance)
    assert abs(found.scores[0, 0] - exact[0, 0]) <= score_error(distance, dimension, 2.0)


@pytest.mark.parametrize("distance", DISTANCES)
def test_first_pass_errors_are_bounded_per_query(distance):
    reach = torch.tensor([0.0, 1.0, 100.0])
    error = first_pass_error(distance, 64, reach, 0.0)
    assert error.shape == reach.shape
    assert (error > 0).all()
    assert (error.diff() >= 0).all()
