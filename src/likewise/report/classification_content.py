"""What the page says of labels that are found by their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from likewise.evaluation.classification import Classification
from likewise.figures.confusion import MOST_LABELS
from likewise.report.picture_content import Gallery

CONFUSIONS, RARELY_FOUND = 10, 10  # lines of the two tables


@dataclass(frozen=True, slots=True, eq=False)
class FoundLabels:
    """How often labels are found, and the mistakes that all voters agreed on, as pictures."""

    result: Classification
    mistakes: Sequence[Gallery]

    @property
    def drawn(self) -> bool:
        """Whether there are few enough labels for a matrix that can be read."""
        return len(self.result.accuracy.labels) <= MOST_LABELS

    @property
    def confusions(self) -> Sequence[Sequence[str]]:
        """The most frequent mistakes: what an item is, what it is taken for, how often."""
        return [(each.label, each.taken_for, f"{each.items:,}") for each in self.result.accuracy.confusions[:CONFUSIONS]]

    @property
    def rarely_found(self) -> Sequence[Sequence[str]]:
        """The labels found least often: items, the share that is found, and how often the label is right where it is given."""
        labels = [each for each in self.result.accuracy.labels if each.recall is not None]
        worst = sorted(labels, key=lambda each: (each.recall, -each.items))[:RARELY_FOUND]
        return [(each.label, f"{each.items:,}", _share(each.recall), _share(each.precision)) for each in worst]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
