from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.losses.infonce import InfoNCE, infonce
from likewise.losses.options import InfoNCEOptions
from likewise.losses.scores import cosines
from likewise.options import build
from likewise.testing.losses import check_loss, listed, pairs_tensor
from losses.references import infonce_reference


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("scale", [1.0, 20.0, 100.0])
def test_contract_and_brute_force(scale, symmetric):
    loss = InfoNCE(InfoNCEOptions(scale=scale, symmetric=symmetric))
    check_loss(loss, partial(infonce_reference, scale=scale, symmetric=symmetric))


def batches():
    """Batches with few distinct vectors (ties), repeated and contradictory listings, ragged positives and empty rows."""
    listing = st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from([0, 1]), st.sampled_from([0.0, 0.5, 1.0, 3.0]))
    vector = st.lists(st.sampled_from([-1.0, 0.5, 1.0]), min_size=3, max_size=3)
    return st.tuples(
        st.lists(vector, min_size=4, max_size=4), st.lists(vector, min_size=5, max_size=5), st.lists(listing, max_size=12)
    )


@given(batches(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_equals_brute_force_on_ragged_batches_with_ties(batch, symmetric):
    rows, columns, pairs = (np.array(batch[0]), np.array(batch[1]), batch[2])
    found = infonce(torch.from_numpy(rows), torch.from_numpy(columns), pairs_tensor(pairs), scale=5.0, symmetric=symmetric)
    assert float(found.loss) == pytest.approx(infonce_reference(rows, columns, pairs, 5.0, symmetric), abs=1e-9)


@pytest.mark.parametrize("symmetric", [False, True])
def test_gradient_in_float64(symmetric):
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    columns = torch.randn(5, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    pairs = pairs_tensor([(0, 0, 1, 1.0), (0, 1, 1, 2.0), (1, 2, 1, 1.0), (1, 3, 1, 0.0), (1, 4, 0, 1.0)])
    assert torch.autograd.gradcheck(lambda r, c: infonce(r, c, pairs, scale=3.0, symmetric=symmetric).loss, (rows, columns))


def test_one_positive_per_row_is_cross_entropy():
    rows, columns = torch.randn(4, 8), torch.randn(6, 8)
    pairs = pairs_tensor([(row, row, 1, 1.0) for row in range(4)])
    expected = torch.nn.functional.cross_entropy(20 * cosines(rows, columns), torch.arange(4))
    assert torch.isclose(infonce(rows, columns, pairs).loss, expected, rtol=1e-5)


def test_known_positives_never_push_each_other_apart():
    rows = torch.tensor([[1.0, 0.0]])
    columns = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.0]], requires_grad=True)
    pairs = pairs_tensor([(0, 0, 1, 1.0), (0, 1, 1, 1.0)])
    both = infonce(rows, columns, pairs).loss
    alone = infonce(rows, columns[[0, 2]], pairs_tensor([(0, 0, 1, 1.0)])).loss
    assert torch.isclose(both, alone, rtol=1e-6)


def test_a_masked_column_leaves_the_loss_as_if_it_were_absent():
    rows, columns = torch.randn(2, 6), torch.randn(4, 6)
    masked = infonce(rows, columns, pairs_tensor([(0, 0, 1, 1.0), (0, 3, 1, 0.0)]))
    absent = infonce(rows, columns[:3], pairs_tensor([(0, 0, 1, 1.0)]))
    assert torch.isclose(masked.loss, absent.loss)


def test_without_negatives_nothing_is_active():
    result = infonce(torch.randn(1, 4), torch.randn(2, 4), pairs_tensor([(0, 0, 1, 1.0), (0, 1, 1, 1.0)]))
    assert result.active == 0
    assert float(result.loss) == 0


def test_large_scales_stay_finite():
    vectors = torch.eye(3, requires_grad=True)
    result = infonce(vectors, -torch.eye(3), pairs_tensor([(row, row, 1, 1.0) for row in range(3)]), scale=1e4)
    result.loss.backward()
    assert torch.isfinite(result.loss)
    assert torch.isfinite(vectors.grad).all()


def test_many_positives_need_no_more_memory_than_the_scores():
    """Every saved tensor of the graph has at most R × C elements although there are 8 positives per row."""
    rows, columns = torch.randn(64, 8, requires_grad=True), torch.randn(512, 8)
    pairs = pairs_tensor([(row, 8 * row + k, 1, 1.0) for row in range(64) for k in range(8)])
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        infonce(rows, columns, pairs)
    assert max(sizes) <= 64 * 512


def test_options_build_the_loss():
    loss = build(InfoNCEOptions(scale=7.0))
    assert isinstance(loss, InfoNCE)
    assert loss.options.scale == 7.0


def test_listings_round_trip():
    pairs = [(0, 1, 1, 0.5), (2, 0, 0, 0.0)]
    assert listed(pairs_tensor(pairs)) == pairs
