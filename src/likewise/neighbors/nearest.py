"""The k nearest neighbors, exhaustively: faiss on the CPU, matrix products of tiles on a GPU.

Shapes: Q queries, N base items, D dimensions, K neighbors; q queries of a block, c candidates, m pairs.

For each block of queries: (1) a fast first pass finds c > K candidates; (2) each candidate is scored by itself and the best K
are taken, ties by row; (3) if, by the bound on rounding errors, an item that was not a candidate could still belong to them,
every item within that bound of the cut is scored, too. So the result is what scoring every pair by itself would give, whatever
the budget, the threads, or the order of the queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likewise.errors import DataError
from likewise.neighbors.array_base import MOST_OVERFETCHED, ArrayBase
from likewise.neighbors.base import Base, Block, Plan, batched
from likewise.neighbors.lengths import row_lengths
from likewise.neighbors.rounding import score_error
from likewise.neighbors.tensor_base import TensorBase
from likewise.types import Distance, Float32, Neighbors

Array = NDArray[Any]

SPARE = 8  # candidates beyond k + k/8, so that the cut is seldom within rounding errors of an item that was not one


@overload
def nearest(
    queries: Float32,
    base: Float32,
    k: int,
    *,
    distance: Distance = "cosine",
    exclude: tuple[Array, Array] | None = None,
    budget: int = 1 << 30,
) -> Neighbors[Array]: ...


@overload
def nearest(
    queries: Tensor,
    base: Tensor,
    k: int,
    *,
    distance: Distance = "cosine",
    exclude: tuple[Tensor, Tensor] | None = None,
    budget: int = 1 << 30,
) -> Neighbors[Tensor]: ...


@torch.no_grad()
def nearest(
    queries: Any,
    base: Any,
    k: int,
    *,
    distance: Distance = "cosine",
    exclude: tuple[Any, Any] | None = None,
    budget: int = 1 << 30,
) -> Any:
    """The `k` nearest base items of every query, exhaustively; the same kind comes out as went in.

    queries [Q, D] and base [N, D] float32, both numpy arrays (searched by faiss on the CPU; a memory-mapped base is read in
    place, one that is not C-contiguous is copied) or both tensors on one device. exclude: integer codes [Q] and [N]; base items
    with the query's code are left out, codes below 0 exclude none. budget: bytes of working memory, beyond the inputs, the
    result and a few numbers for each item.

    Returns rows [Q, K] int64 and scores [Q, K] float32, bigger is closer: cosines (0 where a vector is all zeros), dot
    products, or minus Euclidean distances. Equal scores stand in the order of rows. Where fewer than k items are allowed, rows
    are -1 and scores -inf. Items whose exact scores differ by more than `tolerance` stand in their exact order, and no item
    nearer by more than it is missing: it bounds the rounding error of a difference of two scores, 4 γ(D) for cosines,
    2 γ(D) max‖q‖ max‖b‖ for dot products, γ(D) times the greatest distance returned for Euclidean ones, with
    γ(D) ≈ (D + 8) 2⁻²⁴ (derived in `neighbors.rounding`).

    Raises DataError for shapes and types that do not fit, for values that are not finite (naming the row), for lengths above
    1e18 (and, for cosines, below 1e-14 but not 0), and for a budget too small for one query.
    """
    _check(queries, base, k, distance, exclude)
    query_codes, base_codes = (None, None) if exclude is None else (_codes(exclude[0]), _codes(exclude[1]))
    query_lengths = row_lengths(queries, "queries", distance)
    if isinstance(base, Tensor):
        searched: Base = TensorBase(base, distance, row_lengths(base, "base", distance), base_codes)
    else:
        base = np.ascontiguousarray(base)
        searched = ArrayBase(base, distance, row_lengths(base, "base", distance), base_codes)

    device = query_lengths.device
    rows = torch.full((len(queries), k), -1, dtype=torch.int64, device=device)
    scores = torch.full((len(queries), k), -torch.inf, dtype=torch.float32, device=device)
    count = min(max(1, k + SPARE + k // 8), len(base))
    beside = searched.excluded(query_codes)
    plan = Plan.of(budget, queries.shape[1], count + min(MOST_OVERFETCHED, int(beside.max(initial=0))))
    order = torch.from_numpy(np.argsort(beside, kind="stable")) if len(beside) else torch.arange(len(queries), device=device)
    with _full_precision(device):
        for asked in batched(order, plan.queries) if len(base) else ():
            codes = None if query_codes is None else query_codes[asked]
            block = searched.block(_take(queries, asked), query_lengths[asked], codes)
            rows[asked], scores[asked] = _search(searched, block, k, count, plan)
    tolerance = _tolerance(distance, queries.shape[1], query_lengths, searched, scores)
    if isinstance(base, Tensor):
        return Neighbors(rows, scores, tolerance)
    return Neighbors(rows.numpy(), scores.numpy(), tolerance)


def _search(base: Base, block: Block, k: int, count: int, plan: Plan) -> tuple[Tensor, Tensor]:
    """Rows and finished scores [q, K] of one block."""
    first, rows = base.candidates(block, count, plan)
    query = torch.arange(len(block), device=rows.device)[:, None].expand_as(rows)
    found = rows >= 0
    pairs = torch.full_like(first, -torch.inf)
    pairs[found] = base.pair_scores(block, query[found], rows[found], plan)
    kept_rows, kept = _best(base.finish(pairs), rows, k)

    exhausted = (count >= base.items) | ~found.all(dim=1)
    cut = _kth(pairs, k)
    needed = cut - base.error(block, cut)
    unsure = torch.nonzero(~exhausted & (needed <= first[:, -1]))[:, 0]
    for some in batched(unsure, plan.swept_queries):
        kept_rows[some], kept[some] = _sweep(base, block.take(some), needed[some], k, plan)
    return kept_rows, kept


def _sweep(base: Base, block: Block, needed: Tensor, k: int, plan: Plan) -> tuple[Tensor, Tensor]:
    """Rows and finished scores [q, K] among all items whose first-pass score reaches `needed` [q]."""
    device = needed.device
    query, row = (torch.empty(0, dtype=torch.int64, device=device) for _ in range(2))
    score = torch.empty(0, device=device)
    for start, stop in base.tiles(plan.swept_rows):
        place = torch.nonzero(base.dense(block, start, stop) >= needed[:, None])
        found = base.finish(base.pair_scores(block, place[:, 0].contiguous(), place[:, 1] + start, plan))
        query, row, score = torch.cat([query, place[:, 0]]), torch.cat([row, place[:, 1] + start]), torch.cat([score, found])
        query, row, score, rank = _ranked(query, row, score, k)
    rows = torch.full((len(block), k), -1, dtype=torch.int64, device=device)
    scores = torch.full((len(block), k), -torch.inf, device=device)
    rows[query, rank], scores[query, rank] = row, score
    return rows, scores


def _ranked(query: Tensor, row: Tensor, score: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The k best of each query in flat lists, sorted by query, score and row; and the rank of each."""
    order = row.argsort(stable=True)
    order = order[score[order].argsort(descending=True, stable=True)]
    order = order[query[order].argsort(stable=True)]
    query, row, score = query[order], row[order], score[order]
    rank = torch.arange(len(query), device=query.device) - torch.searchsorted(query, query)
    best = rank < k
    return query[best], row[best], score[best], rank[best]


