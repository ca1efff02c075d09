"""The labelled items of a run: which of its documents have a value in a column, their vectors, and which are near-duplicates."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.data.corpus import Corpus
from likewise.data.split import TEST, Division
from likewise.errors import DataError
from likewise.evaluation.classify import Labeled
from likewise.types import Float32, Int64

GROUP = "group"  # the column that is looked at where none is named


@dataclass(frozen=True, slots=True, eq=False)
class LabeledItems:
    """Labelled items and their rows [N] in the corpus; `held_out` [N] bool says which are of the test split, None without one."""

    rows: Int64
    labeled: Labeled
    held_out: NDArray[np.bool_] | None


def labeled_items(
    corpus: Corpus, vectors: Float32, column: str = GROUP, *, classes: Int64 | None = None, division: Division | None = None
) -> LabeledItems:
    """The documents with a value in the column, which becomes a text; empty texts are none.

    vectors [items, D] float32 of the whole corpus. `classes` [items] are the near-duplicates that a run has found; without them,
    items of equal vectors are taken for such. DataError where there is no such column, or not two different labels.
    """
    documents = corpus.rows("document")
    if column not in corpus.columns:
        known = ", ".join(name for name in corpus.columns if name not in ("id", "shard", "role"))
        raise DataError(f'The items have no column "{column}" to take labels from; they have {known or "none"}.')
    labels = [_text(value) for value in corpus.metadata(documents, (column,))[column].to_pylist()]
    names = sorted({label for label in labels if label is not None}, key=_in_order)
    if len(names) < 2:
        found = f'only the label "{names[0]}"' if len(names) else "no labels"
        raise DataError(f'The column "{column}" holds {found}; name a column with two labels or more.')
    rows = documents[[label is not None for label in labels]]
    kept = vectors if len(rows) == len(vectors) else np.ascontiguousarray(vectors[rows])
    alike = _equal(kept) if classes is None else classes[rows]
    held_out = None if division is None else division.items[rows] == TEST
    code = {name: number for number, name in enumerate(names)}
    codes = np.array([code[label] for label in labels if label is not None], dtype=np.int64)
    labeled = Labeled(kept, codes, names, alike)
    return LabeledItems(rows, labeled, held_out if held_out is not None and held_out.any() else None)


def _text(value: Any) -> str | None:
    if isinstance(value, dict | list):
        raise DataError(f"A label is {value!r}, not a single value; name another column.")
    if value is None or value != value:
        return None
    return str(value).strip() or None


def _in_order(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Numbers in a name as numbers: "frame 2" stands before "frame 10"."""
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name) if part)


def _equal(vectors: Float32) -> Int64:
    """[N]: equal codes for equal vectors."""
    digests = [hashlib.blake2b(vector.tobytes(), digest_size=16).digest() for vector in vectors]
    return np.unique(np.array(digests), return_inverse=True)[1].astype(np.int64)
