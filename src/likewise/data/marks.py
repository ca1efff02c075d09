"""Suspicious negatives that a person has read and marked: "alike" or "not"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from likewise.data.links import RowLinks
from likewise.data.table import Row, read_rows
from likewise.errors import DataError

LABELS = {"alike": 1, "not": 0}
COLUMNS = ("query_id", "negative_id", "mark")


def read_marks(path: Path, rows: Mapping[str, int]) -> RowLinks:
    """The marked rows of a suspicious.csv, by item row; rows without a mark are passed over.

    DataError for another word, an id that is not among the items, two marks that contradict each other, or no mark at all.
    """
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; name a suspicious.csv with its column mark filled in as marks, or remove the key."
        )
    labels: dict[tuple[int, int], int] = {}
    lines: list[int] = []
    for row in read_rows(path, COLUMNS):
        if not isinstance(row, Row):
            raise DataError(str(row))
        query, negative, word = (str(cell or "").strip() for cell in row.cells)
        if not word:
            continue
        place = f"{path}, row {row.number}"
        if word.lower() not in LABELS:
            raise DataError(f'{place}: the mark "{word}" is not known; write "alike" or "not", or leave it empty.')
        for name in (query, negative):
            if name not in rows:
                raise DataError(f'{place}: "{name}" is not among the items; use the suspicious.csv of a run on the same data.')
        pair, label = (rows[query], rows[negative]), LABELS[word.lower()]
        if labels.setdefault(pair, label) != label:
            first = lines[list(labels).index(pair)]
            raise DataError(f'{place}: the mark "{word}" contradicts that of row {first} for the same pair; correct one of them.')
        if len(labels) > len(lines):
            lines.append(row.number)
    if not labels:
        raise DataError(f'{path} has no row whose mark is "alike" or "not"; fill in the column mark, or remove the key marks.')
    a, b = np.array(list(labels), dtype=np.int64).T
    count = len(labels)
    return RowLinks(
        a,
        b,
        np.array(list(labels.values()), dtype=np.int8),
        np.ones(count, dtype=np.float32),
        np.full(count, -1, dtype=np.int8),
        np.zeros(count, dtype=np.int64),
        np.array(lines, dtype=np.int64),
        (str(path),),
    )