def _best(scores: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Rows and scores [q, K], by score, ties by row; padded where there are fewer columns."""
    rows, order = rows.sort(dim=1)
    scores, best = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
    missing = (0, max(0, k - rows.shape[1]))
    rows = torch.nn.functional.pad(rows.gather(1, best)[:, :k], missing, value=-1)
    return rows, torch.nn.functional.pad(scores[:, :k], missing, value=-torch.inf)


def _kth(scores: Tensor, k: int) -> Tensor:
    """The k-th best score of each line, or the worst where there are fewer."""
    return scores.topk(min(k, scores.shape[1]), dim=1).values[:, -1]


def _tolerance(distance: Distance, dimension: int, query_lengths: Tensor, base: Base, scores: Tensor) -> float:
    if distance == "dot":
        size = float(query_lengths.max()) * base.longest if len(query_lengths) else 0.0
    else:
        finite = scores[scores > -torch.inf]
        size = -float(finite.min()) if distance == "euclidean" and len(finite) else 0.0
    return 2 * score_error(distance, dimension, size)


# At the edge


def _check(queries: Any, base: Any, k: int, distance: Distance, exclude: tuple[Any, Any] | None) -> None:
    for name, vectors in (("queries", queries), ("base", base)):
        if not isinstance(vectors, np.ndarray | Tensor) or vectors.ndim != 2 or vectors.shape[1] < 1:
            found = getattr(vectors, "shape", type(vectors).__name__)
            raise DataError(f"The {name} must be a matrix of vectors [items, dimensions], not {found}; reshape it.")
        if vectors.dtype not in (np.dtype(np.float32), torch.float32):
            raise DataError(f"The {name} must be float32, not {vectors.dtype}; convert it.")
    if isinstance(queries, Tensor) != isinstance(base, Tensor) or (isinstance(base, Tensor) and queries.device != base.device):
        raise DataError("The queries and the base must both be numpy arrays, or tensors on one device; move one to the other.")
    if queries.shape[1] != base.shape[1]:
        raise DataError(
            f"The queries have {queries.shape[1]} dimensions and the base {base.shape[1]}; compare vectors of one space."
        )
    if k < 1:
        raise DataError(f"k = {k} asks for no neighbor; give 1 or more.")
    if distance not in get_args(Distance):
        raise DataError(f'distance = "{distance}" is not known; use one of {", ".join(get_args(Distance))}.')
    if exclude is not None and (len(exclude[0]), len(exclude[1])) != (len(queries), len(base)):
        lengths = f"{len(exclude[0])} and {len(exclude[1])}"
        raise DataError(f"exclude has {lengths} codes for {len(queries)} queries and {len(base)} base items; give one for each.")


def _codes(codes: Any) -> Tensor:
    if isinstance(codes, Tensor):
        whole = not (codes.is_floating_point() or codes.is_complex())
    else:
        whole = np.asarray(codes).dtype.kind in "iu"
    if not whole:
        raise DataError(
            f"exclude has codes of {codes.dtype}; give whole numbers, such as np.unique(names, return_inverse=True)[1]."
        )
    return codes.to(torch.int64) if isinstance(codes, Tensor) else torch.from_numpy(np.array(codes, dtype=np.int64))


def _take(vectors: Any, rows: Tensor) -> Tensor:
    """The given rows as a tensor of its own."""
    taken: Tensor = vectors[rows] if isinstance(vectors, Tensor) else torch.from_numpy(vectors[rows.numpy()])
    return taken


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Matrix products in float32, even if the caller allowed TF32 or is within autocast."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
