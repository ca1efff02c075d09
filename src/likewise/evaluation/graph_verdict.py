"""The verdict on graphs: the same events before and after training, paired, one value for each event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from likewise.evaluation.digits import decimals_of_change, plain, signed
from likewise.evaluation.graphs import EventCounts, GraphMetric, event_values
from likewise.evaluation.verdict import Rules, judge
from likewise.types import Verdict

NAMES: dict[str, str] = {"f1": "F1"}
KEPT = "no trained checkpoint was better on validation, so the model you began with is kept"


@dataclass(frozen=True, slots=True)
class Wording:
    """How a verdict's sentence calls the metric, and the events ("held-out" stands before "events", `which` after it).

    `kept` says why the model is the start, where it is.
    """

    metric: str
    kind: str = ""
    which: str = ""
    kept: str = KEPT

    def events(self, count: int) -> str:
        """So many events, of this kind."""
        words = (f"{count:,}", self.kind, "event" if count == 1 else "events", self.which)
        return " ".join(word for word in words if word)


def graph_verdict(
    before: Sequence[EventCounts],
    after: Sequence[EventCounts],
    *,
    metric: GraphMetric,
    rules: Rules,
    chosen: Literal["start", "trained"] = "trained",
) -> Verdict | None:
    """The verdict on one metric from the counts of the same events in the same order; None where no event has the metric.

    The unit is the event: values are means of the events', the paired bootstrap draws events, and wins and losses count them.
    Two graphs are only comparable by purity at the same efficiency: solve the radius of both for it (`radius_for`).
    """
    assert len(before) == len(after), "the same events"
    assert all(a.hits == b.hits and a.true == b.true for a, b in zip(before, after, strict=True)), "the same events in order"
    first, second = event_values(before, metric), event_values(after, metric)
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        return None
    verdict = judge(first[known], second[known], metric=metric, rules=rules, unit="event", chosen=chosen)
    return replace(verdict, sentence=sentence(verdict, Wording(NAMES.get(metric, metric.replace("_", " ")))))


def sentence(verdict: Verdict, wording: Wording) -> str:
    """A verdict on the model handed over against its start, in words."""
    if verdict.chosen == "start":
        return f"{verdict.verdict}: {wording.kept} ({wording.metric} {plain(verdict.after)}, {wording.events(verdict.units)})."
    numbers = f"{wording.metric} from {plain(verdict.before)} to {plain(verdict.after)} ({_sure(verdict, wording)})"
    return f"{verdict.verdict}: {numbers}{_needed(verdict)}."


def against(verdict: Verdict, baseline: str, wording: Wording) -> str:
    """A sentence on a verdict whose `before` is a baseline and whose `after` is the model handed over."""
    numbers = f"{wording.metric} {plain(verdict.after)} against {plain(verdict.before)} ({_sure(verdict, wording)})"
    match verdict.verdict:
        case "better":
            return f"better than {baseline}: {numbers}."
        case "worse":
            return f"{baseline} win: the model handed over has {numbers}."
        case "no difference shown":
            return f"no difference from {baseline} shown: {numbers}."
        case "too few to tell":
            return f"too few to tell against {baseline}: {numbers}{_needed(verdict)}."


def _sure(verdict: Verdict, wording: Wording) -> str:
    """The difference and how sure it is; one event has no interval."""
    low, high = verdict.interval_95
    places = decimals_of_change(verdict.before, verdict.after, verdict.difference, low, high)
    change, events = signed(verdict.difference, places), wording.events(verdict.units)
    if verdict.units == 1:
        return f"{change}, {events}"
    interval = f"95% interval {signed(low, places)} to {signed(high, places)}"
    return f"{change}, {interval}, {events}; {verdict.wins:,} won, {verdict.losses:,} lost"


def _needed(verdict: Verdict) -> str:
    return f"; about {verdict.needed:,} events would do" if verdict.needed is not None else ""
