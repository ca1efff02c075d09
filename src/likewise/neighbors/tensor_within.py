"""The search within a radius in plain torch, for devices and processors that the compiled one does not know.

Tiles of the full matrix of differences; never a matrix product: it cancels, and on a GPU it may round to TF32. Every distance is
computed in float64 from the start, so that there is nothing to decide again. Memory: a few tiles, and the result.

Shapes: Q queries, N points, D dimensions, E edges.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from likewise.types import Edges

TILE_BYTES = 1 << 26  # of the differences of one tile, [q, n, D] float64

Found = tuple[Tensor, Tensor, Tensor]  # query [E], point [E] int64, distance [E] float64


@torch.no_grad()
def tensor_within(
    points: Tensor, radius: float, queries: Tensor | None, max_neighbors: int | None, each_pair_once: bool
) -> Edges[Tensor]:
    """`neighbors.radius.within` for tensors of one device that were checked."""
    asked = points if queries is None else queries
    tile = max(1, int((TILE_BYTES // (8 * max(1, points.shape[1]))) ** 0.5))

    def rows(start: int) -> Found:
        """All that is near some queries."""
        parts = [
            _tile(
                asked[start : start + tile],
                points[column : column + tile],
                start,
                column,
                radius,
                queries is None,
                each_pair_once,
            )
            for column in range(start if each_pair_once else 0, len(points), tile)
        ]
        query, point, distance = (torch.cat(part) for part in zip(*parts, strict=True))
        return query, point, distance

    starts = range(0, len(asked), tile) if len(points) else range(0)
    return gathered((rows(start) for start in starts), points, max_neighbors, by_distance=not each_pair_once)


def gathered(pieces: Iterable[Found], points: Tensor, max_neighbors: int | None, *, by_distance: bool) -> Edges[Tensor]:
    """The edges of all pieces, in order; each holds all that is near some queries, and later ones hold later queries."""
    rows = points.new_empty(0, dtype=torch.int64)
    found, cut = [(rows, rows, points.new_empty(0))], 0
    for query, point, distance in pieces:
        order = _order(query, point, distance if by_distance else None)
        query, point, distance = query[order], point[order], distance[order]
        if max_neighbors is not None:
            place = torch.arange(len(query), device=query.device) - torch.searchsorted(query, query)
            cut += int((place == max_neighbors).sum())
            kept = place < max_neighbors
            query, point, distance = query[kept], point[kept], distance[kept]
        found.append((query, point, distance.to(torch.float32)))
    query, point, distance = (torch.cat(column) for column in zip(*found, strict=True))
    return Edges(query, point, distance, cut)


def _tile(queries: Tensor, points: Tensor, start: int, column: int, radius: float, shared: bool, once: bool) -> Found:
    differences = queries.to(torch.float64)[:, None, :] - points.to(torch.float64)[None, :, :]
    distances = differences.square_().sum(dim=2).sqrt_()
    query, point = torch.nonzero(distances <= radius, as_tuple=True)
    distance = distances[query, point]
    query, point = query + start, point + column
    if shared:
        kept = query < point if once else query != point
        return query[kept], point[kept], distance[kept]
    return query, point, distance


def _order(query: Tensor, point: Tensor, distance: Tensor | None) -> Tensor:
    """By query, then by distance, then by point: sorted by the last first, stably."""
    order = torch.argsort(point, stable=True)
    if distance is not None:
        order = order[torch.argsort(distance[order], stable=True)]
    return order[torch.argsort(query[order], stable=True)]
