"""What faiss holds of an index: exact ("flat") or inverted lists ("ivf"), both with the float32 vectors themselves.

Because the vectors are inside, scores are exact, nothing needs to be ranked again, and an index can be rebuilt from itself: no
second copy of the vectors is kept. Cosines are dot products of vectors that were scaled to unit length.

Shapes: N vectors, Q queries, D dimensions, K results.
"""

from __future__ import annotations

from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from likewise.neighbors.lengths import row_lengths
from likewise.types import Distance, Float32, Int64

IndexType = Literal["flat", "ivf"]
Structure = Any  # a faiss.Index

EXACT_BELOW = 20_000  # vectors: an exhaustive search takes about a millisecond, and lists would be too short to save any
POINTS_PER_LIST = 39  # the fewest with which faiss trusts a centroid
CHUNK = 65_536  # vectors scaled at once


def resolve_type(wanted: Literal["auto", "flat", "ivf"], count: int) -> IndexType:
    """ "auto" is exact below 20,000 vectors and inverted lists from there on."""
    if wanted == "auto":
        return "flat" if count < EXACT_BELOW else "ivf"
    return wanted


def build_structure(vectors: Float32, distance: Distance, kind: IndexType, seed: int) -> Structure:
    """The vectors [N, D] in a structure; DataError naming the row of a vector that cannot be compared.

    Inverted lists number 4 √N (as faiss advises for up to a million vectors), fewer where that leaves under 39 vectors for each;
    their centroids are k-means of a sample drawn with the seed.
    """
    count, dimension = vectors.shape
    lengths = row_lengths(vectors, "index", distance).numpy()
    metric = faiss.METRIC_L2 if distance == "euclidean" else faiss.METRIC_INNER_PRODUCT
    structure: Structure = faiss.IndexFlat(dimension, metric)
    if kind == "ivf":
        lists = max(1, min(round(4 * count**0.5), count // POINTS_PER_LIST))
        structure = faiss.IndexIVFFlat(structure, dimension, lists, metric)
        structure.cp.seed = seed
        structure.cp.min_points_per_centroid = 1  # fewer than 39 points can only mean a tiny index, not worth a warning
        most = lists * structure.cp.max_points_per_centroid  # more than this faiss leaves out itself
        sample = np.sort(np.random.default_rng(seed).choice(count, min(count, most), replace=False))
        structure.train(_scaled(vectors[sample], lengths[sample], distance))
    for start in range(0, count, CHUNK):
        structure.add(_scaled(vectors[start : start + CHUNK], lengths[start : start + CHUNK], distance))
    return structure


def extended(structure: Structure, vectors: Float32, distance: Distance) -> Structure:
    """A copy of the structure with vectors added at its end."""
    lengths = row_lengths(vectors, "added vectors", distance).numpy()
    copy = faiss.clone_index(structure)
    copy.add(_scaled(vectors, lengths, distance))
    return copy


def stored_vectors(structure: Structure) -> Float32:
    """The vectors [N, D] inside, in the order they were added; of unit length where they are compared by cosines."""
    if structure.ntotal == 0:
        return np.empty((0, structure.d), dtype=np.float32)
    vectors: Float32 = structure.reconstruct_n(0, structure.ntotal)
    return vectors


def lists_of(structure: Structure) -> int:
    """How many inverted lists there are; 0 for an exact index."""
    return int(getattr(structure, "nlist", 0))


def search_structure(
    structure: Structure, queries: Float32, k: int, distance: Distance, nprobe: int, allowed: NDArray[np.bool_] | None = None
) -> tuple[Float32, Int64]:
    """Scores and rows [Q, K] of the k best among `allowed` [N] in the `nprobe` nearest lists, by score, ties by row.

    Fewer than k found: scores -inf, rows -1. Queries are float32 [Q, D] and finite.
    """
    asked = min(k, structure.ntotal)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    if asked and len(queries):
        lengths = row_lengths(queries, "queries", distance).numpy()
        parameters = _parameters(structure, nprobe, allowed)
        found, place = structure.search(_scaled(queries, lengths, distance), asked, params=parameters)
        found = -np.sqrt(found) if distance == "euclidean" else found
        found = np.where(place >= 0, found, -np.inf) + np.float32(0)  # no negative zeros
        order = np.lexsort((np.where(place >= 0, place, np.iinfo(np.int64).max), -found), axis=1)
        scores[:, :asked] = np.take_along_axis(found, order, axis=1)
        rows[:, :asked] = np.take_along_axis(place, order, axis=1)
    return scores, rows


def _parameters(structure: Structure, nprobe: int, allowed: NDArray[np.bool_] | None) -> Any:
    selector = None if allowed is None else faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
    if lists_of(structure):
        return faiss.SearchParametersIVF(nprobe=nprobe, sel=selector)
    return faiss.SearchParameters(sel=selector)


def _scaled(vectors: Float32, lengths: Float32, distance: Distance) -> Float32:
    """C-contiguous, of unit length for cosines; vectors of zeros stay so."""
    if distance != "cosine":
        return np.ascontiguousarray(vectors)
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return np.ascontiguousarray(vectors * inverse[:, None])
