"""Formats that other programs read: a plain `.faiss` file, and `embeddings.npy` with `ids.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from likewise.artifacts.files import replacing
from likewise.errors import DataError
from likewise.index.faiss import FaissIndex
from likewise.types import Float32


def export_faiss(index: FaissIndex, path: Path | str) -> None:
    """Write an exact `.faiss` file of the vectors in the index, and their ids in order to `PATH.ids.json` beside it."""
    target = Path(path)
    ids, vectors = index.vectors()
    metric = faiss.METRIC_L2 if index.description.distance == "euclidean" else faiss.METRIC_INNER_PRODUCT
    plain = faiss.IndexFlat(index.description.dimension, metric)
    plain.add(vectors)
    with replacing(target) as temporary:
        faiss.write_index(plain, str(temporary))
    _write_ids(ids, target.with_name(target.name + ".ids.json"))


def export_vectors(ids: Sequence[str], vectors: Float32, folder: Path | str) -> None:
    """Write `embeddings.npy` float32 [n, D] and `ids.json` (a list of n strings) to a folder."""
    if len(ids) != len(vectors):
        raise DataError(f"There are {len(ids)} ids and {len(vectors)} vectors; give one id for each vector.")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with replacing(target / "embeddings.npy") as temporary, temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(vectors, dtype=np.float32), allow_pickle=False)
    _write_ids(ids, target / "ids.json")


def _write_ids(ids: Sequence[str], path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(list(ids), ensure_ascii=False) + "\n", encoding="utf-8")
