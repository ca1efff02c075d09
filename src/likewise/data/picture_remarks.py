"""What people should know of a run's pictures, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from likewise.artifacts.artifact import Folder
from likewise.data.corpus import Corpus
from likewise.data.group_tables.words import counted, examples
from likewise.data.intensity import WINDOW_FILE, Window
from likewise.data.payloads import IMAGE
from likewise.types import Int64

NAMED = 3  # pictures of a sentence
NOTICED = {  # by the column that ingest writes: what its values are above, and what is told of such pictures
    "swapped": (
        0,
        "The bytes of {pictures} seem swapped: neighbouring pixels would be far more alike the other way round; "
        "save them with their bytes in the other order, or leave them out.",
    ),
    "radiometric": (
        0,
        "Measured temperatures stand beside what is shown in {pictures}, and what is shown was read; "
        "save the temperatures as TIFF of 16 bits or float32 to use them.",
    ),
    "frames": (
        1,
        "More than one page is in {pictures}, of which page {frame} was read, counted from 0; choose another by [ingest] frame.",
    ),
}


def picture_remarks(corpus: Corpus) -> Iterator[str]:
    """What reading in has noticed of pictures; nothing of a corpus of something else."""
    if not len(corpus) or corpus.kind != IMAGE:
        return
    for column, (usual, sentence) in NOTICED.items():
        if column in corpus.columns:
            values = corpus.metadata(np.arange(len(corpus)), (column,))[column].to_pylist()
            rows = [row for row, value in enumerate(values) if isinstance(value, int) and value > usual]
            if rows:
                yield sentence.format(pictures=_named(corpus, rows), frame=corpus.frame)


def fitted_window(fit: Folder | None) -> Window | None:
    """The range of all frames that an encoder has learnt, from what fit has left; None where it learns none."""
    file = f"model/{WINDOW_FILE}"
    return Window(*fit.json(file)) if fit is not None and fit.has(file) else None


def window_remarks(corpus: Corpus, rows: Int64, window: Window) -> Iterator[str]:
    """The range of all frames, fitted on these rows; and which of them have set it where their bytes seem swapped."""
    yield f"The window of all frames is from {window.low:g} to {window.high:g}, the range of those that the encoder is fitted on."
    if "swapped" not in corpus.columns:
        return
    columns = corpus.metadata(rows, ("lowest", "highest", "swapped"))
    lowest, highest, swapped = (columns[name].to_numpy() for name in columns.column_names)
    edges = (lowest == window.low, highest == window.high)
    wrong = rows[np.any([edge & bool(swapped[edge].all()) for edge in edges], axis=0)]
    if len(wrong):
        yield (
            f"That range is set by {_named(corpus, wrong.tolist())} whose bytes seem swapped; "
            'leave them out, or set [encoder.pixels] window = "frame", by which each frame has its own.'
        )


def _named(corpus: Corpus, rows: Sequence[int]) -> str:
    """How many pictures, and the ids of a few."""
    return f"{counted(len(rows), 'picture')} ({examples([corpus.ids[row] for row in rows[:NAMED]], len(rows))})"
