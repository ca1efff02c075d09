"""The lengths of vectors, and the vectors with which no score can be computed."""

from __future__ import annotations

import math
from typing import Any

import faiss
import numpy as np
import torch
from torch import Tensor

from likewise.errors import DataError
from likewise.types import Distance, Float32

LONGEST = 1e18  # a dot product of two such vectors still fits in float32
SHORTEST = 1e-14  # below it the products under a cosine leave float32's normal range


def row_lengths(vectors: Any, name: str, distance: Distance) -> Tensor:
    """The length of each row; DataError for a row with which no score can be computed."""
    lengths = torch.linalg.vector_norm(vectors, dim=1) if isinstance(vectors, Tensor) else _by_faiss(vectors)
    odd = torch.nonzero(~((lengths > SHORTEST) & (lengths < LONGEST)))[:, 0]
    for start in range(0, len(odd), 4096):
        rows = odd[start : start + 4096]
        values = _numpy(vectors, rows).astype(np.float64)  # squares may have left float32's range
        exact = np.linalg.norm(values, axis=1)
        for row, length in zip(rows.tolist(), exact.tolist(), strict=True):
            _check_length(length, row, name, distance)
        lengths[rows] = torch.from_numpy(exact).to(lengths)
    return lengths


def _check_length(length: float, row: int, name: str, distance: Distance) -> None:
    if not math.isfinite(length):  # the squares of finite float32 values do not overflow float64
        raise DataError(f"Row {row} of the {name} has a value that is not finite; mend or leave out that item.")
    if length >= LONGEST or (distance == "cosine" and 0 < length <= SHORTEST):
        raise DataError(f"Row {row} of the {name} has length {length:.3g}, which float32 scores cannot hold; scale the vectors.")


def _numpy(vectors: Any, rows: Tensor) -> Float32:
    taken: Float32 = vectors[rows].cpu().numpy() if isinstance(vectors, Tensor) else vectors[rows.numpy()]
    return taken


def _by_faiss(vectors: Float32) -> Tensor:
    """The length [N] of each row; inf or nan where float32 cannot hold its square."""
    vectors = np.ascontiguousarray(vectors)
    lengths = np.empty(len(vectors), dtype=np.float32)
    if len(vectors):
        faiss.fvec_norms_L2(faiss.swig_ptr(lengths), faiss.swig_ptr(vectors), vectors.shape[1], len(vectors))
    return torch.from_numpy(lengths)
