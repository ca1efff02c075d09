"""The hyperbolic tangent by the logistic function, tanh x = 2 σ(2x) − 1, which torch computes several times as fast on a CPU.

It differs from torch's own by at most 2⁻²³ or so; the gradient is torch's, 1 − tanh².
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Tanh(nn.Module):
    """Takes the place of `nn.Tanh`."""

    def forward(self, values: Tensor) -> Tensor:
        """Element by element, any shape."""
        if values.device.type != "cpu":
            return torch.tanh(values)
        result: Tensor = _Tanh.apply(values)  # type: ignore[no-untyped-call]  # torch does not annotate it
        return result


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        result = (values * 2).sigmoid_().mul_(2).sub_(1)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        found: Tensor = torch.ops.aten.tanh_backward(gradients[0], result)
        return found
