"""Attention on a CPU that multiplies bfloat16: two large matrix products in place of PyTorch's fused kernel.

The fused kernel works in small blocks and reaches about a seventh of the speed of the processor's matrix product; at the
lengths of texts it takes a third of a small transformer's time. Shapes: B items, H heads, L queries, K keys, E per head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LARGEST_LOGIT = 80.0
"""exp of it is 5e34: a row's sum stays finite in bfloat16, whose range is that of float32."""
LARGEST_SCORES = 8 << 20
"""Scores held at once: 16 MiB, which the cache holds and the allocator keeps."""


class ProductAttention(TorchFunctionMode):
    """Within it, `scaled_dot_product_attention` is computed by `product_attention` wherever that can be done.

    Whatever model calls it; inference only. Calls with dropout, a causal flag or another kind of mask stay PyTorch's.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by PyTorch before every one of its functions."""
        named = dict(kwargs or {})
        if func is torch.nn.functional.scaled_dot_product_attention:
            call = _Call(*args, **named)
            if _can(call):
                return product_attention(call.query, call.key, call.value, _key_mask(call.attn_mask), call.scale)
        return func(*args, **named)


class _Call(NamedTuple):
    """The arguments of `scaled_dot_product_attention`, in its order."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False


def product_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """Softmax(query · keyᵀ · scale) · value [B, H, L, E] bfloat16; `mask` [B, 1, K] is True for keys that count.

    Where the norms show that no logit can overflow, exp is taken without subtracting the row's maximum first, and the
    division by the row's sum comes after the second product, whose last column is that sum: two passes over the scores
    fewer, and masked keys cost nothing, their values being zero.
    """
    items, heads, queries, size = query.shape
    keys = key.shape[2]
    query = (query * (scale or 1 / math.sqrt(size))).to(torch.bfloat16).reshape(items * heads, queries, size)
    key = key.to(torch.bfloat16).reshape(items * heads, keys, size).transpose(1, 2)
    bounded = float(_largest_norm(query, 2) * _largest_norm(key, 1)) < LARGEST_LOGIT
    summed = torch.ones(items, heads, keys, value.shape[3] + 1, dtype=torch.bfloat16)
    summed[..., :-1] = value
    if mask is not None:
        summed = summed.masked_fill_(~mask[..., None], 0)
        mask = mask.expand(items, heads, keys).reshape(items * heads, 1, keys)
    summed = summed.view(items * heads, keys, -1)
    step = max(1, LARGEST_SCORES // (queries * keys))
    outputs = []
    for start in range(0, items * heads, step):
        some = slice(start, start + step)
        scores = torch.bmm(query[some], key[some])
        if not bounded:
            if mask is not None:  # or a padded key could be the maximum, and all others vanish beside it
                scores.masked_fill_(~mask[some], -math.inf)
            scores -= scores.amax(dim=2, keepdim=True)
        outputs.append(torch.bmm(scores.exp_(), summed[some]))
    output = torch.cat(outputs).view(items, heads, queries, -1)
    return output[..., :-1] / output[..., -1:]


def _can(call: _Call) -> bool:
    """Whether a call is one of those that `product_attention` computes, and worth it."""
    query, key = call.query, call.key
    plain = not call.dropout_p and not call.is_causal and not call.enable_gqa
    shaped = query.ndim == 4 and query.device.type == "cpu" and query.shape[:2] == key.shape[:2]
    fits = shaped and 0 < query.shape[2] * key.shape[2] <= LARGEST_SCORES
    return plain and fits and (call.attn_mask is None or _is_key_mask(call.attn_mask))


def _is_key_mask(mask: Tensor) -> bool:
    """Whether a mask [B, 1, L, K] says the same for every query, and leaves every item a key."""
    if mask.dtype != torch.bool or mask.ndim != 4 or mask.shape[1] != 1:
        return False
    first = mask[:, :, :1]
    return bool((mask == first).all()) and bool(first.any(dim=-1).all())


def _key_mask(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask[:, :, 0]


def _largest_norm(vectors: Tensor, dimension: int) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=dimension, dtype=torch.float32)
    return norms.max()
