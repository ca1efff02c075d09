"""Vectors by the weights as they are, and what they are worth on the validation queries over the full corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from likewise.artifacts.draft import Draft, Stop
from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.errors import DataError, Terminated
from likewise.evaluation.retrieval import RetrievalTask, VectorRanker, measure
from likewise.types import ROLES, Float32, Int64, Progress
from likewise.vectors.extract import extract
from likewise.vectors.options import EmbedOptions


class FreshVectors:
    """Vectors of a corpus by an encoder in training, computed once per step for everybody who asks.

    A signal ends the computation with Terminated: what asked for it is still owed then.
    """

    def __init__(self, encoder: Encoder, corpus: Corpus, options: EmbedOptions, draft: Draft, stop: Stop) -> None:
        self._encoder = encoder
        self._corpus = corpus
        self._options = options.model_copy(update={"cache_dir": None})  # no other run will ever ask for these vectors
        self._draft = draft
        self._stop = stop
        self._step = -1
        self._known = np.zeros(len(corpus), dtype=bool)
        self._vectors = np.zeros((0, 0), dtype=np.float32)

    def at(self, step: int, rows: Int64) -> Float32:
        """[N, D] float32: the vectors of `rows` by the weights after `step`; other rows may be zero."""
        if step != self._step:
            self._step = step
            self._known[:] = False
            self._vectors = np.zeros((len(self._corpus), self._encoder.dimension), dtype=np.float32)
        if self._stop.requested:
            raise Terminated("Stopped before vectors were computed.")
        missing = np.unique(rows[~self._known[rows]])
        for number, role in enumerate(ROLES):
            asked = missing[self._corpus.roles[missing] == number]
            if len(asked):
                tell = self.progress(f"{role} vectors after step {step}")
                self._vectors[asked] = extract(self._encoder, self._corpus.payload(asked), role, self._options, progress=tell)
                self._known[asked] = True
        return self._vectors

    def progress(self, note: str) -> Progress:
        """Tells how far some work is, and ends it with Terminated once a signal has come."""

        def tell(done: int, total: int) -> None:
            if self._stop.requested:
                raise Terminated(f"Stopped before all was done: {note}.")
            self._draft.progress(done, total, note)

        return tell


class Validation:
    """The validation queries against every document of the corpus."""

    def __init__(self, corpus: Corpus, division: Division, classes: Int64, metrics: Sequence[str]) -> None:
        asked = division.queries("validation")
        self._task = RetrievalTask.of(
            asked, division.documents(corpus, "validation"), division.positives(corpus, "validation"), classes
        )
        self._metrics = tuple(metrics)
        if not len(self._task):
            raise DataError(
                "The validation split has no query with a positive, so no checkpoint can be chosen: raise [split] validation, "
                "bring more pairs, or set train.epochs = 0 to keep the model as it is."
            )

    @property
    def rows(self) -> Int64:
        """The items that must be embedded: the queries and the full corpus."""
        return np.union1d(self._task.queries, self._task.documents)

    def measure(self, vectors: Float32) -> Mapping[str, float]:
        """The mean of each metric, of vectors [N, D]."""
        measured = measure(VectorRanker(vectors), self._task, self._metrics)
        return {name: measured.mean(name) for name in self._metrics}
