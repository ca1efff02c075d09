"""The section [result] for candidate graphs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from likewise.options import Options


class GraphResultOptions(Options):
    """One candidate graph per event, of every split, by the model handed over."""

    implementation: ClassVar[str] = "likewise.graphs.stage:keep_graphs"

    kind: Literal["graph"] = "graph"
    radius: float | None = Field(None, gt=0)
    """How far apart hits may be that are joined; None takes the radius that [evaluate] solved for its efficiency."""
    max_neighbors: int | None = Field(None, ge=1)
    """Keep at most so many neighbors of each hit, the nearest; None keeps all within the radius."""
    flip: bool = False
    """Turn half of the edges, drawn with the recipe's seed, to point inward; otherwise all point outward."""
    tables: bool = False
    """Also write nodes, edges and true edges as Parquet."""
