"""A finished run that labels: new pictures or texts get the label that most of their nearest labelled items have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.errors import DataError, UserError
from likewise.publishing.finished import FinishedRun

if TYPE_CHECKING:
    from likewise.data.new_pictures import Pictures
    from likewise.encoders.base import Encoder
    from likewise.evaluation.classification import Classification
    from likewise.evaluation.labels import LabeledItems
    from likewise.types import Float32

NEIGHBORS = 5
COLUMN = "group"


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A labelled item that voted: its id, its label, and its similarity (a cosine)."""

    id: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classified:
    """A new item: its label, the label's share of the votes in [0, 1], and the voters, nearest first."""

    id: str
    label: str
    share: float
    neighbors: tuple[Neighbor, ...]


class Classifier:
    """The labelled items of a finished run and the model of their vectors; both are opened when they are first used."""

    def __init__(self, folder: Path | str, column: str = COLUMN) -> None:
        """`column` holds the labels. UserError where the folder is no run, or its stages were not run since they changed."""
        self.column = column
        self.remarks: list[str] = []  # on the items classified last, such as values that were cut off
        self._run = FinishedRun(Path(folder))

    @cached_property
    def kind(self) -> str:
        """What the run's items are: "image" or "text"."""
        return self._run.corpus.kind

    def classify(self, items: Sequence[Any], k: int = NEIGHBORS, *, ids: Sequence[str] | None = None) -> list[Classified]:
        """Label new items in their order, by the `k` nearest labelled ones (see `evaluation.classify`).

        Items are texts in a run on texts, and in a run on pictures paths, encoded bytes, arrays ([H, W] or [H, W, 3]), PIL images
        or `ImageRef`s. `ids` are what they are called; by default the text, the path, or their number. DataError for what cannot
        be read, and for a column that holds no two labels.
        """
        from likewise.data.new_pictures import names_of
        from likewise.evaluation.classify import classify

        names = names_of(items, ids)
        self.remarks.clear()
        labeled = self._labeled.labeled
        votes = classify(self._vectors(items), labeled, k)
        return [
            Classified(name, labeled.names[winner], share, tuple(self._neighbors(rows, scores)))
            for name, winner, share, rows, scores in zip(
                names, votes.winner.tolist(), votes.share.tolist(), votes.neighbors.rows, votes.neighbors.scores, strict=True
            )
        ]

    def leave_one_out(self, k: int = NEIGHBORS, *, seed: int = 0) -> Classification:
        """How often the labelled items themselves get the right label, their near-duplicates left out; see `evaluation.classify`.

        Where the run has a test split of labelled items only these are counted. DataError where no item can be.
        """
        from likewise.evaluation.classification import measured

        looks, trained = self._run.find("fingerprint"), self._run.chosen == "trained"
        found = measured(self._labeled, self.column, k, near_duplicates=looks is not None, trained=trained, seed=seed)
        if found is None:
            raise DataError(
                f'No two items but near-duplicates share a label of the column "{self.column}"; name another with --column.'
            )
        return found[0]

    def read(self, paths: Sequence[Path]) -> Pictures:
        """The pictures that files and folders hold, and what cannot be read; see `read_pictures`."""
        from likewise.data.new_pictures import read_pictures

        return read_pictures(paths, self._run.options["ingest"].get("frame", 0))

    @cached_property
    def _labeled(self) -> LabeledItems:
        from likewise.data.split import Division
        from likewise.evaluation.labels import labeled_items
        from likewise.vectors.store import Vectors

        if self._run.corpus.scope != "corpus":
            raise UserError(f"{self._run.folder} is a run on events, whose hits are not classified; name another run.")
        looks, split = self._run.find("fingerprint"), self._run.find("split")
        for made in (looks, split):
            if made is not None:
                self._run.check_current(made, self._run.items)
        return labeled_items(
            self._run.corpus,
            Vectors(self._run.vectors).array,
            self.column,
            classes=looks.array("classes.npy").astype("int64") if looks else None,
            division=Division(split) if split else None,
        )

    @cached_property
    def _encoder(self) -> Encoder:
        from likewise.encoders.fit import load_encoder

        return load_encoder(self._run.model)

    def _vectors(self, items: Sequence[Any]) -> Float32:
        from likewise.data.new_pictures import as_payload, names_of
        from likewise.vectors.extract import extract
        from likewise.vectors.options import EmbedOptions

        names = names_of(items)
        payload = list(map(as_payload, items, names)) if self.kind == "image" else list(items)
        options = EmbedOptions.model_validate(self._run.options.get("embed", {}))
        return extract(self._encoder, payload, "document", options, say=self.remarks.append)

    def _neighbors(self, rows: Any, scores: Any) -> Iterator[Neighbor]:
        labeled, corpus = self._labeled.labeled, self._run.corpus
        for place, score in zip(rows.tolist(), scores.tolist(), strict=True):
            if place >= 0:
                yield Neighbor(corpus.ids[self._labeled.rows[place]], labeled.names[labeled.codes[place]], score)


def classify(folder: Path | str, items: Sequence[Any], *, k: int = NEIGHBORS, column: str = COLUMN) -> list[Classified]:
    """Label new texts or pictures by the `k` nearest labelled items of a finished run; see `Classifier`."""
    return Classifier(folder, column).classify(items, k)
