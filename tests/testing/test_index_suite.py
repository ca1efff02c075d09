"""The contract suite of indexes refuses indexes that are wrong in the usual ways."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from likewise.errors import DataError
from likewise.index.faiss import FaissIndex
from likewise.index.options import IndexOptions
from likewise.testing.indexes import check_index


def build(ids, vectors, metadata):
    columns = {"color": pa.array(metadata["color"], pa.string()), "year": pa.array(metadata["year"], pa.int64())}
    return FaissIndex.build(vectors, pa.table({"id": pa.array(ids, pa.string()), **columns}), IndexOptions(), space="test")


class Wrapped:
    """An index that passes everything on; the wrong ones change one thing."""

    def __init__(self, inner):
        self.inner = inner

    @property
    def space(self):
        return self.inner.space

    @property
    def recall(self):
        return self.inner.recall

    def search(self, queries, k, *, where=None, exclude=()):
        return self.inner.search(queries, k, where=where, exclude=exclude)

    def updated(self, add, metadata, delete):
        return type(self)(self.inner.updated(add, metadata, delete))


class FiltersAfterTheCut(Wrapped):
    def search(self, queries, k, *, where=None, exclude=()):
        hits = self.inner.search(queries, k, exclude=exclude)
        allowed = {name for found in self.inner.search(queries, 10_000, where=where).ids for name in found}
        ids, scores, rows = [], np.full_like(hits.scores, -np.inf), np.full_like(hits.rows, -1)
        for query, found in enumerate(hits.ids):
            kept = [place for place, name in enumerate(found) if name in allowed]
            ids.append([found[place] for place in kept])
            scores[query, : len(kept)], rows[query, : len(kept)] = hits.scores[query, kept], hits.rows[query, kept]
        return replace(hits, ids=ids, scores=scores, rows=rows)


class ForgetsExclusion(Wrapped):
    def search(self, queries, k, *, where=None, exclude=()):
        return self.inner.search(queries, k, where=where)


class ReadsOneFilterOnly(Wrapped):
    def search(self, queries, k, *, where=None, exclude=()):
        first = dict(list(where.items())[:1]) if where else where
        return self.inner.search(queries, k, where=first, exclude=exclude)


class IgnoresUnknownColumns(Wrapped):
    def search(self, queries, k, *, where=None, exclude=()):
        known = {name: value for name, value in (where or {}).items() if name in ("color", "year")}
        return self.inner.search(queries, k, where=known, exclude=exclude)


class ReversesTies(Wrapped):
    def search(self, queries, k, *, where=None, exclude=()):
        hits = self.inner.search(queries, k, where=where, exclude=exclude)
        order = np.lexsort((-hits.rows, -hits.scores), axis=1)
        ids = [[found[place] for place in order[query] if place < len(found)] for query, found in enumerate(hits.ids)]
        return replace(hits, ids=ids, rows=np.take_along_axis(hits.rows, order, axis=1))


class ChangesItself(Wrapped):
    def updated(self, add, metadata, delete):
        self.inner = self.inner.updated(add, metadata, delete)
        return self


class NeverDeletes(Wrapped):
    def updated(self, add, metadata, delete):
        self.inner.updated(add, metadata, delete)  # for its refusals
        return type(self)(self.inner.updated(add, metadata, ()))


class ExaggeratesItsRecall(Wrapped):
    @property
    def recall(self):
        return 1.0


class SkipsUnknownDeletions(Wrapped):
    def updated(self, add, metadata, delete):
        try:
            return super().updated(add, metadata, delete)
        except DataError:
            return self


def rough(ids, vectors, metadata):
    """An index that searches one list only."""
    index = build(ids, vectors, metadata)
    if not ids:
        return index
    options = IndexOptions(type="ivf", recall_target=0.01)
    return FaissIndex.build(vectors, index.table, options, space="test")


@pytest.mark.parametrize(
    "wrong",
    [
        FiltersAfterTheCut,
        ForgetsExclusion,
        ReadsOneFilterOnly,
        IgnoresUnknownColumns,
        ReversesTies,
        ChangesItself,
        NeverDeletes,
        SkipsUnknownDeletions,
    ],
)
def test_wrong_indexes_are_refused(wrong):
    with pytest.raises(AssertionError):
        check_index(lambda *items: wrong(build(*items)))


def test_an_exaggerated_recall_is_refused():
    with pytest.raises(AssertionError, match="recall"):
        check_index(lambda *items: ExaggeratesItsRecall(rough(*items)))


def test_an_index_that_loses_items_on_disk_is_refused():
    with pytest.raises(AssertionError, match="saving"):
        check_index(build, reopen=lambda index: index.updated({}, {}, index.vectors()[0][:5]))


def test_a_wrapper_that_changes_nothing_passes():
    check_index(lambda *items: Wrapped(build(*items)))
