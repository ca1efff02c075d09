"""Arrays to figures: training curves, similarities, recall, the verdict's intervals, gains and losses.

Every function returns a matplotlib `Figure` and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from likewise.figures.style import COLORS, INK, NAMES, baseline, styled

BARS = 400  # more could not be told apart, and every one is text in the page

Numbers = NDArray[np.floating] | NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of the verdict's figure: against whom, by how much, and its 95% interval; `kind` names a colour."""

    name: str
    kind: str
    difference: float
    low: float
    high: float


def quality_histogram(scores: NDArray[np.float64]) -> Figure:
    """How many vectors have which quality, in [0, 1], on a logarithmic axis: the few that are bad are to be seen."""
    with styled(8.6, 2.6) as figure:
        axes = figure.subplots()
        counts, edges = np.histogram(scores, bins=40, range=(0.0, 1.0))
        axes.stairs(counts, edges, fill=True, color=COLORS["trained"], alpha=0.85, baseline=0.5)
        axes.set_yscale("log")
        axes.set_ylim(0.5, max(10.0, 2.0 * float(counts.max(initial=1))))
        axes.set_xlim(0, 1)
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("quality")
        axes.set_ylabel("vectors")
        baseline(axes)
        return figure


def verdict_intervals(lines: Sequence[Difference], label: str) -> Figure:
    """The differences of the model handed over against each other system, one below the other; zero is no difference."""
    with styled(5.4, 0.8 + 0.46 * len(lines)) as figure:
        axes = figure.subplots()
        places = np.arange(len(lines))[::-1]
        axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (3, 3)), alpha=0.6)
        for place, line in zip(places, lines, strict=True):
            color = COLORS[line.kind]
            axes.plot([line.low, line.high], [place, place], color=color, linewidth=3)
            axes.plot([line.difference], [place], "o", color=color, markersize=8)
        low = min(0.0, *(line.low for line in lines))
        high = max(0.0, *(line.high for line in lines))
        room = 0.12 * max(high - low, 1e-3)
        axes.set_xlim(low - room, high + room)
        axes.set_ylim(-0.6, len(lines) - 0.4)
        axes.set_yticks(places, [line.name for line in lines])
        axes.grid(False)
        axes.grid(True, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(_signed))
        axes.set_xlabel(f"difference of {label}, with its 95% interval")
        baseline(axes)
        return figure


def loss_curve(steps: Numbers, losses: Numbers) -> Figure:
    """The training loss at each logged step, and its running mean where there are many."""
    with styled() as figure:
        axes = figure.subplots()
        many = len(steps) >= 30
        axes.plot(steps, losses, color=COLORS["trained"], alpha=0.35 if many else 1, linewidth=1.2 if many else 2)
        if many:
            axes.plot(steps, _smooth(np.asarray(losses, dtype=np.float64)), color=COLORS["trained"])
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        _step_axis(axes, steps)
        axes.set_ylim(bottom=min(0.0, float(np.min(losses))))
        return figure


def validation_curve(steps: Numbers, values: Numbers, *, start: float | None, chosen: int | None, label: str) -> Figure:
    """A validation metric by step; the start as a dashed line, the step that was chosen marked."""
    with styled() as figure:
        axes = figure.subplots()
        if start is not None:
            axes.axhline(start, color=COLORS["start"], linestyle=(0, (5, 3)), linewidth=1.6)
            place: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            axes.annotate("start", (1, start), (0, 4), ha="right", va="bottom", **place)
        axes.plot(steps, values, "o-", color=COLORS["trained"], markersize=4.5, clip_on=False)
        for step, value in zip(steps, values, strict=True):
            if step == chosen:
                axes.plot([step], [value], "o", markersize=11, markerfacecolor="none", markeredgewidth=2, color=COLORS["trained"])
                axes.annotate("chosen", (step, value), (0, 11), textcoords="offset points", ha="center", va="bottom")
        axes.margins(y=0.25)
        axes.set_xlabel("step")
        axes.set_ylabel(f"{label}, validation")
        _step_axis(axes, steps)
        return figure


@dataclass(frozen=True, slots=True)
class Scores:
    """Similarities to positives, to documents drawn at random, and to the hardest wrong document of each query; 1-D, finite."""

    positive: Numbers
    random: Numbers
    hardest: Numbers


