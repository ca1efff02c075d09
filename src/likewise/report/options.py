"""The section [report]."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from likewise.options import Options


class ReportOptions(Options):
    """The HTML page of a run."""

    paths: ClassVar[tuple[str, ...]] = ("reference",)

    title: str | None = None
    """The page's title; None uses the recipe's name."""
    examples: int = Field(5, ge=0)
    """How many queries that gained most, and lost most, are shown with their results."""
    quality_threshold: float = Field(0.7, ge=0, le=1)
    """Vectors of pictures whose quality is lower are listed."""
    reference: str | None = None
    """An .npy file of vectors that are as they should be: quality then tells how far the new ones have drifted from them."""
    figures: tuple[Literal["pdf", "png"], ...] = ()
    """Also write every figure as a file of these kinds, for a paper or a talk, in report/KEY/figures."""
