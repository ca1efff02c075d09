"""The section [report]."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likewise.options import Options


class ReportOptions(Options):
    """The HTML page of a run."""

    title: str | None = None
    """The page's title; None uses the recipe's name."""
    examples: int = Field(5, ge=0)
    """How many queries that gained most, and lost most, are shown with their results."""
    figures: tuple[Literal["pdf", "png"], ...] = ()
    """Also write every figure as a file of these kinds, for a paper or a talk, in report/KEY/figures."""
