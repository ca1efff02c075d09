"""Hard negatives in three steps, each a pure function on index arrays: `score`, `filter_candidates`, `choose`.

Between the first two stands `leave_out_known`, which settles what counts as a candidate at all.
Shapes: B anchors of a block, K candidates of each, N items, M documents, D dimensions, P codes known to be alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.mining.known import KnownAlike
from likewise.mining.options import MineOptions
from likewise.mining.outcome import Removed
from likewise.neighbors.nearest import nearest
from likewise.types import Float32, Int64, Negatives

FEW_CODES = 8  # comparing with each of so few codes in turn is faster than a binary search


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of a block of anchors, each row by falling score, ties by item.

    `anchor` [B] and `item` [B, K] are item rows (-1 where an anchor has fewer than K), `score` [B, K] float32. `rank` [B, K]
    is the place among the candidates that are not known to be alike, 0 the nearest. `keep` [B, K]: what the filters left.
    """

    anchor: Int64
    item: Int64
    score: Float32
    rank: NDArray[np.int32]
    keep: NDArray[np.bool_]

    def rows(self, part: slice) -> Candidates:
        """Those of some of the anchors."""
        return Candidates(self.anchor[part], self.item[part], self.score[part], self.rank[part], self.keep[part])


def score(anchors: Int64, queries: Any, base: Any, documents: Int64, k: int, *, budget: int = 1 << 30) -> Candidates:
    """The k documents nearest to each anchor by cosine, exhaustively.

    `queries` [B, D] and `base` [M, D] are float32, of any length: both numpy arrays, or both tensors on one GPU. `documents` [M]
    are the item rows of `base`, ascending, so that ties are ordered by item. `budget`: bytes of working memory for the search.
    """
    if not len(documents):
        return candidates_of(anchors, np.empty((len(anchors), 0), np.int64), np.empty((len(anchors), 0), np.float32))
    found = nearest(queries, base, min(k, len(documents)), distance="cosine", budget=budget)
    place, scores = _numpy(found.rows), _numpy(found.scores)
    return candidates_of(anchors, np.where(place >= 0, documents[place], -1), scores)


def candidates_of(anchors: Int64, items: Int64, scores: Float32) -> Candidates:
    """Candidates as a search found them, nothing filtered yet: `items` [B, K] (-1 = none) and `scores` [B, K], falling."""
    rank = np.broadcast_to(np.arange(items.shape[1], dtype=np.int32), items.shape)
    return Candidates(anchors, items, scores, rank, items >= 0)


def leave_out_known(
    candidates: Candidates, known: KnownAlike, places: Int64, code: Int64, range_max: int
) -> tuple[Candidates, Removed]:
    """Leave out what is known to be alike, and rank the rest: the list ends where it holds `range_max` others.

    `places` [B] are the anchors' places in `known`; `code` [N] is each item's near-duplicate class (or its own row). What is
    known to be alike takes no place in the ranks, so that an anchor with many positives sees as many candidates as any other.
    """
    alike = candidates.keep & _among(code[candidates.item], known, places)
    other = candidates.keep & ~alike
    rank = np.cumsum(other, axis=1, dtype=np.int32)
    rank -= other  # how many others stand before
    within = rank < range_max
    row, column = positions(alike & within)
    positive = int(known.is_positive(places[row], candidates.item[row, column]).sum())
    keep = other & within
    total = len(row) + int(np.count_nonzero(keep))
    return replace(candidates, rank=rank, keep=keep), Removed(
        candidates=total, known_positive=positive, near_duplicate=len(row) - positive
    )


def filter_candidates(
    candidates: Candidates, lowest_positive: Float32, negative: NDArray[np.bool_] | None, options: MineOptions
) -> tuple[Candidates, Removed]:
    """Leave out by rank, by score, and by margin below the anchor's positive; counted in this order, each candidate once.

    `lowest_positive` [B] is the score of each anchor's lowest-scoring positive (+inf if it has none): a margin then holds for
    every triplet that training may form of the anchor. `negative` [B, K] marks negatives known from the data, which need no
    mining. A relative margin m asks for score ≤ positive − m·|positive|, which is positive·(1 − m) for positive scores and still
    lies below the positive where a model scores it below zero (as cross-encoders may).
    """
    score, rank, keep = candidates.score, candidates.rank, candidates.keep.copy()
    positive = lowest_positive.astype(np.float64)
    removed: dict[str, int] = {}
    if negative is not None:
        removed["known_negative"] = _drop(keep, negative)
    if options.range_min:
        removed["range_min"] = _drop(keep, rank < options.range_min)
    if options.max_score is not None:
        removed["max_score"] = _drop(keep, score > np.float32(options.max_score))
    if options.min_score is not None:
        removed["min_score"] = _drop(keep, score < np.float32(options.min_score))
    if options.absolute_margin is not None:
        removed["absolute_margin"] = _drop(keep, score > _column(positive - options.absolute_margin))
    if options.relative_margin is not None:
        magnitude = np.where(np.isfinite(positive), np.abs(positive), 0)
        removed["relative_margin"] = _drop(keep, score > _column(positive - options.relative_margin * magnitude))
    return replace(candidates, keep=keep), Removed(**removed)


