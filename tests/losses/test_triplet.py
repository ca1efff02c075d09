from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.losses.options import TripletOptions
from likewise.losses.triplet import Triplet, listed_triplet, triplet
from likewise.options import build
from likewise.testing.losses import check_loss, pairs_tensor
from losses.references import listed_triplet_reference, listed_triplet_terms, triplet_reference, triplet_terms

KINDS = [(distance, hardest) for distance in ("cosine", "euclidean") for hardest in (False, True)]


@pytest.mark.parametrize(("distance", "hardest"), KINDS)
@pytest.mark.parametrize("margin", [0.05, 0.5])
def test_contract_and_brute_force(distance, hardest, margin):
    loss = Triplet(TripletOptions(margin=margin, distance=distance, hardest=hardest))
    check_loss(loss, partial(triplet_reference, margin=margin, distance=distance, hardest=hardest))


@pytest.mark.parametrize(("distance", "hardest"), KINDS)
def test_contract_and_brute_force_of_listed_negatives(distance, hardest):
    loss = Triplet(TripletOptions(margin=0.5, distance=distance, hardest=hardest, negatives="listed"))
    check_loss(loss, partial(listed_triplet_reference, margin=0.5, distance=distance, hardest=hardest))


listings = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from([0, 1]), st.sampled_from([0.0, 0.5, 1.0, 3.0])), max_size=12
)


@given(listings, st.integers(0, 2**16), st.sampled_from(KINDS))
@settings(max_examples=100, deadline=None)
def test_equals_brute_force_on_ragged_batches(pairs, seed, kind):
    generator = np.random.default_rng(seed)
    rows, columns = generator.normal(size=(4, 3)), generator.normal(size=(5, 3))
    result = triplet(
        torch.from_numpy(rows), torch.from_numpy(columns), pairs_tensor(pairs), margin=0.3, distance=kind[0], hardest=kind[1]
    )
    terms = triplet_terms(rows, columns, pairs, 0.3, *kind)
    assert float(result.loss) == pytest.approx(triplet_reference(rows, columns, pairs, 0.3, *kind), abs=1e-9)
    assert result.active == pytest.approx(sum(t > 0 for _, t in terms) / len(terms) if terms else 0)


@given(listings, st.integers(0, 2**16), st.sampled_from(KINDS))
@settings(max_examples=100, deadline=None)
def test_listed_negatives_equal_brute_force(pairs, seed, kind):
    generator = np.random.default_rng(seed)
    rows, columns = generator.normal(size=(4, 3)), generator.normal(size=(5, 3))
    vectors = torch.from_numpy(rows), torch.from_numpy(columns)
    result = listed_triplet(*vectors, pairs_tensor(pairs), margin=0.3, distance=kind[0], hardest=kind[1])
    terms = listed_triplet_terms(rows, columns, pairs, 0.3, *kind)
    assert float(result.loss) == pytest.approx(listed_triplet_reference(rows, columns, pairs, 0.3, *kind), abs=1e-9)
    assert result.active == pytest.approx(sum(t > 0 for _, t in terms) / len(terms) if terms else 0)


@pytest.mark.parametrize(("distance", "hardest"), KINDS)
def test_gradient_in_float64(distance, hardest):
    generator = torch.Generator().manual_seed(5)
    rows = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    columns = torch.randn(5, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    pairs = pairs_tensor([(0, 0, 1, 1.0), (0, 1, 1, 2.0), (1, 2, 1, 1.0), (1, 3, 1, 0.0), (2, 4, 0, 1.0)])

    def loss(r, c):
        return triplet(r, c, pairs, margin=0.4, distance=distance, hardest=hardest).loss

    assert torch.autograd.gradcheck(loss, (rows, columns))


def test_the_mean_is_over_active_triplets_only():
    rows = torch.tensor([[1.0, 0.0]])
    columns = torch.tensor([[1.0, 0.0], [1.0, 0.05], [-1.0, 0.0], [-1.0, 0.1]])
    result = triplet(rows, columns, pairs_tensor([(0, 0, 1, 1.0)]), margin=0.2)
    alone = triplet(rows, columns[:2], pairs_tensor([(0, 0, 1, 1.0)]), margin=0.2)
    assert torch.isclose(result.loss, alone.loss)
    assert result.active == pytest.approx(1 / 3)


def test_a_distance_of_zero_has_a_finite_gradient():
    rows = torch.ones(2, 3, requires_grad=True)
    triplet(rows, torch.ones(3, 3), pairs_tensor([(0, 0, 1, 1.0)]), distance="euclidean").loss.backward()
    assert torch.isfinite(rows.grad).all()


def test_near_points_keep_their_distance():
    """Through products a distance of 1e-4 at length 30 would drown in float32."""
    rows = torch.tensor([[30.0, 0.0]])
    columns = torch.tensor([[30.0, 1e-4], [30.0, 3e-4]])
    result = triplet(rows, columns, pairs_tensor([(0, 0, 1, 1.0)]), margin=1e-3, distance="euclidean")
    assert float(result.loss) == pytest.approx(8e-4, rel=1e-3)


def test_options_build_the_loss():
    assert isinstance(build(TripletOptions()), Triplet)
