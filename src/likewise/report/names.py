"""What systems and metrics are called on the page, and which colour each system has."""

from __future__ import annotations

from likewise.errors import RecipeError
from likewise.evaluation.graph_metrics import PurityAt
from likewise.evaluation.metrics import label

SYSTEMS = {"start": "start", "trained": "trained", "bm25": "BM25", "static": "static", "pixels": "pixels", "raw": "raw features"}
COLORS = {
    "bm25": "bm25",
    "static": "static",
    "pixels": "static",
    "raw": "static",
}  # of a rival, by its key; raw features are the cheap baseline of hits


def metric_label(name: str) -> str:
    """A metric's name as written for people: nDCG@10, purity at 98% efficiency."""
    try:
        return f"purity at {100 * PurityAt.parse(name).efficiency:g}% efficiency"
    except RecipeError:
        return label(name)