def score_distributions(panels: Mapping[str, Scores]) -> Figure:
    """How similar the right and the wrong documents are: one panel for each model, on one scale."""
    with styled(5.4, 0.7 + 1.45 * len(panels)) as figure:
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        edges = _edges([values for scores in panels.values() for values in (scores.positive, scores.random, scores.hardest)])
        kinds = (("random", "random document"), ("hardest", "hardest wrong document"), ("positive", "right document"))
        for axes, (title, scores) in zip(grid, panels.items(), strict=True):
            for kind, name in kinds:
                values = np.asarray(getattr(scores, kind))
                if len(values):
                    share = np.histogram(values, edges)[0] / len(values)
                    axes.stairs(share, edges, fill=True, color=COLORS[kind], alpha=0.28)
                    axes.stairs(share, edges, color=COLORS[kind], linewidth=1.6, label=name)
            axes.set_title(title)
            axes.set_yticks([])
            axes.set_ylim(bottom=0)
            baseline(axes)
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=3, handlelength=1.1, columnspacing=1.2)
        return figure


def recall_curves(curves: Mapping[str, Numbers]) -> Figure:
    """Recall among the first k results, k from 1, of each system by name (start, trained, bm25, static, pixels)."""
    with styled(5.4, 3.6) as figure:
        axes = figure.subplots()
        depth = max(len(curve) for curve in curves.values())
        for name, curve in curves.items():
            kept = name in ("start", "trained")
            style = "-" if kept else (0, (4, 2))
            color = COLORS.get(name, COLORS["static"])  # of pictures there is no other cheap baseline than pixels
            line: Any = {"color": color, "linestyle": style, "linewidth": 2.2 if kept else 1.6, "label": NAMES[name]}
            axes.plot(np.arange(1, len(curve) + 1), curve, **line)
        axes.set_xscale("log")
        axes.set_xlim(1, max(depth, 2))
        axes.xaxis.set_major_locator(FixedLocator([tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick <= max(depth, 2)]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
        axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        axes.set_xlabel("results looked at")
        axes.set_ylabel("positives found")
        figure.legend(loc="outside lower center", ncols=len(curves), handlelength=1.6, columnspacing=1.4)
        baseline(axes)
        return figure


def gains_and_losses(differences: Numbers, label: str) -> Figure:
    """Every query's change, largest gain first: what was won on the left, what was lost on the right."""
    with styled(5.4, 2.4) as figure:
        axes = figure.subplots()
        falling = np.sort(np.asarray(differences, dtype=np.float64))[::-1]
        count = len(falling)
        if count > BARS:
            falling = falling[np.linspace(0, count - 1, BARS).round().astype(np.int64)]
        edges = np.linspace(0, count, len(falling) + 1)
        axes.stairs(np.maximum(falling, 0), edges, fill=True, color=COLORS["gain"], alpha=0.85)
        axes.stairs(np.minimum(falling, 0), edges, fill=True, color=COLORS["loss"], alpha=0.85)
        axes.axhline(0, color=INK, linewidth=0.8, alpha=0.5)
        axes.set_xlim(0, count)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(_signed))
        axes.set_xlabel("queries, sorted")
        axes.set_ylabel(f"change of {label}")
        axes.spines["bottom"].set_visible(False)
        return figure


def _step_axis(axes: Axes, steps: Numbers) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(left=min(0, int(np.min(steps))))
    baseline(axes)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the neighbourhood of each value: a twentieth of them to either side, less at the ends."""
    reach = max(1, len(values) // 20)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    low, high = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(values))
    smoothed: NDArray[np.float64] = (sums[high] - sums[low]) / (high - low)
    return smoothed


def _edges(parts: Sequence[Numbers]) -> NDArray[np.float64]:
    """Edges of 40 bins over all values."""
    low = min(float(values.min()) for values in parts if len(values))
    high = max(float(values.max()) for values in parts if len(values))
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges: NDArray[np.float64] = np.linspace(low, high, 41)
    return edges


def _signed(value: float, _: object = None) -> str:
    """A tick with its sign, zero without one."""
    text = f"{value:+.3g}".replace("-", "−")
    return "0" if abs(value) < 1e-12 else text
