"""The search within a radius on a GPU, in Triton: the blocks of the compiled search, one program for each pair of leaves.

Points and queries are brought into k-d order on the device and cut into leaves of 64, each with its box. Two boxes that are not
surely farther apart than the radius are a piece of work: one program computes the 64 × 64 squared distances by differences, in
float32, and keeps what is not surely outside (`guard_band`); never a matrix product, which cancels and may round to TF32. A first
pass counts, a second writes each pair to its own place, so the order does not depend on what ran first. What was kept is then
decided in float64.

Not yet measured on a GPU, and therefore only taken where the environment has LIKEWISE_TRITON=1. Without a GPU, Triton's
interpreter runs the same kernels (TRITON_INTERPRET=1), slowly.

Shapes: N points, Q queries, D dimensions, L leaves, W pieces of work, E edges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from likewise.neighbors.guard_band import band
from likewise.neighbors.tensor_within import Found, gathered
from likewise.types import Edges

LEAF = 64
BOXES = 1 << 24  # pairs of leaves whose boxes are compared at once
PAIRS = 1 << 25  # pairs kept at once, about; a single leaf may have more


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """Vectors in k-d order: `tiles` [L, D, 64] float32, infinite where a leaf is not full; `rows` [L * 64] int64 of the vectors.

    `low` and `high` [L, D] bound each leaf; of an empty one they are infinite, and the other way round.
    """

    tiles: Tensor
    rows: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Leaves:
        """Halved again and again across the widest side, all halves of a level at once."""
        count, dimension = vectors.shape
        leaves = 1
        while leaves * LEAF < count:
            leaves *= 2
        padded = vectors.new_full((leaves * LEAF, dimension), torch.inf)
        padded[:count] = vectors
        rows = torch.arange(leaves * LEAF, device=vectors.device)
        parts = 1
        while parts < leaves:
            whole = padded.view(parts, -1, dimension)
            known = torch.isfinite(whole)
            spread = torch.where(known, whole, -torch.inf).amax(1) - torch.where(known, whole, torch.inf).amin(1)
            side = spread.argmax(dim=1)
            key = whole.gather(2, side[:, None, None].expand(-1, whole.shape[1], 1))[:, :, 0]
            order = (key.argsort(dim=1, stable=True) + torch.arange(parts, device=rows.device)[:, None] * whole.shape[1]).view(-1)
            padded, rows = padded[order], rows[order]
            parts *= 2
        tiles = padded.view(leaves, LEAF, dimension)
        high = torch.where(torch.isfinite(tiles), tiles, -torch.inf).amax(dim=1)
        return cls(tiles.transpose(1, 2).contiguous(), rows, tiles.amin(dim=1), high)

    def __len__(self) -> int:
        return len(self.tiles)


@torch.no_grad()
def triton_within(
    points: Tensor, radius: float, queries: Tensor | None, max_neighbors: int | None, each_pair_once: bool
) -> Edges[Tensor]:
    """`neighbors.radius.within` for tensors of one device that were checked."""
    if not len(points) or (queries is not None and not len(queries)):
        return gathered((), points, max_neighbors, by_distance=True)
    asked = points if queries is None else queries
    of_points = Leaves.of(points)
    of_queries = of_points if queries is None else Leaves.of(asked)
    pieces = (
        _decided(asked, points, query, point, radius, queries is None, each_pair_once)
        for query, point in _near(of_queries, of_points, radius)
    )
    return _sorted(gathered(pieces, points, max_neighbors, by_distance=not each_pair_once))


def _near(queries: Leaves, points: Leaves, radius: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows (query, point) of all pairs that are not surely farther apart than the radius; a query's pairs come together."""
    dimension = queries.tiles.shape[1]
    limit = float(band(radius, dimension).high)
    for start in range(0, len(queries), max(1, BOXES // len(points))):
        stop = min(len(queries), start + max(1, BOXES // len(points)))
        q_leaf, p_leaf = _boxes_within(queries, points, start, stop, limit)
        if not len(q_leaf):
            continue
        counts = torch.empty(len(q_leaf), dtype=torch.int64, device=q_leaf.device)
        given = (queries.tiles, points.tiles, q_leaf, p_leaf, limit)
        _count[(len(q_leaf),)](*given, counts, D=dimension, WIDTH=LEAF)
        for first, last in _portions(q_leaf, counts):
            work = slice(first, last)
            ends = counts[work].cumsum(0)
            query, point = (torch.empty(int(ends[-1]), dtype=torch.int64, device=q_leaf.device) for _ in range(2))
            given = (queries.tiles, points.tiles, q_leaf[work], p_leaf[work], limit)
            _write[(last - first,)](*given, ends - counts[work], query, point, D=dimension, WIDTH=LEAF)
            yield queries.rows[query], points.rows[point]


def _boxes_within(queries: Leaves, points: Leaves, start: int, stop: int, limit: float) -> tuple[Tensor, Tensor]:
    """The pieces of work (leaf of queries, leaf of points) [W] of some leaves of queries, by the first."""
    apart = torch.zeros(stop - start, len(points), device=queries.low.device)
    for side in range(queries.low.shape[1]):
        below = points.low[None, :, side] - queries.high[start:stop, None, side]
        above = queries.low[start:stop, None, side] - points.high[None, :, side]
        apart += torch.maximum(below, above).clamp_(min=0).square_()
    q_leaf, p_leaf = torch.nonzero(apart <= limit, as_tuple=True)
    return q_leaf + start, p_leaf


def _portions(q_leaf: Tensor, counts: Tensor) -> Iterator[tuple[int, int]]:
    """Work from … up to …, about `PAIRS` pairs each, and never parted within a leaf of queries."""
    starts = torch.nonzero(torch.diff(q_leaf, prepend=q_leaf[:1] - 1))[:, 0]
    before = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    at_starts, total = before[starts].tolist(), int(before[-1])
    places = [*starts.tolist(), len(q_leaf)]
    first = 0
    for number in range(1, len(places)):
        seen = at_starts[number] if number < len(starts) else total
        if seen - at_starts[first] >= PAIRS or number == len(starts):
            if seen > at_starts[first]:
                yield places[first], places[number]
            first = number


def _decided(asked: Tensor, points: Tensor, query: Tensor, point: Tensor, radius: float, shared: bool, once: bool) -> Found:
    """What of these pairs is within the radius, in float64."""
    if shared:
        kept = query < point if once else query != point
        query, point = query[kept], point[kept]
    square = torch.zeros(len(query), dtype=torch.float64, device=points.device)
    for side in range(points.shape[1]):
        square += (asked[:, side].to(torch.float64)[query] - points[:, side].to(torch.float64)[point]).square_()
    distance = square.sqrt_()
    kept = distance <= radius
    return query[kept], point[kept], distance[kept]


def _sorted(edges: Edges[Tensor]) -> Edges[Tensor]:
    """By query: pieces came in the order of leaves."""
    order = torch.argsort(edges.query, stable=True)
    return Edges(edges.query[order], edges.point[order], edges.distance[order], edges.cut)


@triton.jit  # type: ignore[untyped-decorator]
def _squares(queries: Any, points: Any, q_leaf: Any, p_leaf: Any, D: tl.constexpr, WIDTH: tl.constexpr) -> Any:
    """[64, 64] float32: squared distances of two leaves, by differences."""
    lane = tl.arange(0, WIDTH)
    square = tl.zeros((WIDTH, WIDTH), dtype=tl.float32)
    for side in tl.static_range(D):
        ours = tl.load(queries + (q_leaf * D + side) * WIDTH + lane)
        theirs = tl.load(points + (p_leaf * D + side) * WIDTH + lane)
        apart = ours[:, None] - theirs[None, :]
        square += apart * apart
    return square


@triton.jit  # type: ignore[untyped-decorator]
def _count(
    queries: Any, points: Any, q_leaves: Any, p_leaves: Any, limit: Any, counts: Any, D: tl.constexpr, WIDTH: tl.constexpr
) -> None:
    """How many pairs of each piece of work are kept."""
    work = tl.program_id(0)
    square = _squares(queries, points, tl.load(q_leaves + work), tl.load(p_leaves + work), D, WIDTH)
    tl.store(counts + work, tl.sum(tl.reshape((square <= limit).to(tl.int64), (WIDTH * WIDTH,)), axis=0))


@triton.jit  # type: ignore[untyped-decorator]
def _write(
    queries: Any,
    points: Any,
    q_leaves: Any,
    p_leaves: Any,
    limit: Any,
    offsets: Any,
    query: Any,
    point: Any,
    D: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Write the kept pairs of each piece of work, from its offset on."""
    work = tl.program_id(0)
    q_leaf, p_leaf = tl.load(q_leaves + work), tl.load(p_leaves + work)
    kept = tl.reshape(_squares(queries, points, q_leaf, p_leaf, D, WIDTH) <= limit, (WIDTH * WIDTH,))
    place = tl.load(offsets + work) + tl.cumsum(kept.to(tl.int64), axis=0) - 1
    cell = tl.arange(0, WIDTH * WIDTH).to(tl.int64)
    tl.store(query + place, q_leaf * WIDTH + cell // WIDTH, mask=kept)
    tl.store(point + place, p_leaf * WIDTH + cell % WIDTH, mask=kept)
