"""The section [report]."""

from __future__ import annotations

from pydantic import Field

from likewise.options import Options


class ReportOptions(Options):
    """The HTML page of a run."""

    title: str | None = None
    """The page's title; None uses the recipe's name."""
    examples: int = Field(5, ge=0)
    """How many queries that gained most, and lost most, are shown with their results."""
