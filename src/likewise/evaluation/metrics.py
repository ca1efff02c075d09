"""The names of retrieval metrics. Nothing heavy is imported: recipes are checked with this."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self

from likewise.errors import RecipeError

Kind = Literal["ndcg", "recall", "precision", "hit", "mrr", "map", "map@r"]

LABELS: dict[Kind, str] = {
    "ndcg": "nDCG", "recall": "recall", "precision": "precision", "hit": "hit", "mrr": "MRR", "map": "MAP", "map@r": "MAP@R"
}  # fmt: skip
FORMS = (
    "ndcg@K, recall@K, precision@K, hit@K, mrr@K or map@K with K at least 1, map (the whole ranking) or map@r (K = the query's "
    "positives)"
)

_CUT: dict[str, Kind] = {
    "ndcg": "ndcg", "recall": "recall", "precision": "precision", "hit": "hit", "mrr": "mrr", "map": "map"
}  # fmt: skip
_WHOLE: dict[str, Kind] = {"map": "map", "map@r": "map@r"}


@dataclass(frozen=True, slots=True)
class Metric:
    """A retrieval metric: its kind, and after how many results it stops looking (None: never, or by the query)."""

    kind: Kind
    k: int | None

    @classmethod
    def parse(cls, name: str) -> Self:
        """The metric of a name such as "ndcg@10"; RecipeError for an unknown one, with the known forms."""
        if name in _WHOLE:
            return cls(_WHOLE[name], None)
        found = re.fullmatch(r"([a-z]+)@([1-9][0-9]*)", name)
        if not found or found[1] not in _CUT:
            raise RecipeError(f'"{name}" is not a metric: write {FORMS}.')
        return cls(_CUT[found[1]], int(found[2]))

    @property
    def name(self) -> str:
        """As written in recipes and files."""
        return self.kind if self.k is None else f"{self.kind}@{self.k}"

    @property
    def label(self) -> str:
        """As written for people: nDCG@10."""
        return LABELS[self.kind] if self.k is None else f"{LABELS[self.kind]}@{self.k}"


def label(name: str) -> str:
    """A metric's name as written for people; names that are not retrieval metrics stay as they are."""
    try:
        return Metric.parse(name).label
    except RecipeError:
        return name
