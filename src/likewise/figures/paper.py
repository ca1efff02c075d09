"""Figures as files for a paper or a talk: white paper, dark ink, text that stays text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from likewise.artifacts.files import replacing
from likewise.figures.style import STYLE

DOTS_PER_INCH = 300
_UNDATED: dict[str, dict[str, Any]] = {  # equal figures give equal bytes
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}
_FONTS: Any = {"pdf.fonttype": 42}  # TrueType, which journals take and editors edit


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PDF or PNG, atomically; the same figure gives the same bytes."""
    assert path.suffix in _UNDATED, f"{path.suffix} is neither .pdf nor .png"
    with matplotlib.rc_context(STYLE | _FONTS), replacing(path) as temporary:
        kind: Any = {"format": path.suffix[1:], "metadata": _UNDATED[path.suffix]}
        figure.savefig(temporary, dpi=DOTS_PER_INCH, facecolor="white", **kind)
