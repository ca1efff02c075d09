"""Counts and examples, as the reports on tables say them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

EXAMPLES = 5  # named in sentences


def counted(number: int, what: str) -> str:
    """A number with its noun: "1 row", "2,000 rows"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def examples(values: Sequence[Any], total: int | None = None) -> str:
    """The first few, and how many more there are."""
    more = (total or len(values)) - len(values[:EXAMPLES])
    return ", ".join(map(str, values[:EXAMPLES])) + (f" and {more:,} more" if more else "")
