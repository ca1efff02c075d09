"""A run, opened for search: its model, its index, and the texts behind the ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.artifacts.run import current
from likewise.errors import UserError

TEXT = "text"  # the column of the texts that an index holds

if TYPE_CHECKING:
    from likewise.encoders.base import Encoder
    from likewise.index.faiss import FaissIndex


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: its id, score (bigger is closer), text and metadata."""

    id: str
    score: float
    text: str
    metadata: Mapping[str, Any]


class OpenRun:
    """The model and the index of a run, whose spaces agree."""

    def __init__(self, encoder: Encoder, index: FaissIndex) -> None:
        self.encoder = encoder
        self.index = index

    def search(self, query: str, k: int = 10, *, where: Mapping[str, Any] | None = None) -> list[Hit]:
        """The k nearest items to a text, among those whose columns hold the values of `where`."""
        from likewise.vectors.extract import extract
        from likewise.vectors.options import EmbedOptions

        if not query.strip():
            raise UserError("The query is empty; give some words.")
        if TEXT not in self.index.table.column_names:
            raise UserError("This index holds no texts, so words find nothing in it: search it in Python, by a vector.")
        vector = extract(self.encoder, [query], "query", EmbedOptions(precision="float32"))
        found = self.index.search(vector, k, where=where)
        ids = [name for name in found.ids[0] if name]
        scores = found.scores[0]
        return [
            Hit(name, float(score), str(row.pop(TEXT)), row)
            for name, score, row in zip(ids, scores, self.index.metadata(ids), strict=False)
        ]


def open_run(folder: Path) -> OpenRun:
    """Open a finished run; UserError if it has no index."""
    from likewise.encoders.fit import load_encoder
    from likewise.index.faiss import FaissIndex

    stored = current(folder, "index")
    if stored is None or not stored.has("index.json"):
        raise UserError(f'{folder} has no index to search: add [result] kind = "index" to its recipe and run it.')
    index = FaissIndex.open(stored)
    for stage in ("train", "fit"):
        model = current(folder, stage)
        if model is not None and (encoder := load_encoder(model)).space == index.space:
            return OpenRun(encoder, index)
    raise UserError(f"The index in {folder} was built by another model than the run holds now; run its recipe again.")
