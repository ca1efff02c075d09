"""Candidate graphs in figures: efficiency against the particles' properties, purity against efficiency, the choice of radius.

Systems are named "raw" (the scaled features themselves), "start" (the model before training) and "trained". Every function
returns a matplotlib `Figure` and keeps nothing. Efficiency and purity are those of signal (`likewise.evaluation.graphs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from likewise.evaluation.binned import BinnedEfficiency
from likewise.evaluation.degrees import Degrees
from likewise.evaluation.radius_scan import RadiusScan
from likewise.figures.style import COLORS, INK, baseline, styled

NAMES = {"raw": "raw features", "start": "start", "trained": "trained"}
HUES = {"raw": "static", "start": "start", "trained": "trained"}  # raw features are the cheap baseline of hits
MARKERS = {"raw": "s", "start": "D", "trained": "o"}  # for print without colour
BINS = 48  # of the histogram of neighbors
SPANS = ((0.05, 6), (0.1, 6), (0.2, 5), (0.3, 4), (0.5, 6), (1.0, 6))  # of an axis of efficiency down from 100%, and its ticks
LEAST = 0.01  # efficiencies below it are a handful of edges, whose purity is chance

Float = NDArray[np.floating]


def efficiency_against(systems: Mapping[str, BinnedEfficiency], label: str, *, log: bool = False) -> Figure:
    """The efficiency of each system in bins of one property, with Wilson intervals; below, how many signal edges a bin has.

    `label` names the property and its unit; `log` for a property that spans decades: a first bin that begins at 0 is drawn
    from a tenth of its upper limit, and its tick says 0. Bins at either end in which no edge lies are left out.
    """
    systems = _filled(systems)
    with styled(5.4, 3.5) as figure:
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4.6, 1))
        for place, (name, binned) in enumerate(systems.items()):
            _points(axes, binned, name, shift=place - (len(systems) - 1) / 2, log=log)
        edges, total = _same_bins(list(systems.values()))
        shown = _drawn(edges, log)
        counts.stairs(total, shown, fill=True, color=INK, alpha=0.14)
        _count_axis(counts, total)
        counts.set_xlabel(label)
        if log:
            counts.set_xscale("log")
        counts.set_xlim(shown[0], shown[-1])
        if log:
            _plain_log(counts, zero=shown[0] if edges[0] == 0 else None)
        _efficiency_axis(axes, [limit for binned in systems.values() for limit in binned.interval_95])
        axes.spines["bottom"].set_visible(False)
        figure.align_ylabels((axes, counts))
        baseline(counts)
        _legend(figure, axes)
        return figure


def radius_curves(scan: RadiusScan, *, radius: float | None = None) -> Figure:
    """Efficiency and purity of one system's graph at every radius; the radius chosen is marked, with both its values.

    The values are exact where the chosen radius is one of the scan's, else interpolated.
    """
    with styled(5.4, 4.2) as figure:
        panels = figure.subplots(2, 1, sharex=True)
        curves = (("efficiency", scan.signal_efficiency, "positive"), ("purity", scan.signal_purity, "hardest"))
        for axes, (name, values, color) in zip(panels, curves, strict=True):
            axes.plot(scan.radii, np.where(values > 0, values, np.nan), color=COLORS[color])
            axes.set_ylabel(name)
        _share_axis(panels[0])
        _purity_axis(panels[1], scan.signal_purity)
        if radius is not None:
            for axes, (_, values, color) in zip(panels, curves, strict=True):
                value = float(np.interp(radius, scan.radii, values))
                axes.axvline(radius, color=INK, linewidth=1, linestyle=(0, (3, 3)), alpha=0.6)
                if not np.isfinite(value):
                    continue
                axes.plot([radius], [value], "o", color=COLORS[color], markersize=6.5)
                near_top = axes is panels[0] and value > 0.5
                _tag(axes, _short_percent(value), (radius, value), above=not near_top)
            _above(panels[0], f"radius {radius:.3g}", radius)
        panels[1].set_xlim(0, float(scan.radii[-1]))
        panels[1].set_xlabel("radius")
        panels[0].spines["bottom"].set_visible(False)
        figure.align_ylabels(panels)
        baseline(panels[1])
        return figure


def purity_against_efficiency(systems: Mapping[str, RadiusScan], *, target: float | None = None) -> Figure:
    """The purity that each system pays for an efficiency, from 1% of it on; with a target, those that reach it are marked."""
    with styled(5.4, 4.2) as figure:
        axes = figure.subplots()
        for name, scan in systems.items():
            known = (scan.signal_efficiency >= LEAST) & (scan.signal_purity > 0)
            efficiency, purity = scan.signal_efficiency[known], scan.signal_purity[known]
            told = NAMES[name]
            style: Any = {"color": COLORS[HUES[name]], "linestyle": _line(name), "linewidth": 2.2 if name == "trained" else 1.8}
            if target is not None and len(efficiency) and efficiency[-1] >= target:
                reached = float(purity[np.searchsorted(efficiency, target)])  # a graph that reaches it, not one in between
                told = f"{told} {_short_percent(reached)}"
                axes.plot([target], [reached], MARKERS[name], color=style["color"], markersize=6.5, zorder=3)
            axes.plot(efficiency, purity, label=told, **style)
        _purity_axis(axes, np.concatenate([scan.signal_purity[scan.signal_efficiency >= LEAST] for scan in systems.values()]))
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(FuncFormatter(_percent))
        if target is not None:
            axes.axvline(target, color=INK, linewidth=1, linestyle=(0, (3, 3)), alpha=0.6, zorder=1)
        axes.set_xlabel("efficiency")
        axes.set_ylabel("purity")
        baseline(axes)
        _legend(figure, axes, None if target is None else f"purity at {_percent(target)} efficiency")
        return figure


def neighbors_histogram(systems: Mapping[str, Degrees]) -> Figure:
    """How many neighbors the hits have in each system's graph, on a logarithmic axis, with the mean of each."""
    with styled(5.4, 3.5) as figure:
        axes = figure.subplots()
        edges = _degree_bins(max(len(degrees.hits) for degrees in systems.values()))
        for name, degrees in systems.items():
            share = np.add.reduceat(np.pad(degrees.hits, (0, edges[-1] - len(degrees.hits))), edges[:-1]) / degrees.hits.sum()
            color = COLORS[HUES[name]]
            shown = edges + 1.0  # so that hits without neighbors have a place
            axes.stairs(share, shown, fill=True, color=color, alpha=0.22)
            told = f"{NAMES[name]} {_three_digits(degrees.mean)}"
            axes.stairs(share, shown, color=color, linewidth=1.7, label=told, linestyle=_line(name))
        axes.set_xscale("log")
        ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000) if tick < edges[-1]]
        axes.xaxis.set_major_locator(FixedLocator([tick + 1 for tick in ticks]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value - 1:,.0f}"))
        axes.set_xlim(1, edges[-1] + 1)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
        axes.set_xlabel("neighbours of a hit")
        axes.set_ylabel("hits")
        baseline(axes)
        _legend(figure, axes, "neighbours on average")
        return figure


def _points(axes: Axes, binned: BinnedEfficiency, name: str, *, shift: float, log: bool) -> None:
    """A point with its interval in every bin that has edges; systems stand a little apart, so that intervals do not hide."""
    low, high = binned.interval_95
    some = binned.total > 0
    edges = _drawn(binned.edges, log)
    left, right = (np.log(edges) if log else edges)[:-1], (np.log(edges) if log else edges)[1:]
    center = (left + right) / 2 + shift * 0.16 * (right - left)
    center = np.exp(center) if log else center
    color = COLORS[HUES[name]]
    axes.hlines(binned.efficiency[some], edges[:-1][some], edges[1:][some], color=color, linewidth=1.1, alpha=0.45)
    axes.vlines(center[some], low[some], high[some], color=color, linewidth=1.6)
    axes.plot(center[some], binned.efficiency[some], MARKERS[name], color=color, markersize=5, label=NAMES[name], clip_on=False)


def _filled(systems: Mapping[str, BinnedEfficiency]) -> dict[str, BinnedEfficiency]:
    """The same bins without those at either end that are empty; all of them where no bin has an edge."""
    _, total = _same_bins(list(systems.values()))
    some = np.flatnonzero(total)
    if not len(some):
        return dict(systems)
    bins, limits = slice(some[0], some[-1] + 1), slice(some[0], some[-1] + 2)
    return {
        name: replace(binned, edges=binned.edges[limits], found=binned.found[bins], total=binned.total[bins])
        for name, binned in systems.items()
    }


def _drawn(edges: NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """Where the limits of the bins stand on the axis: on a logarithmic one, 0 a decade below the first limit above it."""
    return np.concatenate([[edges[1] / 10], edges[1:]]) if log and edges[0] == 0 else edges


def _same_bins(systems: Sequence[BinnedEfficiency]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    first = systems[0]
    assert all(np.array_equal(first.edges, other.edges) for other in systems), "systems are compared in the same bins"
    return first.edges, first.total


def _efficiency_axis(axes: Axes, limits: Sequence[Float]) -> None:
    """As much of 0 to 100% as there is to see."""
    lowest = min((float(np.nanmin(each)) for each in limits if np.isfinite(each).any()), default=0.0)
    span, ticks = next(step for step in SPANS if 1 - lowest <= step[0] or step[0] == 1.0)
    axes.set_ylim(1 - span * 1.04, 1 + span * 0.04)
    axes.yaxis.set_major_locator(FixedLocator(np.linspace(1 - span, 1, ticks).tolist()))
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.set_ylabel("efficiency")


def _share_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_locator(FixedLocator(np.linspace(0, 1, 6).tolist()))
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))


def _count_axis(axes: Axes, total: NDArray[np.int64]) -> None:
    """How many, in decades: the rarest bins are those with the widest intervals."""
    top = 10.0 ** np.ceil(np.log10(max(int(total.max(initial=1)), 2)))
    axes.set_ylim(0.7, top * 1.4)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator([1, top]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("edges")


def _purity_axis(axes: Axes, purity: Float) -> None:
    """Decades of purity, as many as there are."""
    known = purity[np.isfinite(purity) & (purity > 0)]
    low = 10.0 ** np.floor(np.log10(float(known.min(initial=0.1))))
    high = 10.0 ** np.ceil(np.log10(float(known.max(initial=low))))
    axes.set_ylim(low, max(high, 10 * low))
    axes.set_yscale("log")
    subs = (1.0, 3.0) if low >= 0.01 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _percent(value)))


