"""The losses on Euclidean distances of listed pairs: hinge and cross-entropy."""

from functools import partial

import pytest
import torch

from likewise.losses.hinge import Hinge, hinge
from likewise.losses.logistic import Logistic, logistic
from likewise.losses.options import HingeOptions, LogisticOptions
from likewise.options import build
from likewise.testing.losses import check_loss, pairs_tensor
from losses.references import hinge_reference, logistic_reference


@pytest.mark.parametrize("positive_weight", [0.5, 2.0])
@pytest.mark.parametrize("margin", [0.5, 3.0])
def test_contract_and_brute_force(margin, positive_weight):
    named = {"margin": margin, "positive_weight": positive_weight}
    check_loss(Hinge(HingeOptions(**named)), partial(hinge_reference, **named))
    check_loss(Logistic(LogisticOptions(scale=2.0, **named)), partial(logistic_reference, scale=2.0, **named))


@pytest.mark.parametrize("loss", [hinge, logistic])
def test_gradient_in_float64(loss):
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    columns = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    pairs = pairs_tensor([(0, 0, 1, 1.0), (0, 1, 0, 2.0), (1, 1, 0, 1.0), (2, 2, 0, 0.5), (1, 0, 1, 0.0)])
    assert torch.autograd.gradcheck(lambda r, c: loss(r, c, pairs, margin=3.0).loss, (rows, columns))


def test_the_classes_are_balanced_whatever_their_sizes():
    rows, columns = torch.zeros(1, 2), torch.tensor([[0.5, 0.0], [0.3, 0.0]])
    once = hinge(rows, columns, pairs_tensor([(0, 0, 1, 1.0), (0, 1, 0, 1.0)]), margin=1.0)
    often = hinge(rows, columns, pairs_tensor([(0, 0, 1, 1.0), *[(0, 1, 0, 1.0)] * 9]), margin=1.0)
    assert float(once.loss) == pytest.approx(0.25 + 0.49)
    assert float(often.loss) == pytest.approx(float(once.loss))
    assert (once.parts["positive"], once.parts["negative"]) == (pytest.approx(0.25), pytest.approx(0.49))


def test_negatives_beyond_the_margin_are_not_active():
    rows, columns = torch.zeros(1, 2), torch.tensor([[0.5, 0.0], [1.5, 0.0]])
    assert hinge(rows, columns, pairs_tensor([(0, 0, 0, 1.0), (0, 1, 0, 1.0)]), margin=1.0).active == 0.5


def test_options_build_the_losses():
    assert isinstance(build(HingeOptions()), Hinge)
    assert isinstance(build(LogisticOptions()), Logistic)
