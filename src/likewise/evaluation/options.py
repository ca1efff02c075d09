"""The section [evaluate]."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from likewise.evaluation.metrics import Metric
from likewise.options import Options
from likewise.types import Scope

Baseline = Literal["bm25", "static", "pixels"]
BASELINES: dict[str, tuple[Baseline, ...]] = {"text": ("bm25", "static"), "image": ("pixels",)}
"""By the kind of items."""


class EvaluateOptions(Options):
    """Retrieval: how the trained model is measured against the one it started from, on the test split."""

    scope: ClassVar[Scope] = "corpus"

    kind: Literal["retrieval"] = "retrieval"
    metric: str = "ndcg@10"
    """What the verdict is about: ndcg@K, recall@K, precision@K, hit@K (whether any positive is among the first K, which metric
    learning calls recall@K), mrr@K, map@K, map (the whole ranking) or map@r (K = the query's positives)."""
    others: tuple[str, ...] = ("recall@1", "recall@10", "recall@100", "mrr@10", "map@100")
    """Further metrics in the report."""
    baselines: tuple[Baseline, ...] | None = None
    """Cheap models measured beside. Of texts "bm25" (their words) and "static" (token embeddings trained on the same pairs), of
    pictures "pixels" (16 × 16 colour thumbnails); None takes all of the items' kind."""
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


class GraphEvaluateOptions(Options):
    """Candidate graphs: how pure they are at a given efficiency, with the start, the trained model and raw features."""

    scope: ClassVar[Scope] = "shard"

    kind: Literal["graph"] = "graph"
    efficiency: float = Field(0.98, gt=0, le=1)
    """The share of signal edges that a graph must hold; the radius is solved for it, of each model by itself."""
    radius: float | None = Field(None, gt=0)
    """Measure at this radius, too, the same for every model; None only at the solved one."""
    resamples: int = Field(10_000, ge=100)
    """Bootstrap resamples of the events."""
    smallest_units: int = Field(5, ge=2)
    """With fewer test events the verdict is "too few to tell"."""
    negligible: float = Field(0.01, gt=0)
    """The smallest difference of purity that matters."""


EVALUATE_KINDS: dict[str, type[Options]] = {"retrieval": EvaluateOptions, "graph": GraphEvaluateOptions}
