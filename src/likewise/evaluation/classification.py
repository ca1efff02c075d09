"""How well the labels of a run's items are found by their neighbours, in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from likewise.evaluation.classify import Accuracy, LeftOut, leave_one_out
from likewise.evaluation.labels import LabeledItems


@dataclass(frozen=True, slots=True)
class Classification:
    """The accuracy of the labels in a column, and what it rests on.

    `held_out`: only the test split was counted. `near_duplicates`: they were looked for, not only equal vectors. `trained`: the
    model has learned from items that were counted.
    """

    column: str
    accuracy: Accuracy
    held_out: bool
    near_duplicates: bool
    trained: bool

    def sentences(self) -> tuple[str, ...]:
        """The result first, then what one must know to trust it."""
        return (self._result(), *self._conditions())

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON-able values."""
        return {**asdict(self), "sentences": list(self.sentences())}

    def _result(self) -> str:
        found = self.accuracy
        low, high = found.interval_95
        counted = f"{found.items:,} {'test items' if self.held_out else 'items'}"
        return (
            f"{found.accuracy:.1%} of {counted} get their own label from their {found.k} nearest labelled neighbours "
            f"(95% interval {low:.1%} to {high:.1%}); the most frequent label alone would be right for {found.largest:.1%}."
        )

    def _conditions(self) -> Iterator[str]:
        found = self.accuracy
        if found.items < found.countable:
            yield f"These were drawn from {found.countable:,} items; all of the {found.labeled:,} labelled ones vote."
        if found.alone:
            which = (
                "1 item is not counted, whose label"
                if found.alone == 1
                else f"{found.alone:,} items are not counted, whose label"
            )
            yield f"{which} no other item has, near-duplicates aside."
        if not self.near_duplicates:
            yield "Near-duplicates were not looked for (no [fingerprint]): only equal vectors do not vote for one another."
        elif found.with_near_duplicates is not None:
            yield f"Near-duplicates do not vote for each other; if they did, {found.with_near_duplicates:.1%} would be right."
        if self.trained:
            yield "The model was trained on items of this run, these among them: on new ones it may be right less often."


def measured(
    items: LabeledItems, column: str, k: int, *, near_duplicates: bool, trained: bool, seed: int
) -> tuple[Classification, LeftOut] | None:
    """How the labels of a column are found by leaving one out: of the test split where there is one, else of all.

    `trained`: the run's model has learned from its training split. None where no item can be counted.
    """
    found = leave_one_out(items.labeled, k, measured=items.held_out, seed=seed)
    if found is None:
        return None
    held_out = items.held_out is not None
    return Classification(column, found.accuracy, held_out, near_duplicates, trained and not held_out), found