def _plain_log(axes: Axes, zero: float | None = None) -> None:
    """Ticks that are read at once: 0.5, 1, 2, 5 rather than powers; `zero` is where 0 stands, if it does."""
    low, high = axes.get_xlim()
    subs = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if zero is not None and value <= zero else f"{value:,g}"))


def _degree_bins(most: int) -> NDArray[np.int64]:
    """Limits of bins of whole numbers: each its own at first, then ever wider; the first is 0."""
    return np.unique(np.geomspace(1, max(most, 2) + 1, BINS).round().astype(np.int64)) - 1


def _tag(axes: Axes, text: str, at: tuple[float, float], *, above: bool, side: int = 1) -> None:
    """A value beside its point."""
    align = "left" if side > 0 else "right"
    offset = (6 * side, 5 if above else -5)
    place: Any = {"textcoords": "offset points", "ha": align, "va": "bottom" if above else "top", "fontsize": 9.5}
    axes.annotate(text, at, offset, fontweight="bold", **place)


def _above(axes: Axes, text: str, at: float) -> None:
    """A word on top of a vertical line."""
    place: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axes.annotate(text, (at, 1), (0, 3), ha="center", va="bottom", fontsize=9.5, **place)


def _line(name: str) -> Any:
    """The trained system's line is whole, the others' are dashed, so that print without colour tells them apart."""
    return {"raw": (0, (1.5, 1.5)), "start": (0, (5, 2))}.get(name, "-")


def _legend(figure: Figure, axes: Axes, title: str | None = None) -> None:
    handles, labels = axes.get_legend_handles_labels()
    place: Any = {"loc": "outside lower center", "ncols": min(len(labels), 3), "handlelength": 1.8, "columnspacing": 1.4}
    figure.legend(handles, labels, title=title, title_fontsize=9.5, **place)


def _percent(value: float, _: object = None) -> str:
    return f"{100 * value:.3g}%"


def _three_digits(value: float) -> str:
    """73.5, but 1,162 rather than 1.16e3."""
    return f"{value:.3g}" if not value >= 100 else f"{value:,.0f}"


def _short_percent(value: float) -> str:
    """Two digits that count: 34%, 3.4%, 0.034%."""
    return f"{100 * value:.2g}%" if value < 0.995 else "100%"
