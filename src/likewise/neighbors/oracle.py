"""Brute force in float64: the judge of every faster search. Small and obvious on purpose; chunked so that it fits in memory.

Shapes: Q queries, N base items, D dimensions, K neighbors, E edges.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from likewise.types import Distance, Edges, Float64, Int64

CHUNK_BYTES = 1 << 26  # of one [chunk, N] matrix of float64


def scores(queries: NDArray[np.floating], base: NDArray[np.floating], distance: Distance = "cosine") -> Float64:
    """All scores [Q, N] in float64, bigger is closer: cosines (0 for zero vectors), dot products or minus Euclidean distances."""
    q, b = queries.astype(np.float64), base.astype(np.float64)
    if not len(q):
        return np.empty((0, len(b)))
    if distance == "euclidean":
        return -np.stack([np.sqrt(((b - query) ** 2).sum(axis=1)) for query in q])
    if distance == "cosine":
        q, b = _unit(q), _unit(b)
    # Not q @ b.T: the last bits of a matrix product depend on a row's place, and equal items would not tie.
    return np.stack([(b * query).sum(axis=1) for query in q])


def nearest(
    queries: NDArray[np.floating],
    base: NDArray[np.floating],
    k: int,
    *,
    distance: Distance = "cosine",
    exclude: tuple[NDArray[np.integer], NDArray[np.integer]] | None = None,
) -> tuple[Int64, Float64]:
    """Rows [Q, K] (-1 where fewer exist) and scores [Q, K] (-inf there) of the k nearest; ties by row.

    `exclude` holds a code for each query and each base item: items with the query's code are left out, codes below 0 exclude
    none.
    """
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    best = np.full((len(queries), k), -np.inf)
    for start, stop in _chunks(len(queries), len(base)):
        found = scores(queries[start:stop], base, distance)
        for number, row in enumerate(found, start):
            allowed = np.ones(len(base), dtype=bool)
            if exclude is not None and exclude[0][number] >= 0:
                allowed = exclude[1] != exclude[0][number]
            order = np.argsort(-row, kind="stable")
            order = order[allowed[order]][:k]
            rows[number, : len(order)] = order
            best[number, : len(order)] = row[order]
    return rows, best


def within(
    points: NDArray[np.floating],
    radius: float,
    *,
    queries: NDArray[np.floating] | None = None,
    max_neighbors: int | None = None,
) -> Edges[NDArray[np.generic]]:
    """Every (query, point) at most `radius` apart (Euclidean), sorted by query, then distance, then point.

    Without `queries` the points ask about each other and a point is not its own neighbor. Of each query the nearest
    `max_neighbors` are kept; `cut` counts the queries that lost some. Distances are float64.
    """
    asked = points if queries is None else queries
    found: list[tuple[Int64, Int64, Float64]] = []
    cut = 0
    for start, stop in _chunks(len(asked), len(points)):
        for number, row in enumerate(-scores(asked[start:stop], points, "euclidean"), start):
            near = row <= radius
            if queries is None:
                near[number] = False
            order = np.argsort(row, kind="stable")
            order = order[near[order]]
            kept = order[:max_neighbors]
            cut += len(kept) < len(order)
            found.append((np.full(len(kept), number, dtype=np.int64), kept.astype(np.int64), row[kept]))
    empty = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
    query, point, distance = (np.concatenate(column) for column in zip(empty, *found, strict=True))
    return Edges(query, point, distance, cut)


def _unit(vectors: Float64) -> Float64:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float64 = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


def _chunks(queries: int, base: int) -> Iterator[tuple[int, int]]:
    size = max(1, CHUNK_BYTES // (8 * max(1, base)))
    for start in range(0, queries, size):
        yield start, min(start + size, queries)
