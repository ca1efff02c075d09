"""An event seen along the beam and from the side, with one particle and what a graph joins its hits to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from likewise.figures.style import COLORS, styled
from likewise.types import Int64

DOTS_PER_INCH = 200  # of the hits, which are an image within the figure: a hundred thousand would be too many to draw
PANEL, SIDE = 4.2, 2.3  # inches: the width of a column and the height of its panel from the side
LEFT, BETWEEN = 0.85, 0.25  # inches beside the panels
BELOW, GAP, ABOVE = 0.9, 0.65, 0.5  # inches: under the panels for the key, between them, over them for the titles
FLAT = 0.4  # of a column's width: the least height of a wedge's transverse panel
DRAWN = 300  # edges of one kind in a panel; more become part of the image

Float = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class DisplayHits:
    """All hits of an event in mm, [n] each, and the rows of the chosen particle's hits, from the inside outward [m]."""

    x: Float
    y: Float
    z: Float
    chosen: Int64


@dataclass(frozen=True, slots=True, eq=False)
class DisplayEdges:
    """The edges of one graph that touch the chosen particle's hits: `index` [2, e] rows; `true` [e] bool.

    Where only consecutive hits are true edges, the particle's other pairs are drawn, and counted, as a kind of their own.
    """

    title: str
    index: Int64
    true: NDArray[np.bool_]


def touching(index: Int64, chosen: Int64) -> NDArray[np.bool_]:
    """[E]: which edges [2, E] of a graph have an end among the chosen hits."""
    touched: NDArray[np.bool_] = np.logical_or(*np.isin(index, chosen))
    return touched


def edge_kinds(graph: DisplayEdges, chosen: Int64) -> dict[str, NDArray[np.bool_]]:
    """[e] each: true edges, edges between hits of the chosen particle that skip some of its hits, and false ones."""
    own: NDArray[np.bool_] = np.logical_and(*np.isin(graph.index, chosen))
    return {"true": graph.true, "skipping": own & ~graph.true, "false": ~own & ~graph.true}


@dataclass(frozen=True, slots=True)
class Window:
    """What the transverse plane shows, in mm: the beam line and all hits; of a whole event the same to all sides."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def of(cls, x: Float, y: Float) -> Self:
        """Around hits [n]: a square where they lie to all sides, else no more than they and the beam line fill."""
        reach = 1.05 * float(np.hypot(x, y).max(initial=1.0))
        farthest = np.array([float(side.max(initial=0.0)) for side in (-x, x, -y, y)])
        if farthest.min() > reach / 4:
            return cls(-reach, reach, -reach, reach)
        left, right, low, high = (farthest + 0.05 * reach) * (-1, 1, -1, 1)
        short = max(0.0, FLAT * (right - left) - (high - low)) / 2
        return cls(float(left), float(right), float(low - short), float(high + short))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches: as wide as a column, or as high as it is wide, at one scale for both axes."""
        width, height = self.right - self.left, self.high - self.low
        scale = PANEL / max(width, height)
        return width * scale, height * scale


