"""How good is a candidate graph? Efficiency and purity, by event and over all of them, with intervals over events.

After the Exa.TrkX project (Ju et al., "Performance of a geometric deep learning pipeline for HL-LHC particle tracking",
2021) and its acorn framework. Candidate edges count each unordered pair once. A true edge that is not *signal* (below the
transverse momentum asked for, say) is *masked*: a graph is neither praised nor blamed for it.

    efficiency          true edges found / true edges
    signal efficiency   signal edges found / signal edges
    purity              true edges found / all candidate edges
    signal purity       signal edges found / (signal edges found + false edges): masked ones are left out.
                        (acorn's "signal purity" keeps them below the line: signal edges found / all candidate edges.)
    F1                  the harmonic mean of signal efficiency and signal purity
    weighted            as signal, each found edge counting its weight and each false edge 1
    neighbors           candidate edges at each hit, from both sides
    cut                 the share of hits whose neighbors a cap cut

What is *true* (consecutive hits, or all pairs of a particle) is decided by who gives the true edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from likewise.evaluation.edges import FALSE, TRUE, TrueEdges, found_edges, label_edges
from likewise.evaluation.verdict import Rules, interval
from likewise.types import Edges, Float64

GraphMetric = Literal[
    "efficiency",
    "signal_efficiency",
    "purity",
    "signal_purity",
    "f1",
    "weighted_efficiency",
    "weighted_purity",
    "neighbors",
    "cut",
]
GRAPH_METRICS: tuple[GraphMetric, ...] = get_args(GraphMetric)


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What there is to count in one event, or in several: counts add up, `sum(counts, EventCounts())`.

    `cut` counts hits whose neighbors were cut. The last two are sums of the signal edges' weights.
    """

    hits: int = 0
    edges: int = 0
    true: int = 0
    true_found: int = 0
    signal: int = 0
    signal_found: int = 0
    cut: int = 0
    signal_weight: float = 0.0
    signal_weight_found: float = 0.0

    def __add__(self, other: EventCounts) -> EventCounts:
        if not isinstance(other, EventCounts):
            return NotImplemented
        return EventCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def false(self) -> int:
        """Candidate edges that are not true."""
        return self.edges - self.true_found

    @property
    def masked_found(self) -> int:
        """Candidate edges that are true, but not signal."""
        return self.true_found - self.signal_found

    def ratio(self, metric: GraphMetric) -> tuple[float, float]:
        """What stands above and below the line of a metric: each is a ratio of sums, so both add up over events."""
        match metric:
            case "efficiency":
                return self.true_found, self.true
            case "signal_efficiency":
                return self.signal_found, self.signal
            case "purity":
                return self.true_found, self.edges
            case "signal_purity":
                return self.signal_found, self.signal_found + self.false
            case "f1":
                return 2 * self.signal_found, self.signal + self.signal_found + self.false
            case "weighted_efficiency":
                return self.signal_weight_found, self.signal_weight
            case "weighted_purity":
                return self.signal_weight_found, self.signal_weight_found + self.false
            case "neighbors":
                return 2 * self.edges, self.hits
            case "cut":
                return self.cut, self.hits

    def value(self, metric: GraphMetric) -> float:
        """The metric; not a number where nothing stands below the line (no true edge, no candidate)."""
        above, below = self.ratio(metric)
        return above / below if below else math.nan


def count_event(edges: Edges[NDArray[np.generic]], true: TrueEdges) -> EventCounts:
    """Count one event. `edges`: each unordered pair once, as `each_pair_once` makes them; of any radius, capped or not."""
    label, place = label_edges(edges, true)
    found, weight = found_edges(place, true), true.weight.astype(np.float64)
    return EventCounts(
        hits=true.hits,
        edges=len(label),
        true=len(true),
        true_found=int(np.count_nonzero(label != FALSE)),
        signal=int(np.count_nonzero(true.signal)),
        signal_found=int(np.count_nonzero(label == TRUE)),
        cut=edges.cut,
        signal_weight=float(weight[true.signal].sum()),
        signal_weight_found=float(weight[true.signal & found].sum()),
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric over `events` events that have it: over all edges together (`micro`), and the mean of each event's value.

    The 95% intervals are percentile bootstraps that draw whole events; None with fewer than two. Not a number without any.
    """

    micro: float
    micro_interval_95: tuple[float, float] | None
    mean: float
    mean_interval_95: tuple[float, float] | None
    events: int


@dataclass(frozen=True, slots=True)
class GraphMetrics:
    """The metrics of the graphs of some events (see the head of this file), and the counts they come from."""

    events: int
    counts: EventCounts
    efficiency: Estimate
    signal_efficiency: Estimate
    purity: Estimate
    signal_purity: Estimate
    f1: Estimate
    weighted_efficiency: Estimate
    weighted_purity: Estimate
    neighbors: Estimate
    cut: Estimate

    def as_json(self) -> dict[str, Any]:
        """As JSON-able values; what is not a number becomes null."""
        found: dict[str, Any] = _without_nan(asdict(self))
        return found


def graph_metrics(counts: Sequence[EventCounts], rules: Rules | None = None) -> GraphMetrics:
    """The metrics over events, of which there is at least one; `rules` say how often to resample, and the seed."""
    assert counts, "at least one event"
    rules = rules or Rules()
    estimates: dict[str, Any] = {metric: _estimate(counts, metric, rules) for metric in GRAPH_METRICS}
    return GraphMetrics(events=len(counts), counts=sum(counts, EventCounts()), **estimates)


def event_values(counts: Sequence[EventCounts], metric: GraphMetric) -> Float64:
    """[events] float64: the metric of each event; not a number where it has none."""
    return np.array([each.value(metric) for each in counts], dtype=np.float64)


def _estimate(counts: Sequence[EventCounts], metric: GraphMetric, rules: Rules) -> Estimate:
    ratios = np.array([each.ratio(metric) for each in counts], dtype=np.float64)
    above, below = ratios[ratios[:, 1] > 0].T
    if not len(below):
        return Estimate(math.nan, None, math.nan, None, 0)
    values = above / below
    micro, mean = float(above.sum() / below.sum()), float(values.mean())
    return Estimate(micro, _interval(above, below, rules), mean, _interval(values, np.ones(len(values)), rules), len(values))


def _interval(above: Float64, below: Float64, rules: Rules) -> tuple[float, float] | None:
    if len(below) < 2:
        return None
    return interval(above, below, resamples=rules.resamples, seed=rules.seed)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
