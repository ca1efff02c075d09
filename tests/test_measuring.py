from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from likewise.errors import RecipeError
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


class Clock:
    """A clock that stands still but for what the measured work takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[int] = []
        monkeypatch.setattr("likewise.measuring.time.perf_counter", lambda: self.now)

    def work(self, fixed: float, each: float) -> Callable[[int], None]:
        def take(count: int) -> None:
            self.calls.append(count)
            self.now += fixed + each * count

        return take


@pytest.mark.parametrize(("fixed", "each"), [(0.02, 0.001), (0.5, 0.0001), (0.0, 0.03), (4.0, 1.0)])
def test_time_by_call_and_time_by_token_are_told_apart(monkeypatch: pytest.MonkeyPatch, fixed: float, each: float) -> None:
    found = _two_costs(Clock(monkeypatch).work(fixed, each), lambda count: 10 * count, 640)
    assert found == pytest.approx((fixed, each / 10))


def test_a_slow_encoder_is_measured_on_a_few_items_and_a_fast_one_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = Clock(monkeypatch), Clock(monkeypatch)
    monkeypatch.setattr("likewise.measuring.time.perf_counter", lambda: slow.now + fast.now)
    _two_costs(slow.work(0.0, 1.0), lambda count: count, 640)
    _two_costs(fast.work(0.0, 1e-6), lambda count: count, 640)
    assert (max(slow.calls), len(slow.calls)) == (16, 3)
    assert max(fast.calls) == 640


def test_where_nothing_tells_them_apart_all_of_it_is_the_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _two_costs(Clock(monkeypatch).work(0.5, 0.0), lambda count: 5 * count, 8) == (0.0, 0.5 / 40)
    assert _two_costs(Clock(monkeypatch).work(0.5, 0.1), lambda count: 0, 8) == (0.0, pytest.approx(1.3))


def test_kept_bytes_are_those_of_the_activations() -> None:
    speed = measure(FakeEncoder(), TEXTS, ROLES, EmbedOptions(device="cpu"), TrainOptions(device="cpu"))
    tokens = 5
    assert 8 <= speed.activations <= 3 * 16 * 4 / tokens + 40  # the words' numbers, and a few vectors of 16 for each text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_told_of_its_section() -> None:
    with pytest.raises(RecipeError, match=r'\[train\] device = "cuda"'):
        measure(FakeEncoder(), TEXTS, ROLES, EmbedOptions(device="cpu"), TrainOptions(device="cuda"))
