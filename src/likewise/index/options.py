"""The section [result] for results that are searched."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from likewise.options import Options


class IndexOptions(Options):
    """A searchable index of the documents' vectors."""

    implementation: ClassVar[str] = "likewise.index.build:build_index"

    kind: Literal["index"] = "index"
    type: Literal["auto", "flat", "ivf"] = "auto"
    """"auto" is exact ("flat") below 20,000 vectors and inverted lists ("ivf") above."""
    recall_target: float = Field(0.95, gt=0, le=1)
    """Tune an ivf index until its recall@10 on held-out queries reaches this; it is measured and stored."""
    held_out: int = Field(1000, ge=1)
    """Queries used to measure the recall."""


class VectorsOptions(Options):
    """Only the vectors and their ids."""

    implementation: ClassVar[str] = "likewise.index.build:keep_vectors"

    kind: Literal["vectors"] = "vectors"
