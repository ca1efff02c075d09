from __future__ import annotations

import math
from itertools import pairwise

import pytest

from likewise.training.schedule import ScheduleName, schedule, warmup_steps


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
@pytest.mark.parametrize(("steps", "warmup"), [(10, 0), (10, 3), (1, 0), (5, 5), (5, 9)])
def test_factors(kind: ScheduleName, steps: int, warmup: int) -> None:
    factor = schedule(kind, steps, warmup)
    found = [factor(step) for step in range(steps)]
    assert all(0 < value <= 1 for value in found)
    assert all(later > earlier for earlier, later in pairwise(found[:warmup]))
    falling = found[warmup:]
    assert all(later <= earlier for earlier, later in pairwise(falling))
    assert not falling or falling[0] == 1


def test_linear_and_cosine_by_hand() -> None:
    assert [schedule("linear", 8, 4)(step) for step in range(9)] == [0.2, 0.4, 0.6, 0.8, 1, 0.75, 0.5, 0.25, 0]
    cosine = schedule("cosine", 4, 0)
    assert [cosine(step) for step in range(5)] == pytest.approx([1, 0.5 + math.sqrt(2) / 4, 0.5, 0.5 - math.sqrt(2) / 4, 0])


@pytest.mark.parametrize(
    ("steps", "ratio", "fixed", "expected"),
    [(100, 0.1, None, 10), (7, 0.1, None, 1), (7, 0.0, None, 0), (7, 0.1, 3, 3), (7, 0.1, 0, 0)],
)
def test_warmup_steps(steps: int, ratio: float, fixed: int | None, expected: int) -> None:
    assert warmup_steps(steps, ratio, fixed) == expected
