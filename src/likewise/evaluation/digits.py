"""As many decimals as a number needs: three, and more where a number is so small that three would hide it."""

from __future__ import annotations

import math

USUAL = 3  # decimals
SMALL = 0.01  # below it, three decimals leave fewer than two digits that count


def decimals(*values: float) -> int:
    """How many decimals show the largest of some numbers with two digits that count, at least three."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return USUAL if largest >= SMALL or largest == 0 else 1 - math.floor(math.log10(largest))


def decimals_of_change(before: float, after: float, *changes: float) -> int:
    """How many decimals show what changed (the difference, the limits of its interval): more only beside small numbers."""
    return decimals(*changes) if min(abs(before), abs(after)) < SMALL else USUAL


def plain(value: float) -> str:
    """A number with the decimals that it needs: 0.512, 0.0018; the minus is the typographic one."""
    return f"{value:.{decimals(value)}f}".replace("-", "−")


def signed(value: float, places: int = USUAL) -> str:
    """A difference with so many decimals and its sign; the minus is the typographic one."""
    text = f"{value:+.{places}f}"
    return f"±{0:.{places}f}" if float(text) == 0 else text.replace("-", "−")
