"""How fast an encoder is on this machine: measured on a few real items, in inference and in training.

A call costs a fixed time and a time per token; both are told apart by measuring on all of the items and on a quarter of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from likewise.encoders.base import Encoder, to_device
from likewise.training.options import TrainOptions
from likewise.types import Role
from likewise.vectors.extract import extract
from likewise.vectors.options import EmbedOptions
from likewise.vectors.precision import DTYPES, device_for, precision_for

MOST_TRIES, ENOUGH_SECONDS = 5, 1.5  # of one measurement
FIRST_ITEMS = 16  # of a call; twice as many as long as it takes less than this:
LONG_CALL = 0.15  # seconds, beside which what other programs do is little


@dataclass(frozen=True, slots=True)
class Speed:
    """An encoder, measured: seconds per token forward, and there and back; per optimiser step; and its size.

    `activations` are bytes kept per token for the way back. `fitting` is seconds per item of what it learns before training.
    """

    forward: float
    training: float
    step: float
    fitting: float
    activations: float
    parameters: int
    dimension: int

    def fitted(self, seconds: float) -> Speed:
        """The same encoder, whose fitting took so many seconds per item."""
        return replace(self, fitting=seconds)


def measure(
    encoder: Encoder, payload: Sequence[Any], roles: Sequence[Role], options: EmbedOptions, training: TrainOptions | None
) -> Speed:
    """Measured on the first of these items: a few for a slow encoder, all for a fast one. The weights stay as they are."""
    precision = precision_for(encoder, device_for(options.device), options.precision)  # that of many items, on a few
    without_cache = options.model_copy(update={"cache_dir": None, "precision": precision})

    def embed(count: int) -> None:
        extract(encoder, payload[:count], list(roles[:count]), without_cache)

    _, forward = _two_costs(embed, lambda count: _tokens(encoder, payload[:count], roles[:count], None), len(payload))
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    if training is None:
        return Speed(forward, 0.0, 0.0, 0.0, 0.0, parameters, encoder.dimension)
    steps = _Steps(encoder, payload, roles, training)
    activations = steps.activations(FIRST_ITEMS)
    fixed, there_and_back = _two_costs(steps.there_and_back, steps.tokens, len(payload))
    step = fixed + _timed(steps.update)
    steps.end()
    return Speed(forward, there_and_back, step, 0.0, activations, parameters, encoder.dimension)


def _two_costs(work: Callable[[int], None], tokens: Callable[[int], int], most: int) -> tuple[float, float]:
    """(seconds of a call, seconds of a token) of what works on the first so many items."""
    count = _long_enough(work, most)
    few = max(1, count // 4)
    some, every = tokens(few), tokens(count)
    short, long = _timed(partial(work, few)), _timed(partial(work, count))
    if every <= some or long <= short:  # nothing to tell them apart by, or a disturbed measurement
        return 0.0, long / max(every, 1)
    each = (long - short) / (every - some)
    return max(0.0, long - each * every), each


def _long_enough(work: Callable[[int], None], most: int) -> int:
    """How many items make a call long enough to be measured, or all there are."""
    count = min(FIRST_ITEMS, most)
    while count < most and _once(partial(work, count)) < LONG_CALL:
        count = min(2 * count, most)
    return count


def _timed(work: Callable[[], None]) -> float:
    """Seconds of one call: the best of a few, since other programs only ever make it slower. A short one first warms up."""
    first = _once(work)
    if first >= ENOUGH_SECONDS:
        return first
    times: list[float] = []
    while len(times) < MOST_TRIES and sum(times) < ENOUGH_SECONDS:
        times.append(_once(work))
    return min(times)


def _once(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _tokens(encoder: Encoder, payload: Sequence[Any], roles: Sequence[Role], longest: int | None) -> int:
    return sum(int(encoder.lengths([item], role, longest).sum()) for item, role in zip(payload, roles, strict=True))


class _Steps:
    """Training steps that leave the weights alone, on the device and in the precision that training will use."""

    def __init__(self, encoder: Encoder, payload: Sequence[Any], roles: Sequence[Role], options: TrainOptions) -> None:
        self.encoder = encoder
        self.payload = payload
        self.roles = roles
        self.options = options
        self.device = device_for(options.device, "train")
        self.precision = precision_for(encoder, self.device, options.precision)
        encoder.to(self.device).train()
        trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=0.0)  # a rate of 0 changes nothing, and costs the same

    def tokens(self, count: int) -> int:
        """Tokens of the first so many items, as training cuts them."""
        return _tokens(self.encoder, self.payload[:count], self.roles[:count], self.options.max_length)

    def there_and_back(self, count: int) -> None:
        """Vectors of the first so many items, and the gradient of a number made of them."""
        self.optimizer.zero_grad(set_to_none=True)
        for role in dict.fromkeys(self.roles[:count]):
            chosen = [item for item, its in zip(self.payload[:count], self.roles[:count], strict=True) if its == role]
            prepared = to_device(self.encoder.prepare(chosen, role, self.options.max_length), self.device)
            with torch.autocast(self.device.type, DTYPES[self.precision]) if self.precision in DTYPES else nullcontext():
                vectors = self.encoder(prepared)
            vectors.float().square().sum().backward()
        self._settle()

    def update(self) -> None:
        """The optimiser's step."""
        self.optimizer.step()
        self._settle()

    def activations(self, count: int) -> float:
        """Bytes kept per token of the first so many items for the way back, each storage once and weights left out."""
        kept: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            self.there_and_back(count)
        weights = {parameter.untyped_storage().data_ptr() for parameter in self.encoder.parameters()}
        return sum(size for place, size in kept.items() if place not in weights) / max(self.tokens(count), 1)

    def end(self) -> None:
        """The encoder as it was, but for its device."""
        self.optimizer.zero_grad(set_to_none=True)
        self.encoder.eval()

    def _settle(self) -> None:
        """Wait until a GPU has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
