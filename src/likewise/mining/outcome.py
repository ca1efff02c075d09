"""What mining did, in numbers: how many candidates there were and what became of each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from likewise.mining.suspicious import Suspicious


@dataclass(frozen=True, slots=True)
class Removed:
    """How many candidates were looked at, and how many each filter removed; a candidate counts for the first that removes it."""

    candidates: int = 0
    known_positive: int = 0
    near_duplicate: int = 0
    known_negative: int = 0
    range_min: int = 0
    max_score: int = 0
    min_score: int = 0
    absolute_margin: int = 0
    relative_margin: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def by_filter(self) -> dict[str, int]:
        """How many each filter removed, in the order in which they are asked."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "candidates"}

    @property
    def passed(self) -> int:
        """How many candidates no filter removed."""
        return self.candidates - sum(self.by_filter.values())


@dataclass(frozen=True, slots=True)
class MiningReport:
    """What mining did for `anchors` queries over `documents` documents.

    `chosen` negatives were mined; `known` came with the data, and `contradicted` of these were left out because a
    near-duplicate of the document is a positive. `fewer` anchors got fewer mined negatives than asked, `none` have no
    negative at all. `suspicious` holds the candidates that score above their positive.
    """

    anchors: int
    documents: int
    removed: Removed
    chosen: int
    known: int
    contradicted: int
    fewer: int
    none: int
    suspicious: Suspicious

    def as_json(self) -> dict[str, Any]:
        """The numbers, for mining.json."""
        return {
            "anchors": self.anchors,
            "documents": self.documents,
            "candidates": self.removed.candidates,
            "removed": self.removed.by_filter,
            "passed": self.removed.passed,
            "chosen": self.chosen,
            "known_negatives": self.known,
            "known_negatives_contradicted": self.contradicted,
            "anchors_with_fewer": self.fewer,
            "anchors_with_none": self.none,
            "suspicious": len(self.suspicious),
        }

    def sentences(self, asked: int) -> list[str]:
        """What a user should hear; `asked` negatives were wanted for each anchor."""
        known = f", beside {self.known:,} that came with the data" if self.known else ""
        told = [f"Mined {self.chosen:,} negatives for {self.anchors:,} queries among {self.documents:,} documents{known}."]
        if self.fewer:
            told.append(f"{self.fewer:,} queries got fewer than {asked}: {self._hardest()}.")
        if self.none:
            told.append(f"{self.none:,} queries have no negative; their pairs are trained with those of the batch.")
        if self.contradicted:
            told.append(
                f"{self.contradicted:,} negatives of the data were left out: a near-duplicate of the document is a positive."
            )
        if len(self.suspicious):
            told.append(
                f"{len(self.suspicious):,} candidates that score above their positive are in suspicious.csv, to be marked."
            )
        return told

    def _hardest(self) -> str:
        """What removed most, and how many."""
        name, count = max(self.removed.by_filter.items(), key=lambda removed: removed[1])
        return f"most candidates were removed by {name} ({count:,})" if count else "there are too few documents"
