"""Ids and vectors of a run in formats that other tools read.

    numpy    embeddings.npy [N, D] float32, ids.json, metadata.csv: row i of each belongs to item i
    faiss    documents.faiss (exact, by inner product) and documents.faiss.ids.json: the documents, which are what is searched
    parquet  vectors.parquet: id, text, role, shard, the data's own columns, vector (fixed-size list of float32)
    csv      vectors.csv: the same columns; the vector as a JSON list in its cell
    jsonl    vectors.jsonl: one JSON object per line

Vectors are those of the model that the run handed over. All but faiss is written in pieces, so memory does not grow with the run.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from likewise.data.payloads import for_people
from likewise.errors import UserError
from likewise.index.export import export_faiss, export_vectors
from likewise.index.faiss import FaissIndex
from likewise.index.options import IndexOptions
from likewise.publishing.finished import FinishedRun
from likewise.publishing.folders import appearing
from likewise.types import Float32, Int64
from likewise.vectors.store import Vectors

Kind = Literal["numpy", "faiss", "parquet", "csv", "jsonl"]

STEP = 8192  # items in memory at once
VECTOR = "vector"


def export(run: Path, target: Path, kind: Kind) -> tuple[Path, ...]:
    """Write a run's vectors to the new folder `target`, which appears whole; the paths of its files. UserError if it is taken."""
    if kind not in WRITERS:
        raise UserError(f'"{kind}" is not a format: use one of {", ".join(WRITERS)}.')
    finished = FinishedRun(run)
    vectors = Vectors(finished.vectors).array
    if len(vectors) != len(finished.corpus):
        raise UserError(f"{run} has {len(vectors):,} vectors for {len(finished.corpus):,} items; run it again with --fresh.")
    with appearing(target) as folder:
        WRITERS[kind](finished, vectors, folder)
        names = sorted(path.name for path in folder.iterdir())
    return tuple(target / name for name in names)


def _numpy(run: FinishedRun, vectors: Float32, folder: Path) -> None:
    export_vectors(run.corpus.ids, vectors, folder)
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        _write_csv(file, (run.corpus.metadata(rows) for rows in _pieces(len(vectors))))


def _faiss(run: FinishedRun, vectors: Float32, folder: Path) -> None:
    rows = run.corpus.rows("document")
    ids = pa.table({"id": pa.array([run.corpus.ids[row] for row in rows], pa.string())})
    exact = FaissIndex.build(np.asarray(vectors[rows]), ids, IndexOptions(type="flat"), space=Vectors(run.vectors).space)
    export_faiss(exact, folder / "documents.faiss")


def _parquet(run: FinishedRun, vectors: Float32, folder: Path) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for rows in _pieces(len(vectors)):
            flat = pa.array(np.ascontiguousarray(vectors[rows], dtype=np.float32).reshape(-1))
            table = _items(run, rows).append_column(VECTOR, pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))
            writer = writer or pq.ParquetWriter(folder / "vectors.parquet", table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _csv(run: FinishedRun, vectors: Float32, folder: Path) -> None:
    def tables() -> Iterator[pa.Table]:
        for rows in _pieces(len(vectors)):
            texts = pa.array(_as_text(vectors[rows]), pa.string())
            yield _items(run, rows).append_column(VECTOR, texts)

    with (folder / "vectors.csv").open("w", encoding="utf-8", newline="") as file:
        _write_csv(file, tables())


def _jsonl(run: FinishedRun, vectors: Float32, folder: Path) -> None:
    with (folder / "vectors.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for rows in _pieces(len(vectors)):
            for row, vector in zip(_items(run, rows).to_pylist(), _as_text(vectors[rows]), strict=True):
                known = json.dumps(row, ensure_ascii=False, default=str)
                file.write(f'{known[:-1]}, "{VECTOR}": {vector}}}\n')


WRITERS: Mapping[str, Callable[[FinishedRun, Float32, Path], None]] = {
    "numpy": _numpy,
    "faiss": _faiss,
    "parquet": _parquet,
    "csv": _csv,
    "jsonl": _jsonl,
}


def _pieces(count: int) -> Iterator[Int64]:
    """All rows in pieces; one empty piece where there are none, so that files have their columns."""
    for start in range(0, max(count, 1), STEP):
        yield np.arange(start, min(start + STEP, count), dtype=np.int64)


def _items(run: FinishedRun, rows: Int64) -> pa.Table:
    """The items' columns, after the id their text, or a picture's path.

    A column that is called like that of the vectors is refused.
    """
    table = run.corpus.metadata(rows)
    if VECTOR in table.column_names:
        raise UserError(f'The data has a column "{VECTOR}" of its own, which the export would write twice; rename it.')
    return table.add_column(1, *for_people(run.corpus.payload(rows)))


def _as_text(vectors: Float32) -> list[str]:
    """Each vector as a JSON list, every number with the fewest digits that give the same float32."""
    width = vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    numbers = [str(text) for text in flat.cast(pa.string()).to_pylist()]
    return [f"[{', '.join(numbers[start : start + width])}]" for start in range(0, len(numbers), width)]


def _write_csv(file: Any, tables: Iterator[pa.Table]) -> None:
    """Tables of one schema under one header; lists and objects as JSON."""
    writer = csv.writer(file, lineterminator="\n")
    for number, table in enumerate(tables):
        if number == 0:
            writer.writerow(table.column_names)
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value
