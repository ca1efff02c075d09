from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from likewise.training.dropout import FastDropout, cheapest_dropout, fast_dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_share_scale_and_gradient(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = torch.ones(7, 100_003, dtype=dtype, requires_grad=True)
    dropped = fast_dropout(values, p)
    share = (dropped == 0).double().mean().item()
    assert share == pytest.approx(p, abs=5 * (p * (1 - p) / values.numel()) ** 0.5 + 1 / 65536)
    assert torch.allclose(dropped[dropped != 0].float(), torch.tensor(1 / (1 - p)), rtol=1e-4 if dtype == torch.float32 else 1e-2)
    dropped.float().sum().backward()
    assert torch.equal(values.grad, dropped.detach())


def test_elements_are_independent() -> None:
    torch.manual_seed(1)
    kept = (fast_dropout(torch.ones(64, 40_000), 0.5) != 0).double()
    correlation = torch.corrcoef(kept) - torch.eye(64)
    assert correlation.abs().max() < 6 / 40_000**0.5
    for apart in (1, 2, 3, 4, 8):
        line = kept.flatten()
        assert abs(torch.corrcoef(torch.stack([line[:-apart], line[apart:]]))[0, 1]) < 6 / line.numel() ** 0.5


def test_every_bit_pattern_may_be_dropped() -> None:
    torch.manual_seed(2)
    assert (fast_dropout(torch.ones(1000), 65535 / 65536) == 0).sum() > 990
    assert (fast_dropout(torch.ones(1000), 0.0) == 1).all()


def test_the_mode_reaches_modules_and_obeys_eval() -> None:
    values = torch.ones(50, 50)
    module = torch.nn.Dropout(0.3)
    torch.manual_seed(3)
    direct = fast_dropout(values, 0.3)
    torch.manual_seed(3)
    with FastDropout():
        assert torch.equal(module(values), direct)
        assert torch.equal(module.eval()(values), values)
    assert not torch.equal(torch.nn.functional.dropout(values, 0.3), direct)


@pytest.mark.parametrize("mask", ["none", "boolean", "additive"])
def test_attention_is_torchs_but_for_the_draws(mask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(4)
    query, key, value = (torch.randn(2, 3, 5, 8, dtype=torch.float64) for _ in range(3))
    allowed = torch.rand(2, 1, 5, 5) > 0.3
    allowed[..., 0] = True
    given: Tensor | None = {"none": None, "boolean": allowed, "additive": torch.randn(2, 1, 5, 5, dtype=torch.float64)}[mask]
    monkeypatch.setattr("likewise.training.dropout.fast_dropout", lambda values, p: values)
    expected = functional.scaled_dot_product_attention(query, key, value, attn_mask=given, scale=0.3)
    with FastDropout():
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=given, dropout_p=0.1, scale=0.3)
    torch.testing.assert_close(found, expected)


def test_attention_without_dropout_is_left_to_torch() -> None:
    query = torch.randn(1, 2, 4, 8)
    with FastDropout():
        found = functional.scaled_dot_product_attention(query, query, query, is_causal=True)
        causal = functional.scaled_dot_product_attention(query, query, query, is_causal=True, dropout_p=0.5)
    assert torch.equal(found, functional.scaled_dot_product_attention(query, query, query, is_causal=True))
    assert causal.shape == query.shape


def test_only_the_cpu_needs_it() -> None:
    assert isinstance(cheapest_dropout(torch.device("cpu")), FastDropout)
    assert not isinstance(cheapest_dropout(torch.device("cuda")), FastDropout)
