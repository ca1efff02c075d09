"""The last stage of a recipe whose result is searched: the documents' vectors as an index, or as plain files."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.data.payloads import for_people
from likewise.index.faiss import Description, FaissIndex
from likewise.index.options import IndexOptions, VectorsOptions
from likewise.types import Float32, Int64
from likewise.vectors.store import Made, Vectors

FEWEST_QUERIES = 100  # with fewer real queries a recall is too coarse to tune by, and documents stand in


def build_index(draft: Draft, options: IndexOptions, made: Made) -> None:
    """Write index.faiss, ids.parquet and index.json (see `index.faiss`) of the corpus's documents, tuned with its queries."""
    if draft.has("index.json"):  # written last
        return
    corpus, vectors = _opened(made)
    rows = corpus.rows("document")
    queries = _real_queries(corpus, vectors, options.held_out, draft.seed)
    index = FaissIndex.build(
        _at(vectors.array, rows),
        _table(corpus, rows),
        options,
        space=vectors.space,
        distance=vectors.distance,
        queries=queries,
        seed=draft.seed,
    )
    index.write(draft)
    draft.say(_described(index.description))


def keep_vectors(draft: Draft, options: VectorsOptions, made: Made) -> None:
    """Write embeddings.npy float32 [n, D] and ids.json of the corpus's documents."""
    corpus, vectors = _opened(made)
    rows = corpus.rows("document")
    if not draft.has("embeddings.npy"):
        draft.write_array("embeddings.npy", _at(vectors.array, rows))
    if not draft.has("ids.json"):
        draft.write_text("ids.json", json.dumps([corpus.ids[row] for row in rows], ensure_ascii=False) + "\n")


def _opened(made: Made) -> tuple[Corpus, Vectors]:
    assert made.vectors is not None, "a recipe whose evidence may join shards has [embed]"
    return Corpus(made.items), Vectors(made.vectors)


def _real_queries(corpus: Corpus, vectors: Vectors, most: int, seed: int) -> Float32 | None:
    """Query vectors [Q, D] drawn with the seed; None where there are too few to measure with."""
    rows = corpus.rows("query")
    if len(rows) < min(most, FEWEST_QUERIES):
        return None
    drawn = np.random.default_rng(seed).choice(rows, min(most, len(rows)), replace=False)
    return np.ascontiguousarray(vectors.array[np.sort(drawn)])


def _table(corpus: Corpus, rows: Int64) -> pa.Table:
    """Ids, metadata and texts (of pictures their paths); the role is left out, they are all documents."""
    table = corpus.metadata(rows)
    table = table.drop_columns([name for name in ("role",) if name in table.column_names])
    return table.append_column(*for_people(corpus.payload(rows)))


def _at(array: Float32, rows: Int64) -> Float32:
    """The rows of a memory-mapped array, without a copy where they stand together."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return array[rows[0] : rows[-1] + 1]
    return array[rows]


def _described(about: Description) -> str:
    if about.type == "flat":
        return f"exact index of {about.count:,} vectors"
    return (
        f"{about.count:,} vectors in {about.lists:,} lists, {about.nprobe:,} of them searched: "
        f"recall@10 {about.recall:.3f} on {about.held_out:,} {about.measured_on}"
    )
