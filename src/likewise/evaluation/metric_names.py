"""Every name of a metric that may choose a model. Nothing heavy is imported: recipes are checked with this."""

from __future__ import annotations

from likewise.errors import RecipeError
from likewise.evaluation.graph_metrics import PurityAt
from likewise.evaluation.metrics import FORMS, Metric
from likewise.types import Scope


def check_metric(name: str) -> Scope:
    """The scope of the evidence that a metric measures by; RecipeError for an unknown one, with the known forms."""
    try:
        Metric.parse(name)
        return "corpus"
    except RecipeError:
        pass
    try:
        PurityAt.parse(name)
        return "shard"
    except RecipeError:
        raise RecipeError(f'"{name}" is not a metric: write {FORMS}; for graphs purity@E.') from None
