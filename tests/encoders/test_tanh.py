import torch
from torch.autograd import gradcheck

from likewise.encoders.tanh import Tanh


def test_it_is_torchs_own_to_the_last_bits():
    values = torch.cat([torch.linspace(-30, 30, 20_001), torch.tensor([0.0, 1e-30, -1e-4, torch.inf, -torch.inf])])
    torch.testing.assert_close(Tanh()(values), torch.tanh(values), atol=2.0**-22, rtol=0)
    assert Tanh()(torch.zeros(3)).tolist() == [0, 0, 0]


def test_its_gradient():
    values = torch.linspace(-3, 3, 40, dtype=torch.float64, requires_grad=True)
    assert gradcheck(Tanh(), (values,))
    ours, theirs = torch.randn(5, 6, requires_grad=True), None
    theirs = ours.detach().clone().requires_grad_()
    Tanh()(ours).square().sum().backward()
    torch.tanh(theirs).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=0)
