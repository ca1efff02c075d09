from functools import partial

import pytest
import torch

from likewise.losses.cosine import Cosine, cosine
from likewise.losses.options import CosineOptions
from likewise.options import build
from likewise.testing.losses import check_loss, pairs_tensor
from losses.references import cosine_reference


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.3])
def test_contract_and_brute_force(margin):
    check_loss(Cosine(CosineOptions(margin=margin)), partial(cosine_reference, margin=margin))


def test_equals_torch_where_weights_are_equal():
    rows, columns = torch.randn(6, 4), torch.randn(6, 4)
    pairs = pairs_tensor([(n, n, n % 2, 1.0) for n in range(6)])
    expected = torch.nn.CosineEmbeddingLoss(margin=0.2)(rows, columns, torch.tensor([-1, 1, -1, 1, -1, 1]))
    assert torch.isclose(cosine(rows, columns, pairs, margin=0.2).loss, expected, rtol=1e-5)


def test_gradient_in_float64():
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    columns = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    pairs = pairs_tensor([(0, 0, 1, 1.0), (0, 1, 0, 2.0), (2, 2, 0, 0.5)])
    assert torch.autograd.gradcheck(lambda r, c: cosine(r, c, pairs, margin=-0.4).loss, (rows, columns))


def test_unlisted_pairs_do_not_count():
    rows, columns = torch.randn(3, 4), torch.randn(5, 4)
    pairs = pairs_tensor([(0, 0, 1, 1.0)])
    assert torch.equal(cosine(rows, columns, pairs).loss, cosine(rows[:1], columns[:1], pairs).loss)


def test_active_counts_negatives_above_the_margin():
    rows, columns = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.1]])
    assert cosine(rows, columns, pairs_tensor([(0, 0, 0, 1.0), (0, 1, 0, 1.0)])).active == 0.5


def test_options_build_the_loss():
    assert isinstance(build(CosineOptions()), Cosine)
