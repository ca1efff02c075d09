"""Candidates that score above their anchor's positive: likely unlabelled positives, for people to read and mark."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, fields

import numpy as np

from likewise.data.corpus import Corpus
from likewise.data.payloads import for_people
from likewise.types import Float32, Int64

COLUMNS = (
    "query_id", "query", "negative_id", "negative", "negative_score", "positive_id", "positive", "positive_score", "mark",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suspicious:
    """Candidates [S] above the positive, farthest above first: item rows, and both scores as float32.

    The positive is the anchor's highest-scoring one: a candidate is suspicious when it is nearer than all that is known to be
    alike. (Below it, one weak positive among several would make everything near the others suspicious.)
    """

    anchor: Int64
    negative: Int64
    positive: Int64
    negative_score: Float32
    positive_score: Float32

    def __len__(self) -> int:
        return len(self.anchor)

    @classmethod
    def nothing(cls) -> Suspicious:
        """None yet."""
        rows, scores = np.empty(0, np.int64), np.empty(0, np.float32)
        return cls(rows, rows, rows, scores, scores)

    def with_more(self, other: Suspicious, most: int) -> Suspicious:
        """The `most` farthest above of both; ties by anchor, then by item, so that the order of blocks does not matter."""
        both = {field.name: np.concatenate([getattr(self, field.name), getattr(other, field.name)]) for field in fields(self)}
        above = both["negative_score"] - both["positive_score"]
        order = np.lexsort((both["negative"], both["anchor"], -above))[:most]
        return Suspicious(**{name: part[order] for name, part in both.items()})

    def floor(self, most: int) -> float:
        """How far above its positive a further candidate must at least be to be among the `most`."""
        return float(self.negative_score[-1] - self.positive_score[-1]) if len(self) >= most else 0.0

    def as_csv(self, corpus: Corpus) -> str:
        """A table with texts, or the paths of pictures, to be read; `mark` is empty, for "alike" or "not".

        Read back by `[ingest] marks`.
        """
        rows = np.unique(np.concatenate([self.anchor, self.negative, self.positive]))
        texts = [text or "" for text in for_people(corpus.payload(rows))[1].to_pylist()]
        place = {name: np.searchsorted(rows, getattr(self, name)).tolist() for name in ("anchor", "negative", "positive")}
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\r\n")  # cells that hold either are quoted
        table.writerow(COLUMNS)
        for number in range(len(self)):
            query, negative, positive = (place[name][number] for name in ("anchor", "negative", "positive"))
            above = (f"{self.negative_score[number]:.4f}", f"{self.positive_score[number]:.4f}")
            table.writerow(
                [
                    *(corpus.ids[rows[query]], texts[query]),
                    *(corpus.ids[rows[negative]], texts[negative], above[0]),
                    *(corpus.ids[rows[positive]], texts[positive], above[1], ""),
                ]
            )
        return out.getvalue()
