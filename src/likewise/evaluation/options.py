"""The section [evaluate]."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from likewise.evaluation.metrics import Metric
from likewise.options import Options


class EvaluateOptions(Options):
    """How the trained model is measured against the one it started from, on the test split."""

    metric: str = "ndcg@10"
    """What the verdict is about: ndcg@K, recall@K, mrr@K, map@K, map (the whole ranking) or map@r (K = the query's positives)."""
    others: tuple[str, ...] = ("recall@1", "recall@10", "recall@100", "mrr@10", "map@100")
    """Further metrics in the report."""
    baselines: tuple[Literal["bm25", "static"], ...] = ("bm25", "static")
    """Cheap models measured beside: words (BM25) and token embeddings trained on the same pairs."""
    resamples: int = Field(10_000, ge=100)
    """Bootstrap resamples of the units."""
    smallest_units: int = Field(25, ge=2)
    """With fewer test units the verdict is "too few to tell"."""
    negligible: float = Field(0.02, gt=0)
    """The smallest difference that matters: where none is shown and the interval is wider than twice this: "too few to tell"."""

    @field_validator("metric", "others")
    @classmethod
    def _known(cls, names: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in [names] if isinstance(names, str) else names:
            Metric.parse(name)
        return names
