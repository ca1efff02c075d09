"""Dropout at a fraction of its cost on a CPU.

PyTorch draws one Bernoulli number per element on one thread; on two cores that was 28% of a training step of a 6-layer BERT
in bfloat16. Here four elements share the 64 bits of one draw: the mask's part of the step falls to a quarter. Draws come from
torch's own generator, so checkpoints and recomputation see the same masks as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

BITS = 16  # per element: the probability is rounded to 1/65536
LOWEST = -(1 << (BITS - 1))


def fast_dropout(values: Tensor, p: float = 0.5) -> Tensor:
    """Zero each element with probability `p` (rounded to 1/65536) and scale the rest so that the mean stays."""
    dropped = round(p * (1 << BITS))
    draws = torch.empty(-(-values.numel() * BITS // 64), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    bits = draws.view(torch.int16)[: values.numel()].view(values.shape)
    kept = (bits >= LOWEST + dropped).to(values.dtype)
    return values * kept.mul_((1 << BITS) / ((1 << BITS) - dropped))


class FastDropout(TorchFunctionMode):
    """Within it, dropout and attention with dropout use `fast_dropout`, whichever module asks for them.

    It must also be in force where a backward pass computes activations again (`context_fn` of torch.utils.checkpoint): a
    backward pass leaves the modes of the code that starts it.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a torch function, or its faster stand-in."""
        named = dict(kwargs or {})
        if func is functional.dropout:
            return _dropout(*args, **named)
        if func is functional.scaled_dot_product_attention and named.get("dropout_p", 0.0) > 0 and len(args) == 3:
            return _attention(*args, **named)
        return func(*args, **named)


def cheapest_dropout(device: torch.device) -> AbstractContextManager[Any]:
    """FastDropout on a CPU; elsewhere torch's own is already fast."""
    return FastDropout() if device.type == "cpu" else nullcontext()


def _dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if not training or p == 0.0 or p == 1.0 or inplace:
        return functional.dropout(values, p, training, inplace)
    return fast_dropout(values, p)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    dropout_p: float,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention written out, as torch itself does on a CPU where there is dropout."""
    if is_causal or enable_gqa:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(-2, -1)
    if attn_mask is not None:
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~attn_mask, lowest) if attn_mask.dtype == torch.bool else scores + attn_mask
    return fast_dropout(scores.softmax(-1).to(scores.dtype), dropout_p) @ value
