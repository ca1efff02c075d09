"""Which labels are taken for which: counts in a square, right ones on its diagonal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from likewise.figures.style import COLORS, INK, styled
from likewise.types import Int64

MOST_LABELS = 30  # more cannot be read
LONGEST = 20  # characters of a label
LARGE = 12  # labels up to which their cells have room for large numbers
FAINTEST, STRONGEST = 0.10, 0.60  # opacity of a cell: ink stays legible on it, in the light and in the dark


def confusion_matrix(counts: Int64, labels: Sequence[str], *, row: str = "label", column: str = "taken for") -> Figure:
    """counts [G, G], at most `MOST_LABELS` labels: rows are what items are, columns what they are taken for.

    A cell is as strong as its share of its row. `row` and `column` name the axes.
    """
    size = len(labels)
    assert counts.shape == (size, size)
    assert size <= MOST_LABELS, "more labels cannot be read"
    side = min(7.0, max(3.2, 1.1 + 0.42 * size))
    letters, digits = (9.0, 4) if size <= LARGE else (6.5, 3)
    with styled(side + 1.0, side) as figure:
        axes = figure.subplots()
        of_row = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        for at, to in zip(*(places.tolist() for places in np.nonzero(counts)), strict=True):
            color = COLORS["gain" if at == to else "loss"]
            opacity = FAINTEST + (STRONGEST - FAINTEST) * float(of_row[at, to])
            axes.add_patch(Rectangle((to - 0.5, at - 0.5), 1, 1, facecolor=color, alpha=opacity, linewidth=0))
            axes.text(to, at, _count(int(counts[at, to]), digits), ha="center", va="center_baseline", fontsize=letters)
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.grid(False)
        for edge in np.arange(size + 1) - 0.5:
            axes.axhline(edge, color=INK, linewidth=0.5, alpha=0.12)
            axes.axvline(edge, color=INK, linewidth=0.5, alpha=0.12)
        axes.spines["bottom"].set_visible(False)
        names = [_short(label) for label in labels]
        turned = 0 if max(map(len, names)) < 3 else 45 if size <= LARGE else 90
        axes.set_xticks(range(size), names, rotation=turned, ha="right" if turned else "center", rotation_mode="anchor")
        axes.set_yticks(range(size), names)
        if turned == 90:
            for text in axes.get_xticklabels():
                text.set_verticalalignment("center")
        for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            _plain(text, letters + 1)
        axes.set_xlabel(column)
        axes.set_ylabel(row)
        return figure


def _plain(text: Text, size: float) -> None:
    """A label of the data is no formula, whatever it holds."""
    text.set_parse_math(False)
    text.set_fontsize(size)


def _short(label: str) -> str:
    single = " ".join(label.split())
    return single if len(single) <= LONGEST else single[: LONGEST - 1] + "…"


def _count(number: int, most: int) -> str:
    """A number of at most so many digits, in thousands or millions where it has more."""
    for unit in ("", "k", "M", "G"):
        if len(text := f"{number:.0f}{unit}") <= most:
            return text
        number = round(number / 1000)
    return text
