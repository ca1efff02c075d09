"""The learning rate over the optimiser steps, as a factor of its highest value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

ScheduleName = Literal["linear", "cosine", "constant"]


def schedule(kind: ScheduleName, steps: int, warmup: int) -> Callable[[int], float]:
    """Step (0-based) → factor: up to 1 over `warmup` steps, then down towards 0, which would be reached at `steps`.

    No step is wasted on a factor of zero: the first is at 1 / (warmup + 1), the last above 0.
    """
    assert warmup >= 0

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if kind == "constant":
            return 1.0
        left = max(0.0, (steps - step) / max(1, steps - warmup))
        return left if kind == "linear" else 0.5 * (1 - math.cos(math.pi * left))

    return factor


def warmup_steps(steps: int, ratio: float, fixed: int | None) -> int:
    """How many steps the warm-up takes: those given, or a share of all, rounded up."""
    return fixed if fixed is not None else math.ceil(steps * ratio)
