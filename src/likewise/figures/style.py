"""One look for every figure, on light and on dark paper, and SVG that a page can take in as it is.

Figures are made with matplotlib's object interface (no pyplot, no global state): `Figure`s that a logger can draw as they
are, or that `svg` turns into text. There, ink becomes `currentColor` and each colour of `COLORS` a CSS variable, so the page
decides how they look in the dark.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# After Okabe & Ito (2008): told apart with any kind of colour blindness. By meaning, not by order.
COLORS = {
    "start": "#7d8694",
    "trained": "#0b6bcb",
    "bm25": "#d9730d",
    "static": "#0f9373",
    "positive": "#0b6bcc",
    "random": "#98a1ae",
    "hardest": "#d9720d",
    "gain": "#0b6bca",
    "loss": "#d9740d",
}
INK = "#16191f"
GRID = "#16191e"
NAMES = {"start": "start", "trained": "trained", "bm25": "BM25", "static": "static", "pixels": "pixels"}

STYLE: Any = {  # matplotlib types each key by itself
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.8,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "axes.labelpad": 7,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "likewise",
    "path.simplify": True,
}


@contextmanager
def styled(width: float = 5.4, height: float = 3.0) -> Iterator[Figure]:
    """A new figure of this size in inches, to be drawn on within the block, where the style holds."""
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def baseline(axes: Axes) -> None:
    """Make the bottom line of the axes quiet."""
    axes.spines["bottom"].set_alpha(0.35)


def svg(figure: Figure, description: str) -> str:
    """The figure as an `<svg>` element for a page: text stays text, ids are its own, and equal figures give equal bytes.

    `description` is what a screen reader says.
    """
    out = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    body = text[text.index("<svg ") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style type=\"text/css\">.*?</style>", "", body, flags=re.DOTALL)  # would hold for the whole page
    body = re.sub(r" font-family: [^;\"]*(;|(?=\"))", "", body)
    body = re.sub(r"\bfont: (?:(\d+) )?([\d.]+px) [^;\"]*", _font, body)
    body = _with_own_ids(body, "figure-" + hashlib.sha256((description + body).encode()).hexdigest()[:8])
    body = _with_variables(body)
    body = re.sub(r' (?:d|x|y|transform)="[^"]*"', _rounded, body)
    return re.sub(r"<svg [^>]*>", lambda found: _opening(found[0], description), body, count=1).strip()


def _opening(tag: str, description: str) -> str:
    """The element's first tag: sized by the page, described for those who cannot see it."""
    box = re.search(r'viewBox="([^"]*)"', tag)
    assert box is not None, "matplotlib writes a viewBox"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" class="figure" role="img" '
        f'viewBox="{box[1]}" aria-label="{html.escape(description)}" stroke-linejoin="round">'
    )


def _rounded(found: re.Match[str]) -> str:
    """Coordinates to hundredths of a point."""
    return re.sub(r"\.(\d\d)\d+", r".\1", found[0])


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}"


def _with_own_ids(body: str, prefix: str) -> str:
    """Ids that are referred to get a prefix of their own; all others go."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "", body)
    return re.sub(r'(href="#|url\(#)([^")]+)', lambda found: f"{found[1]}{prefix}-{found[2]}", body)


def _with_variables(body: str) -> str:
    """Ink as currentColor, each named colour as a CSS variable with itself as the fallback."""
    for color in (INK, GRID, "#000000"):
        body = body.replace(f": {color}", ": currentColor")
    for name, color in COLORS.items():
        body = body.replace(f": {color}", f": var(--{name}, {color})")
    return body
