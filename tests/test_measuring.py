from __future__ import annotations

import time

import pytest
import torch

from likewise.measuring import _two_costs, measure
from likewise.testing.encoders import FakeEncoder
from likewise.training.options import TrainOptions
from likewise.types import Role
from likewise.vectors.options import EmbedOptions

TEXTS = [f"some words {number} and more" for number in range(20)]
ROLES: list[Role] = ["query", "document"] * 10


def test_a_measured_encoder_is_left_as_it_was() -> None:
    encoder = FakeEncoder()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    speed = measure(encoder, TEXTS, ROLES, EmbedOptions(device="cpu"), TrainOptions(device="cpu"))
    assert speed.forward > 0
    assert speed.training > 0
    assert speed.step > 0
    assert speed.activations > 0
    assert speed.parameters == sum(tensor.numel() for tensor in before.values())
    assert speed.dimension == encoder.dimension
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert measure(encoder, TEXTS, ROLES, EmbedOptions(device="cpu"), None).training == 0


def test_time_by_call_and_time_by_token_are_told_apart() -> None:
    def work(count: int) -> None:
        until = time.perf_counter() + 0.02 + 0.001 * count  # not asleep: waking up takes as long as it likes
        while time.perf_counter() < until:
            pass

    fixed, each = _two_costs(work, lambda count: 10 * count, 40)
    assert fixed == pytest.approx(0.02, rel=0.3)
    assert each == pytest.approx(0.0001, rel=0.3)


def test_where_nothing_tells_them_apart_all_of_it_is_the_tokens() -> None:
    fixed, each = _two_costs(lambda count: time.sleep(0.001), lambda count: 0, 8)
    assert fixed == 0
    assert each > 0


def test_kept_bytes_are_those_of_the_activations() -> None:
    speed = measure(FakeEncoder(), TEXTS, ROLES, EmbedOptions(device="cpu"), TrainOptions(device="cpu"))
    tokens = 5
    assert 8 <= speed.activations <= 3 * 16 * 4 / tokens + 40  # the words' numbers, and a few vectors of 16 for each text