def choose(candidates: Candidates, options: MineOptions, seed: int) -> Negatives:
    """At most `num_negatives` of what is kept of each anchor: the nearest, or drawn at random.

    A draw depends on the seed, the anchor and the items that are kept, and on nothing else: not on blocks or threads. The
    result is ordered as the candidates are: by anchor in their order, by falling score, by item.
    """
    count = min(options.num_negatives, candidates.item.shape[1])
    at_random = options.sampling_strategy == "random"
    chosen = _drawn(candidates, count, seed) if at_random else _first(candidates.keep, count)
    row, column = positions(chosen)
    return Negatives(
        candidates.anchor[row],
        candidates.item[row, column],
        candidates.score[row, column],
        candidates.rank[row, column].astype(np.int64),
    )


def by_score(candidates: Candidates, scores: Float32) -> Candidates:
    """The same candidates with other scores [B, K], in the order of these; ranks stay what they were."""
    order = np.lexsort((candidates.item, -scores), axis=1)
    return Candidates(
        candidates.anchor,
        np.take_along_axis(candidates.item, order, 1),
        np.take_along_axis(scores, order, 1),
        np.take_along_axis(candidates.rank, order, 1),
        np.take_along_axis(candidates.keep, order, 1),
    )


def positions(mask: NDArray[np.bool_]) -> tuple[Int64, Int64]:
    """The row and the column of every True of a mask [B, K], row by row; several times as fast as np.nonzero."""
    row, column = np.divmod(np.flatnonzero(mask), max(1, mask.shape[1]))
    return row, column


def draw(seed: int, anchors: Int64, items: Int64) -> NDArray[np.uint64]:
    """[B, K] numbers, uniform over 64 bits, of (seed, anchor [B], item [B, K]): a counter-based generator.

    The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), once for the anchor and once for the item.
    """
    stream = _mix(_mix(np.array([seed % 2**64], np.uint64)) + anchors.astype(np.uint64) * _GOLDEN)
    return _mix(items.astype(np.uint64) * _GOLDEN + stream[:, None])


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, odd: SplitMix64's increment


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _among(code: Int64, known: KnownAlike, places: Int64) -> NDArray[np.bool_]:
    """[B, K]: whether each candidate's code is one of those known to be alike with its anchor."""
    if known.most_codes(places) > FEW_CODES:
        return known.holds(np.broadcast_to(places[:, None], code.shape), code)
    table = known.table(places)
    alike = np.zeros(code.shape, np.bool_)
    for column in table.T:
        alike |= code == column[:, None]
    return alike


def _drop(keep: NDArray[np.bool_], unwanted: NDArray[np.bool_]) -> int:
    """Clear what is unwanted in `keep`; how many that were."""
    before = np.count_nonzero(keep)
    keep &= ~unwanted
    return int(before - np.count_nonzero(keep))


def _column(ceiling: NDArray[np.float64]) -> Float32:
    return ceiling.astype(np.float32)[:, None]


def _first(keep: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The first `count` of what each row keeps."""
    left, chosen = keep.copy(), np.zeros_like(keep)
    row = np.arange(len(keep))
    for _ in range(count):
        column = left.argmax(axis=1)  # stops at the first True, which is why this beats a running sum
        chosen[row, column] |= left[row, column]
        left[row, column] = False
    return chosen


def _drawn(candidates: Candidates, count: int, seed: int) -> NDArray[np.bool_]:
    """`count` of what each row keeps, or all where there are fewer: those that drew the smallest numbers."""
    taken = np.iinfo(np.uint64).max
    number = draw(seed, candidates.anchor, candidates.item)
    number[~candidates.keep] = taken
    chosen = np.zeros_like(candidates.keep)
    row = np.arange(len(chosen))
    for _ in range(count):
        column = number.argmin(axis=1)  # for the few that are asked, several times as fast as a partition
        chosen[row, column] = candidates.keep[row, column]
        number[row, column] = taken
    return chosen


def _numpy(array: Any) -> Any:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()
