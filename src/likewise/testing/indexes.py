"""What every index must do: a contract suite against the float64 oracle.

    from likewise.testing.indexes import check_index
    def test_mine(tmp_path) -> None:
        check_index(lambda ids, vectors, metadata: MyIndex(ids, vectors, metadata), reopen=my_round_trip)

Shapes: N items, Q queries, D dimensions, K results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from likewise.neighbors import oracle
from likewise.testing.refusals import refused
from likewise.types import Float32, Hits, Index

DIMENSION = 16
TOLERANCE = 1e-5  # of a cosine: float32 rounding with room for an index that stores unit vectors
SLACK = 0.1  # the recall of a few dozen queries may fall this far below the one that was measured on many


class MakeIndex(Protocol):
    """Builds an index to be compared by cosines: ids [N], vectors [N, D], metadata columns by name, each [N]. N may be 0."""

    def __call__(self, ids: Sequence[str], vectors: Float32, metadata: Mapping[str, Sequence[Any]], /) -> Index:
        """The index."""
        ...


Reopen = Callable[[Index], Index]


@dataclass(frozen=True, slots=True)
class Known:
    """What is in an index, as the suite keeps it: id → vector [D], and id → metadata."""

    vectors: dict[str, Float32]
    metadata: dict[str, dict[str, Any]]

    def matching(self, where: Mapping[str, Any]) -> set[str]:
        """The ids that a filter allows."""
        wanted = {name: value if isinstance(value, set) else {value} for name, value in where.items()}
        return {
            item for item, values in self.metadata.items() if all(values[name] in accepted for name, accepted in wanted.items())
        }


def check_index(make_index: MakeIndex, *, reopen: Reopen | None = None, items: int = 600, seed: int = 0) -> None:
    """Build, search, filter, exclude, update, delete and (with `reopen`: save and open) reopen; AssertionError where it is wrong.

    An index whose `recall` is 1 must return what the oracle does; another one must reach its recall. Filters and exclusions must
    still give k results where k are allowed, in any index.
    """
    rng = np.random.default_rng(seed)
    known = _items(rng, items)
    index = _made(make_index, known)
    near = _stacked(known)[rng.integers(0, items, 40)]  # queries from where items are, as those of a recall must be
    queries = near + 0.1 * np.linalg.norm(near, axis=1, keepdims=True) * rng.standard_normal(near.shape).astype(np.float32)
    _check_searches(index, known, queries, "as built")
    _check_ties(make_index, rng)
    _check_sizes(make_index, known, queries)
    _check_refusals(index, queries)
    changed, now = _updated(index, known, rng)
    _check_searches(index, known, queries, "the index before an update, which must stay as it was")
    _check_searches(changed, now, queries, "updated")
    if reopen is not None:
        _check_reopened(index, reopen(index), queries)
        _check_reopened(changed, reopen(changed), queries)
        _check_searches(reopen(changed), now, queries, "updated, saved and opened")
    worn, left = _mostly_deleted(changed, now)
    _check_searches(worn, left, queries, "mostly deleted")


def _check_searches(index: Index, known: Known, queries: Float32, when: str) -> None:
    everything = set(known.vectors)
    _check_hits(index.search(queries, 10), index, known, queries, 10, everything, when)
    _check_hits(index.search(queries, 1), index, known, queries, 1, everything, f"{when}, k = 1")
    filters: list[dict[str, Any]] = [{"color": "red"}, {"color": {"red", "blue"}}, {"color": "red", "year": {2001, 2002}}]
    for where in (*filters, {"year": 1900}, {"color": "rare"}):
        _check_hits(index.search(queries, 10, where=where), index, known, queries, 10, known.matching(where), f"{when}, {where}")
    best = oracle.nearest(queries[:1], _stacked(known), 5)[0][0]
    excluded = [list(known.vectors)[row] for row in best if row >= 0]
    allowed = everything - set(excluded)
    _check_hits(index.search(queries, 10, exclude=excluded), index, known, queries, 10, allowed, f"{when}, five excluded")
    many = sorted(everything)[: len(everything) // 2]
    allowed = everything - set(many)
    _check_hits(index.search(queries, 10, exclude=many), index, known, queries, 10, allowed, f"{when}, half excluded")
    where = {"color": "red"}
    allowed = known.matching(where) - set(excluded)
    hits = index.search(queries, 10, where=where, exclude=excluded)
    _check_hits(hits, index, known, queries, 10, allowed, f"{when}, filtered and excluded")


def _check_hits(hits: Hits, index: Index, known: Known, queries: Float32, k: int, allowed: set[str], when: str) -> None:
    _check_shapes(hits, len(queries), k, when)
    names = list(known.vectors)
    exact = oracle.scores(queries, _stacked(known))
    permitted = np.array([name in allowed for name in names], dtype=bool)
    place = {name: row for row, name in enumerate(names)}
    count = min(k, len(allowed))
    reached = []
    for query, found in enumerate(hits.ids):
        where = f"{when}, query {query}"
        assert len(found) == count, f"{where}: {len(found)} results, {count} are allowed"
        assert len(set(found)) == count, f"{where}: an id is there twice"
        for name in found:
            assert name in place, f"{where}: {name!r} is not in the index"
            assert name in allowed, f"{where}: {name!r} is not allowed"
        if not count:
            continue
        score = hits.scores[query, :count]
        true = exact[query, [place[name] for name in found]]
        assert np.abs(score - true).max() <= TOLERANCE, f"{where}: a score is {np.abs(score - true).max():.3g} off"
        assert (np.diff(score) <= 0).all(), f"{where}: scores rise along the results"
        cut = np.sort(exact[query][permitted])[::-1][count - 1]
        reached.append((true >= cut - 2 * TOLERANCE).mean())
    if reached:
        least = 1.0 if index.recall == 1 else index.recall - SLACK
        assert np.mean(reached) >= least, f"{when}: recall {np.mean(reached):.3f}, the index says {index.recall:.3f}"


def _check_shapes(hits: Hits, queries: int, k: int, when: str) -> None:
    assert hits.rows.shape == hits.scores.shape == (queries, k), f"{when}: shapes {hits.rows.shape}, {hits.scores.shape}"
    assert hits.rows.dtype == np.dtype(np.int64), f"{when}: rows are {hits.rows.dtype}"
    assert hits.scores.dtype == np.dtype(np.float32), f"{when}: scores are {hits.scores.dtype}"
    assert len(hits.ids) == queries, f"{when}: ids of {len(hits.ids)} queries"
    absent = hits.rows < 0
    assert (hits.rows[absent] == -1).all(), f"{when}: absent rows must be -1"
    assert (hits.scores[absent] == -np.inf).all(), f"{when}: absent scores must be -inf"
    for query, found in enumerate(hits.ids):
        assert (absent[query] == (np.arange(k) >= len(found))).all(), f"{when}, query {query}: ids and rows differ in number"


def _check_ties(make_index: MakeIndex, rng: np.random.Generator) -> None:
    """Equal vectors score equally and stand in the order in which they were given."""
    distinct = rng.standard_normal((20, DIMENSION)).astype(np.float32)
    vectors = distinct[np.arange(400) % 20]
    known = _known(vectors, rng)
    hits = _made(make_index, known).search(distinct, 20)
    order = {name: row for row, name in enumerate(known.vectors)}
    for query, found in enumerate(hits.ids):
        assert len(found) == 20, f"duplicates, query {query}: {len(found)} results of 20"
        assert {order[name] % 20 for name in found} == {query}, (
            f"duplicates, query {query}: another vector stands among the equal ones"
        )
        equal = np.diff(hits.scores[query]) == 0
        rows = np.array([order[name] for name in found])
        assert (np.diff(rows)[equal] > 0).all(), f"duplicates, query {query}: equal scores are not in the order of the items"


def _check_sizes(make_index: MakeIndex, known: Known, queries: Float32) -> None:
    few = Known(dict(list(known.vectors.items())[:3]), dict(list(known.metadata.items())[:3]))
    index = _made(make_index, few)
    _check_hits(index.search(queries, 10), index, few, queries, 10, set(few.vectors), "k > N")
    _check_hits(index.search(queries[:0], 10), index, few, queries[:0], 10, set(few.vectors), "no query")
    none = Known({}, {})
    empty = _made(make_index, none)
    _check_hits(empty.search(queries, 3), empty, none, queries, 3, set(), "empty index")
    grown = empty.updated(few.vectors, few.metadata, ())
    _check_hits(grown.search(queries, 2), grown, few, queries, 2, set(few.vectors), "an empty index with items added")
    emptied = index.updated({}, {}, list(few.vectors))
    _check_hits(emptied.search(queries, 3), emptied, none, queries, 3, set(), "everything deleted")


def _check_refusals(index: Index, queries: Float32) -> None:
    refused(lambda: index.search(queries, 3, where={"colour": "red"}), "an unknown column", "colour", "color", "year")
    refused(lambda: index.search(queries[:, 1:].copy(), 3), "queries of another dimension", str(DIMENSION))
    refused(lambda: index.search(queries, 0), "k = 0", "0")
    bad = queries.copy()
    bad[3, 2] = np.nan
    refused(lambda: index.search(bad, 3), "a query that is not a number", "3")
    refused(lambda: index.updated({}, {}, ["no such id"]), "deleting an unknown id", "no such id")
    refused(lambda: index.updated({"new": queries[0, 1:]}, {}, ()), "adding a vector of another dimension", "new")
    refused(lambda: index.updated({"new": bad[3]}, {}, ()), "adding a vector that is not a number", "new")
    refused(lambda: index.updated({"new": queries[0]}, {"new": {"colour": "red"}}, ()), "adding an unknown column", "colour")


def _check_reopened(before: Index, after: Index, queries: Float32) -> None:
    assert (before.space, before.recall) == (after.space, after.recall), "space or recall changed by saving"
    for where in (None, {"color": "red"}):
        first, second = before.search(queries, 10, where=where), after.search(queries, 10, where=where)
        assert [list(found) for found in first.ids] == [list(found) for found in second.ids], "saving changed the ids found"
        assert np.array_equal(first.scores, second.scores), "saving changed scores"


def _updated(index: Index, known: Known, rng: np.random.Generator) -> tuple[Index, Known]:
    """Some items deleted, some replaced, some added."""
    names = list(known.vectors)
    delete, replace = names[5:25], names[40:60]
    added = {name: rng.standard_normal(DIMENSION).astype(np.float32) for name in (*replace, *(f"new {i}" for i in range(30)))}
    metadata = {name: {"color": "blue", "year": 2001} for name in added}
    changed = index.updated(added, metadata, delete)
    gone = {*delete, *replace}
    vectors = {name: vector for name, vector in known.vectors.items() if name not in gone} | added
    return changed, Known(vectors, {name: value for name, value in known.metadata.items() if name not in gone} | metadata)


def _mostly_deleted(index: Index, known: Known) -> tuple[Index, Known]:
    names = list(known.vectors)
    left = set(names[::4])
    worn = index.updated({}, {}, [name for name in names if name not in left])
    return worn, Known(
        {name: vector for name, vector in known.vectors.items() if name in left},
        {name: values for name, values in known.metadata.items() if name in left},
    )


def _items(rng: np.random.Generator, count: int) -> Known:
    """Clustered vectors of any length, one of them zero."""
    centers = rng.standard_normal((20, DIMENSION))
    vectors = centers[rng.integers(0, 20, count)] + 0.4 * rng.standard_normal((count, DIMENSION))
    vectors *= 10 ** rng.uniform(-2, 2, (count, 1))
    vectors[count // 2] = 0
    return _known(vectors.astype(np.float32), rng)


def _known(vectors: Float32, rng: np.random.Generator) -> Known:
    names = [f"item {row}" for row in range(len(vectors))]
    colors = rng.choice(["red", "green", "blue"], len(vectors), p=[0.2, 0.5, 0.3]).tolist()
    colors[:2] = ["rare", "rare"][: len(colors)]
    years = rng.integers(2000, 2010, len(vectors)).tolist()
    metadata = {name: {"color": color, "year": year} for name, color, year in zip(names, colors, years, strict=True)}
    return Known(dict(zip(names, vectors, strict=True)), metadata)


def _made(make_index: MakeIndex, known: Known) -> Index:
    values = list(known.metadata.values())
    columns = {"color": [value["color"] for value in values], "year": [value["year"] for value in values]}
    return make_index(list(known.vectors), _stacked(known), columns)


def _stacked(known: Known) -> Float32:
    vectors: NDArray[np.float32] = np.array(list(known.vectors.values()), dtype=np.float32).reshape(-1, DIMENSION)
    return vectors
