"""The names of graph metrics that choose a model. Nothing heavy is imported: recipes are checked with this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from likewise.errors import RecipeError


@dataclass(frozen=True, slots=True)
class PurityAt:
    """Signal purity of the graph whose radius finds the share `efficiency` of the signal edges."""

    efficiency: float

    @classmethod
    def parse(cls, name: str) -> Self:
        """The metric of a name such as "purity@0.98"; RecipeError for another."""
        kind, _, share = name.partition("@")
        try:
            efficiency = float(share)
        except ValueError:
            efficiency = 0.0
        if kind != "purity" or not 0 < efficiency <= 1:
            raise RecipeError(f'"{name}" is not a metric of graphs: write purity@E with an efficiency E above 0 and at most 1.')
        return cls(efficiency)
