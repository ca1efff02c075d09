"""Files for other programs, read back the way those read them."""

import json

import faiss
import numpy as np
import pyarrow as pa
import pytest

from likewise.errors import DataError
from likewise.index.export import export_faiss, export_vectors
from likewise.index.faiss import FaissIndex
from likewise.index.options import IndexOptions
from likewise.neighbors import oracle


@pytest.mark.parametrize("distance", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_a_plain_faiss_file_finds_the_same(distance, kind, tmp_path, rng):
    vectors = rng.standard_normal((200, 6)).astype(np.float32)
    table = pa.table({"id": [f"d{row}" for row in range(200)]})
    index = FaissIndex.build(vectors, table, IndexOptions(type=kind, recall_target=1.0), space="test", distance=distance)
    index = index.updated(delete=["d0", "d7"])
    export_faiss(index, tmp_path / "plain.faiss")

    plain = faiss.read_index(str(tmp_path / "plain.faiss"))
    ids = json.loads((tmp_path / "plain.faiss.ids.json").read_text())
    assert plain.ntotal == len(ids) == 198
    queries = vectors[:20] / np.linalg.norm(vectors[:20], axis=1, keepdims=True)
    _, rows = plain.search(queries, 5)
    assert [[ids[row] for row in best] for best in rows] == _exact(vectors, queries, distance)


def _exact(vectors, queries, distance):
    kept = np.setdiff1d(np.arange(200), [0, 7])
    rows, _ = oracle.nearest(queries, vectors[kept], 5, distance=distance)
    return [[f"d{kept[row]}" for row in best] for best in rows]


def test_vectors_and_ids(tmp_path, rng):
    vectors = rng.standard_normal((3, 2)).astype(np.float32)
    export_vectors(["a", "b", "ü"], vectors, tmp_path / "new")
    assert np.array_equal(np.load(tmp_path / "new" / "embeddings.npy"), vectors)
    assert json.loads((tmp_path / "new" / "ids.json").read_text(encoding="utf-8")) == ["a", "b", "ü"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["embeddings.npy", "ids.json"]


def test_one_id_for_each_vector(tmp_path):
    with pytest.raises(DataError, match="2 ids and 3 vectors"):
        export_vectors(["a", "b"], np.zeros((3, 2), np.float32), tmp_path)
