"""The graphs of two runs, compared event by event, from what their evaluations left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from likewise.artifacts.artifact import Folder
from likewise.evaluation.graph_verdict import graph_verdict
from likewise.evaluation.graphs import EventCounts
from likewise.evaluation.verdict import Rules
from likewise.types import Verdict

LABELS: Mapping[str, str] = {"after": "handed over", "before": "start", "raw": "raw features"}
METRICS = ("signal_purity", "signal_efficiency", "purity", "efficiency", "neighbors")


def measured_graphs(evaluation: Folder) -> dict[tuple[str, str], float]:
    """(system, metric) → the metric over all edges of all events, at the radius solved for the system; without unknown ones."""
    systems = evaluation.json("graphs.json")["systems"]
    return {
        (label, metric): float(value)
        for system, label in LABELS.items()
        for metric in METRICS
        if (value := systems[system]["metrics"][metric]["micro"]) is not None
    }


def common_events(first: Folder, second: Folder) -> tuple[list[EventCounts], list[EventCounts]]:
    """What the models handed over have in the events that both runs measured: of one name, with the same hits and edges."""
    ours, theirs = _counts(first), _counts(second)
    same = [name for name, counts in ours.items() if name in theirs and _asked(counts) == _asked(theirs[name])]
    return [ours[name] for name in same], [theirs[name] for name in same]


def graphs_against(first: Folder, second: Folder, rules: Rules) -> Verdict | None:
    """The second run's model against the first's: signal purity over the events of both; None where there is none.

    To be asked only where both evaluations solved their radii for one efficiency: otherwise purities do not compare.
    """
    before, after = common_events(first, second)
    return graph_verdict(before, after, metric="signal_purity", rules=rules) if before else None


def _counts(evaluation: Folder) -> dict[str, EventCounts]:
    names = [field.name for field in fields(EventCounts)]
    rows: list[dict[str, Any]] = evaluation.table("events.parquet").to_pylist()
    return {row["event"]: EventCounts(**{name: row[name] for name in names}) for row in rows if row["system"] == "after"}


def _asked(counts: EventCounts) -> tuple[int, int, int]:
    """What an event asks of a graph, whatever is found of it."""
    return counts.hits, counts.true, counts.signal
