"""A figure with its name and what a screen reader says of it."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """`name` is that of its file, `description` a sentence for those who cannot see it."""

    name: str
    figure: Figure
    description: str
