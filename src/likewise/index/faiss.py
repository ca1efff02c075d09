"""The index on faiss: one bundle of vectors, ids, metadata and what was measured.

    index.faiss   the vectors in float32, exact or in inverted lists (`index.structure`); any faiss reads it
    ids.parquet   by row: id, metadata columns, text
    index.json    what it is and what was measured (`Description`)
    deleted.npy   rows that were deleted or replaced since it was built, where there are any

Shapes: N rows, Q queries, D dimensions, K results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.errors import DamagedArtifact, DataError
from likewise.index import structure as structures
from likewise.index.metadata import Where, allowed_rows, appended
from likewise.index.options import IndexOptions
from likewise.index.structure import IndexType, Structure
from likewise.index.tune import HeldOut, Tuned, held_out_documents, tune
from likewise.neighbors.lengths import row_lengths
from likewise.types import Distance, Float32, Hits, Int64

DEAD_SHARE = 0.2  # with more deleted rows than this the index is built anew
GROWTH = 2.0  # and with more than this times the vectors its lists were made for
OVERFETCHED = 64  # so many unwanted rows are fetched and dropped; for more, faiss is given a filter (slower on many queries)


@dataclass(frozen=True, slots=True)
class Description:
    """What index.json says. `space` names the vectors inside, `base_space` those that a head made them from (or the same).

    `recall` is recall@10 with `nprobe` lists, measured on `held_out` vectors of the kind `measured_on` when `built` vectors
    were in it; 1 for an exact index, which needs no measuring.
    """

    space: str
    base_space: str
    distance: Distance
    dimension: int
    count: int
    type: IndexType
    lists: int
    nprobe: int
    recall: float
    recall_target: float
    held_out: int
    measured_on: Literal["queries", "documents", "none: exhaustive"]
    built: int
    seed: int


class FaissIndex:
    """Vectors with ids and metadata, to be searched; never changed: `updated` gives another one."""

    def __init__(self, structure: Structure, table: pa.Table, description: Description, deleted: Int64) -> None:
        """As `build` and `open` make it; `deleted` rows ascending."""
        assert structure.ntotal == table.num_rows
        assert description.count == table.num_rows - len(deleted)
        self._structure = structure
        self._deleted = deleted
        self.table = table
        self.description = description

    @classmethod
    def build(
        cls,
        vectors: Float32,
        table: pa.Table,
        options: IndexOptions,
        *,
        space: str,
        base_space: str | None = None,
        distance: Distance = "cosine",
        queries: Float32 | None = None,
        seed: int = 0,
    ) -> Self:
        """Of vectors [N, D] float32 and a table [N] with a column `id` of unique strings, metadata, and perhaps `text`.

        Inverted lists are tuned with `queries` [Q, D], if given, or else with documents that ignore themselves. DataError for
        ids that are not unique, and for vectors that are not finite.
        """
        _check_ids(table, len(vectors))
        kind = structures.resolve_type(options.type, len(vectors))
        if kind == "ivf" and not len(vectors):
            raise DataError('An index of type = "ivf" needs vectors to make its lists of; use type = "flat" to begin empty.')
        structure = structures.build_structure(vectors, distance, kind, seed)
        held_out = None
        tuned = Tuned(nprobe=0, recall=1.0)
        if kind == "ivf":
            held_out = HeldOut(queries) if queries is not None else held_out_documents(vectors, options.held_out, seed)
            tuned = tune(structure, vectors, held_out, distance, options.recall_target)
        description = Description(
            space=space,
            base_space=base_space or space,
            distance=distance,
            dimension=vectors.shape[1],
            count=len(vectors),
            type=kind,
            lists=structures.lists_of(structure),
            nprobe=tuned.nprobe,
            recall=tuned.recall,
            recall_target=options.recall_target,
            held_out=len(held_out) if held_out else 0,
            measured_on=held_out.kind if held_out else "none: exhaustive",
            built=len(vectors),
            seed=seed,
        )
        return cls(structure, table.combine_chunks(), description, np.empty(0, dtype=np.int64))

    @classmethod
    def open(cls, source: Artifact | Path | str) -> Self:
        """Open a bundle: its files are compared with their manifest before they are parsed (DamagedArtifact if they differ)."""
        artifact = source if isinstance(source, Artifact) else Artifact(Path(source))
        try:
            description = Description(**artifact.json("index.json"))
        except TypeError as error:
            raise DamagedArtifact(
                f"{artifact.path / 'index.json'} is not of this version ({error}); build the index again."
            ) from None
        structure = faiss.read_index(str(artifact.file("index.faiss")))
        deleted = artifact.array("deleted.npy") if artifact.has("deleted.npy") else np.empty(0)
        return cls(structure, artifact.table("ids.parquet").combine_chunks(), description, deleted.astype(np.int64))

    def write(self, draft: Draft) -> None:
        """Write the bundle's files into a stage's folder."""
        with draft.write("index.faiss") as path:
            faiss.write_index(self._structure, str(path))
        draft.write_table("ids.parquet", self.table)
        if len(self._deleted):
            draft.write_array("deleted.npy", self._deleted)
        draft.write_json("index.json", asdict(self.description))

    def save(self, folder: Path | str) -> None:
        """Write a bundle with its manifest to a new folder; DataError if something is there."""
        path = Path(folder)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise DataError(f"{path} is not an empty folder; name a new one for the index.")
        draft = Draft(path, stage="index")
        self.write(draft)
        draft.publish()

    @property
    def space(self) -> str:
        """The space of the vectors inside."""
        return self.description.space

    @property
    def base_space(self) -> str:
        """The space of the vectors before any head."""
        return self.description.base_space

    @property
    def recall(self) -> float:
        """Measured recall@10 against exhaustive search, on held-out queries, when it was last built."""
        return self.description.recall

    def __len__(self) -> int:
        return self.description.count

    def vectors(self) -> tuple[Sequence[str], Float32]:
        """The ids in the index and their vectors [n, D], of unit length where they are compared by cosines."""
        alive = self._alive
        return self.table["id"].filter(pa.array(alive)).to_pylist(), structures.stored_vectors(self._structure)[alive]

    def metadata(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The columns of each id, but the id itself; DataError for an id that is not in the index."""
        rows = [self._row(name) for name in ids]
        found: list[dict[str, Any]] = self.table.drop_columns(["id"]).take(pa.array(rows, pa.int64())).to_pylist()
        return found

    def search(self, queries: Float32, k: int, *, where: Where | None = None, exclude: Sequence[str] = ()) -> Hits:
        """The k nearest of each query [Q, D] float32, by score, ties by row; fewer only where fewer are allowed.

        where: column → a value or a set of values; an item must match every column named. exclude: ids that are not returned.
        Scores are cosines, dot products or minus Euclidean distances. With a filter, as many times more lists are searched as
        the filter leaves fewer items, and all of them where k items were still not found. DataError for queries of another
        dimension or not finite, for k < 1, and for unknown columns.
        """
        queries = self._checked(queries, k)
        hidden = self._hidden(exclude)
        if not where and len(hidden) <= OVERFETCHED:
            scores, rows = self._search(queries, k + len(hidden), self.description.nprobe, None)
            scores, rows = _without(scores, rows, hidden, k)
            allowed = None
            most = self.table.num_rows - len(hidden)
        else:
            allowed = allowed_rows(self.table, where or {})
            allowed[hidden] = False
            most = int(allowed.sum())
            nprobe = -(-self.description.nprobe * self.table.num_rows // max(1, most))
            scores, rows = self._search(queries, k, min(nprobe, self.description.lists), allowed)
        short = np.flatnonzero((rows >= 0).sum(axis=1) < min(k, most))
        if len(short):
            spare = len(hidden) if allowed is None else 0  # a filter leaves the hidden out itself
            everything, found = self._search(queries[short], k + spare, self.description.lists, allowed)
            scores[short], rows[short] = _without(everything, found, hidden, k)
        return Hits(self._names(rows), rows, scores)

    def updated(
        self,
        add: Mapping[str, Float32] | None = None,
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        delete: Sequence[str] = (),
    ) -> FaissIndex:
        """Another index with items added (id → vector [D]; an id that is there is replaced) and deleted.

        metadata: id → {column: value} of what is added; columns not given are null. Deleted rows stay as tombstones until they
        are a fifth of the index; then, or when its lists hold twice what they were made for, it is built and measured anew.
        DataError for an id to delete that is not there, an unknown column, or a vector that does not fit.
        """
        add = add or {}
        if both := sorted(set(add) & set(delete)):
            raise DataError(f'"{both[0]}" is both added and deleted; name it once.')
        gone = [self._row(name) for name in dict.fromkeys(delete)]
        gone += [self._row_by_id[name] for name in add if name in self._row_by_id]
        deleted = np.union1d(self._deleted, np.array(gone, dtype=np.int64))
        structure, table = self._structure, self.table
        if add:
            table = appended(table, list(add), metadata or {})
            structure = structures.extended(structure, self._stacked(add), self.description.distance)
        elif metadata:
            appended(table, [], metadata)  # says what is wrong with it
        count = table.num_rows - len(deleted)
        index = FaissIndex(structure, table, replace(self.description, count=count), deleted)
        worn = len(deleted) > DEAD_SHARE * table.num_rows
        outgrown = self.description.type == "ivf" and count > GROWTH * self.description.built
        return index._rebuilt() if count and (worn or outgrown) else index

    def _rebuilt(self) -> FaissIndex:
        _, vectors = self.vectors()
        about = self.description
        options = IndexOptions(type=about.type, recall_target=about.recall_target, held_out=about.held_out or 1000)
        return FaissIndex.build(
            vectors,
            self.table.filter(pa.array(self._alive)),
            options,
            space=about.space,
            base_space=about.base_space,
            distance=about.distance,
            seed=about.seed,
        )

    def _search(self, queries: Float32, k: int, nprobe: int, allowed: NDArray[np.bool_] | None) -> tuple[Float32, Int64]:
        return structures.search_structure(self._structure, queries, k, self.description.distance, nprobe, allowed)

    def _checked(self, queries: Float32, k: int) -> Float32:
        if k < 1:
            raise DataError(f"k = {k} asks for no result; give 1 or more.")
        if queries.ndim != 2 or queries.shape[1] != self.description.dimension:
            wanted = f"[queries, {self.description.dimension}]"
            raise DataError(f'Queries must be {wanted}, not {list(queries.shape)}: embed them with the model of "{self.space}".')
        if queries.dtype != np.float32:
            raise DataError(f"Queries must be float32, not {queries.dtype}; convert them.")
        return queries

    def _stacked(self, add: Mapping[str, Float32]) -> Float32:
        for name, vector in add.items():
            if np.shape(vector) != (self.description.dimension,):
                raise DataError(
                    f'The vector of "{name}" has the shape {list(np.shape(vector))}, not [{self.description.dimension}].'
                )
            row_lengths(np.asarray(vector, dtype=np.float32)[None], f'vector of "{name}"', self.description.distance)
        return np.stack([np.asarray(vector, dtype=np.float32) for vector in add.values()])

    @property
    def _alive(self) -> NDArray[np.bool_]:
        alive = np.ones(self.table.num_rows, dtype=bool)
        alive[self._deleted] = False
        return alive

    @cached_property
    def _row_by_id(self) -> dict[str, int]:
        alive = self._alive
        return {name: row for row, name in enumerate(self.table["id"].to_pylist()) if alive[row]}

    def _row(self, name: str) -> int:
        if name not in self._row_by_id:
            raise DataError(f'"{name}" is not in the index; it has {len(self)} items.')
        return self._row_by_id[name]

    def _hidden(self, exclude: Sequence[str]) -> Int64:
        if isinstance(exclude, str):
            raise DataError(f'exclude must be a list of ids, not the string "{exclude}"; write ["{exclude}"].')
        rows = [self._row_by_id[name] for name in exclude if name in self._row_by_id]
        return np.union1d(self._deleted, np.array(rows, dtype=np.int64))

    def _names(self, rows: Int64) -> list[list[str]]:
        names = iter(self.table["id"].take(pa.array(rows[rows >= 0])).to_pylist())
        return [[next(names) for _ in range(count)] for count in (rows >= 0).sum(axis=1)]


def _without(scores: Float32, rows: Int64, hidden: Int64, k: int) -> tuple[Float32, Int64]:
    """The first k columns once hidden rows are dropped; the order stays."""
    if len(hidden):
        dropped = np.isin(rows, hidden)
        order = np.argsort(dropped | (rows < 0), axis=1, kind="stable")
        scores = np.take_along_axis(np.where(dropped, np.float32(-np.inf), scores), order, axis=1)
        rows = np.take_along_axis(np.where(dropped, -1, rows), order, axis=1)
    return scores[:, :k], rows[:, :k]


def _check_ids(table: pa.Table, count: int) -> None:
    if "id" not in table.column_names:
        raise DataError(f'The table of an index needs a column "id"; it has {", ".join(table.column_names)}.')
    if table.num_rows != count:
        raise DataError(f"There are {count} vectors and {table.num_rows} rows in the table; give one row for each vector.")
    ids = table["id"].to_pylist()
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise DataError(f'The id "{twice}" stands twice in the index; ids must be unique.')