def event_display(hits: DisplayHits, graphs: Sequence[DisplayEdges]) -> Figure:
    """One column for each graph (before, after): the transverse plane (x, y) above, the plane of z and r below."""
    window = Window.of(hits.x, hits.y)
    across, up = window.size
    width, height = LEFT + len(graphs) * (PANEL + BETWEEN), BELOW + SIDE + GAP + up + ABOVE
    with styled(width, height) as figure:
        figure.set_layout_engine("none")  # panels of equal scales have fixed places; the solver moves them at every drawing
        figure.set_dpi(DOTS_PER_INCH)
        r = np.hypot(hits.x, hits.y)
        for number, graph in enumerate(graphs):
            left = LEFT + number * (PANEL + BETWEEN)
            bottom = BELOW + SIDE + GAP
            above = figure.add_axes((left / width, bottom / height, across / width, up / height))
            below = figure.add_axes((left / width, BELOW / height, PANEL / width, SIDE / height))
            _plane(above, hits.x, hits.y, hits.chosen, graph)
            _plane(below, hits.z, r, hits.chosen, graph)
            above.set(xlim=(window.left, window.right), ylim=(window.low, window.high), xlabel="x (mm)")
            below.set(ylim=(0, 1.05 * float(r.max(initial=1.0))), xlabel="z (mm)")
            if number == 0:
                for axes, name in ((above, "y (mm)"), (below, "r (mm)")):
                    axes.set_ylabel(name)
                    axes.yaxis.set_label_coords(-0.62 / axes.get_position().width / width, 0.5)  # one below the other
            else:
                above.tick_params(labelleft=False)
                below.tick_params(labelleft=False)
            _title(above, graph, hits.chosen)
        keys = _keys(any(edge_kinds(graph, hits.chosen)["skipping"].any() for graph in graphs))
        place: Any = {"loc": "lower center", "ncols": min(len(keys), 3 * len(graphs)), "handlelength": 1.2, "columnspacing": 1.0}
        figure.legend(handles=keys, handletextpad=0.5, fontsize=9, **place)
        return figure


def _title(axes: Axes, graph: DisplayEdges, chosen: Int64) -> None:
    axes.set_title(graph.title, pad=19, parse_math=False)
    above: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    axes.annotate(_told(graph, chosen), (0, 1), (0, 5), fontsize=9, **above)


def _plane(axes: Axes, first: Float, second: Float, chosen: Int64, graph: DisplayEdges) -> None:
    size = float(np.clip(2e4 / len(first), 0.25, 2.5))  # a few thousand are seen, a hundred thousand make no black disc
    axes.scatter(first, second, s=size, color=COLORS["random"], alpha=0.6, linewidths=0, rasterized=True, zorder=1)
    kinds = edge_kinds(graph, chosen)
    faint = float(np.clip(60 / max(int(kinds["false"].sum()), 1), 0.04, 0.7))  # many lines: where they lie densely shows
    looks = (("false", "hardest", 0.8, faint), ("skipping", "positive", 0.8, 0.45), ("true", "positive", 2.0, 1.0))
    for name, kind, width, opacity in looks:
        index = graph.index[:, kinds[name]]
        ends = np.stack([first[index], second[index]], axis=-1).transpose(1, 0, 2)
        lines = LineCollection(list(ends), colors=COLORS[kind], linewidths=width, alpha=opacity, zorder=2)
        lines.set_rasterized(index.shape[1] > DRAWN)
        axes.add_collection(lines)
    axes.plot(first[chosen], second[chosen], "o", color=COLORS["positive"], markersize=4.2, linewidth=0, zorder=4)
    axes.grid(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.spines["bottom"].set_alpha(0.35)


def _told(graph: DisplayEdges, chosen: Int64) -> str:
    counts = {name: int(which.sum()) for name, which in edge_kinds(graph, chosen).items()}
    skipping = f"{counts['skipping']:,} skipping hits, " if counts["skipping"] else ""
    return f"{counts['true']:,} true, {skipping}{counts['false']:,} false"


def _keys(skipping: bool) -> list[Line2D]:
    blue, orange, gray = COLORS["positive"], COLORS["hardest"], COLORS["random"]
    keys = [
        Line2D([], [], linestyle="none", marker="o", markersize=4.5, color=blue, label="the particle"),
        Line2D([], [], color=blue, linewidth=2, label="true edge"),
        Line2D([], [], color=blue, linewidth=0.8, alpha=0.6, label="skipping its hits"),
        Line2D([], [], color=orange, linewidth=1.2, label="false edge"),
        Line2D([], [], linestyle="none", marker="o", markersize=2.5, color=gray, label="other hits"),
    ]
    return [key for key in keys if skipping or key.get_label() != "skipping its hits"]
