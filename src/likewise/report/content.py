"""What the page says, as frozen types: read from the artifacts of a run by `reading`, drawn by the template.

A part that is None or empty has no data in this run, and the page leaves it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from likewise.evaluation.digits import decimals_of_change
from likewise.report.classification_content import FoundLabels
from likewise.report.graph_content import Graphs
from likewise.report.picture_content import Pictures
from likewise.types import Float64, Int64

Tone = Literal["good", "bad", "neutral", "unsure"]

TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "no difference shown": "neutral", "too few to tell": "unsure"}


@dataclass(frozen=True, slots=True)
class Rival:
    """A baseline beside the model handed over: `difference` is the model's minus the baseline's."""

    name: str
    color: str
    value: float
    difference: float
    low: float
    high: float
    tone: Tone
    sentence: str


@dataclass(frozen=True, slots=True)
class Part:
    """The verdict on some of the queries."""

    tone: Tone
    sentence: str


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict."""

    word: str
    tone: Tone
    metric: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    unit: str
    units: int
    wins: int
    losses: int
    chosen: str
    held_out: bool
    sentence: str
    rivals: Sequence[Rival]
    parts: Sequence[Part]

    @property
    def compared(self) -> bool:
        """Whether there is a trained model beside the start."""
        return self.chosen == "trained"

    @property
    def places(self) -> int:
        """Decimals that the difference needs."""
        return decimals_of_change(self.before, self.after, self.difference)

    @property
    def sure(self) -> bool:
        """Whether there is an interval: a single unit has none."""
        return self.units > 1


@dataclass(frozen=True, slots=True)
class OtherMetric:
    """One line of the table of metrics: each system's mean in the order of `Measures.systems`, and the change."""

    label: str
    values: Sequence[float | None]
    best: int
    difference: float | None
    low: float | None
    high: float | None
    tone: Tone | None


@dataclass(frozen=True, slots=True)
class Measures:
    """Every metric of every system, and how similar right and wrong documents are."""

    systems: Sequence[str]
    metrics: Sequence[OtherMetric]
    separation: Sequence[OtherMetric]
    queries: int
    documents: int
    positives: int
    without_positives: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What people see of an item: its text, or of a picture its id (and group) beside a small one, as a data URI."""

    text: str
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One document in a query's results."""

    rank: int
    score: float
    shown: Shown
    positive: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A query whose metric changed, and what it was answered before and after."""

    shown: Shown
    before: float
    after: float
    rank_before: int
    rank_after: int
    results_before: Sequence[Result]
    results_after: Sequence[Result]


@dataclass(frozen=True, slots=True)
class Examples:
    """The queries that gained and that lost most, largest change first, of all queries' changes [Q]."""

    gained: Sequence[Example]
    lost: Sequence[Example]
    changes: Float64

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """How many queries won, lost and stayed."""
        return (
            ("better", int((self.changes > 0).sum())),
            ("worse", int((self.changes < 0).sum())),
            ("unchanged", int((self.changes == 0).sum())),
        )


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a file, already in words: the first rows, and how many there are in all."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    total: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers with their names, and tables that belong to them."""

    title: str
    numbers: Sequence[tuple[str, str]]
    tables: Sequence[tuple[str, Table]]


@dataclass(frozen=True, slots=True)
class SuspiciousNegative:
    """A candidate that scores above what is known to be right."""

    query: Shown
    negative: Shown
    negative_score: float
    positive: Shown
    positive_score: float


@dataclass(frozen=True, slots=True)
class Training:
    """The loss by step, the validation metric by step, and what was chosen: on which split, against which items."""

    steps: Int64
    losses: Float64
    evaluated: Int64
    metric: str
    title: str
    chosen_on: str
    measured_on: str
    validation: Float64
    start: float | None
    chosen_step: int | None
    chosen: str
    facts: Facts | None


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage took; the shares are of the longest and of the largest."""

    name: str
    seconds: float
    memory: int
    time_share: float
    memory_share: float
    skipped: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the recipe: keys and values as resolved."""

    name: str
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line, k from 1."""

    name: str
    values: Float64


@dataclass(frozen=True, slots=True)
class Similarities:
    """Of one model: to right documents, to random ones, and to the hardest wrong ones."""

    title: str
    positive: np.ndarray[Any, Any]
    random: np.ndarray[Any, Any]
    hardest: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """The page."""

    title: str
    run: str
    headline: Headline | None
    measures: Measures | None
    curves: Sequence[Curve]
    similarities: Sequence[Similarities]
    training: Training | None
    examples: Examples | None
    suspicious: Sequence[SuspiciousNegative]
    suspicious_total: int
    graphs: Graphs | None
    classification: FoundLabels | None
    pictures: Pictures | None
    data: Sequence[Facts]
    events: Table | None
    stages: Sequence[Stage]
    recipe: Sequence[Section]
    versions: Sequence[tuple[str, str]]
