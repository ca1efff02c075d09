"""Hard negatives of many anchors, block by block, so that memory follows a budget and never anchors × candidates.

Shapes: Q anchors, N items, M documents, P pairs, D dimensions, B anchors of a block, K candidates of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from likewise.mining.hard import Candidates, by_score, choose, filter_candidates, leave_out_known, positions, score
from likewise.mining.kept import KeptBlocks, Mined
from likewise.mining.known import KnownAlike, PositiveScores, contains
from likewise.mining.options import MineOptions
from likewise.mining.outcome import Removed
from likewise.mining.suspicious import Suspicious
from likewise.types import Evidence, Float32, Float64, Int64, Negatives, Pairs, Progress

Rescore = Callable[[Int64, Int64], Float32]
"""Scores [P] of pairs of item rows (queries [P], documents [P]) by a better, slower model."""

BUDGET = 512 << 20  # bytes for one block's search and for one block's candidates, each
BYTES_PER_CANDIDATE = 64  # a candidate's rows, score, rank, masks and the temporaries of filtering, at most at once
ROWS_AT_ONCE = 16_384  # vectors gathered at once: 64 MB at 1024 dimensions
PAIRS_AT_ONCE = 8192  # pairs given to a cross-encoder at once: enough to sort by length, and a block that a kill may cost
MOST_ANCHORS = 16_384  # of a block: four of the search's own, so that progress is told every few seconds
COLUMNS = ("anchor", "item", "score", "rank")
CELLS_AT_ONCE = 1 << 17  # candidates filtered at once: their arrays stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Ground:
    """Where negatives are looked for: `anchors` [Q] and `documents` [M], ascending item rows.

    `code` [N] is each item's near-duplicate class, `known` what is alike with each anchor, `positives` the pairs whose scores
    margins are measured from, `negatives` [.] the sorted keys place · N + item of negatives known from the data.
    """

    anchors: Int64
    documents: Int64
    code: Int64
    known: KnownAlike
    positives: Pairs[Int64]
    negatives: Int64


class HardMiner:
    """Mines the documents nearest to each anchor that are not known to be alike with it (a `Miner`).

    `documents` [M] are the item rows that may be negatives (None: every row that is not an anchor); `classes` [N] the
    near-duplicate classes, of which one known positive speaks for all.
    """

    def __init__(self, options: MineOptions, documents: Int64 | None = None, classes: Int64 | None = None) -> None:
        self.options = options
        self.documents = documents
        self.classes = classes

    @property
    def when(self) -> Literal["once", "refresh"]:
        """Again with fresh weights if the options say so."""
        return "refresh" if self.options.refresh_every else "once"

    def propose(self, vectors: Float32, anchors: Int64, evidence: Evidence, seed: int) -> Negatives:
        """Negatives of the anchors by the cosine of `vectors` [N, D]; margins are measured from the positives of `evidence`."""
        anchors = np.unique(anchors)
        code = np.arange(len(vectors), dtype=np.int64) if self.classes is None else self.classes
        documents = np.setdiff1d(np.arange(len(vectors)), anchors) if self.documents is None else np.unique(self.documents)
        alike = evidence.positives(anchors)
        known = KnownAlike.of(anchors, alike, alike, code, documents)
        trained = np.isin(alike.b, documents) & (alike.weight > 0)
        positives: Pairs[Int64] = Pairs(*(part[trained] for part in (alike.a, alike.b, alike.label, alike.weight)))
        ground = Ground(anchors, documents, code, known, positives, np.empty(0, np.int64))
        return mine_hard(vectors, ground, self.options, seed).negatives


def mine_hard(
    vectors: Float32,
    ground: Ground,
    options: MineOptions,
    seed: int,
    *,
    rescore: Rescore | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    budget: int = BUDGET,
    kept: KeptBlocks | None = None,
) -> Mined:
    """Score, filter and choose, one block of anchors after the other; `vectors` [N, D] float32 may be memory-mapped.

    `rescore` replaces the scores of what is not known to be alike, and of the positives, before limits and margins. `kept`
    holds the blocks that an earlier attempt at the same work finished, and is given each new one.

    Beside `vectors` this holds `budget` bytes for the search, as many for its candidates, what is chosen, and a copy of the
    documents' vectors unless their rows are consecutive. The result does not depend on `budget`; on `device` only by rounding.
    """
    pair_score = rescore or (lambda a, b: pair_scores(vectors, a, b))
    positive = PositiveScores.of(ground.anchors, ground.positives, pair_score(ground.positives.a, ground.positives.b))
    selector = Selector(ground, positive, options, seed, rescore)
    base = _searched(vectors, ground.documents, device)
    parts: list[Negatives] = []
    removed, suspicious, done = Removed(), Suspicious.nothing(), 0
    cells = max(1, budget // BYTES_PER_CANDIDATE)
    most = MOST_ANCHORS if rescore is None else max(1, PAIRS_AT_ONCE // options.range_max)
    for number, (places, k) in enumerate(ground.known.blocks(options.range_max, len(ground.documents), cells, most)):
        mined = kept.get(number) if kept else None
        if mined is None:
            anchors = ground.anchors[places]
            queries = torch.from_numpy(vectors[anchors]).to(device) if device != "cpu" else vectors[anchors]
            mined = selector.block(score(anchors, queries, base, ground.documents, k, budget=budget), places, suspicious)
            if kept:
                kept.put(number, mined)
        parts.append(mined.negatives)
        removed, suspicious, done = removed + mined.removed, mined.suspicious, done + len(places)
        if progress is not None:
            progress(done, len(ground.anchors))
    return Mined(joined(parts), removed, suspicious)


@dataclass(frozen=True, slots=True)
class Selector:
    """Filters and chooses among candidates that a search found; `rescore` replaces their scores first."""

    ground: Ground
    positive: PositiveScores
    options: MineOptions
    seed: int
    rescore: Rescore | None = None

    def block(self, candidates: Candidates, places: Int64, above: Suspicious) -> Mined:
        """`select` for many anchors, in parts whose arrays stay in the processor's cache."""
        parts: list[Negatives] = []
        removed, (anchors, k) = Removed(), candidates.item.shape
        step = anchors if self.rescore else max(1, CELLS_AT_ONCE // max(1, k))
        for start in range(0, anchors, step):
            part = slice(start, start + step)
            mined = self.select(candidates.rows(part), places[part], above)
            parts.append(mined.negatives)
            removed, above = removed + mined.removed, mined.suspicious
        return Mined(joined(parts), removed, above)

    def select(self, candidates: Candidates, places: Int64, above: Suspicious) -> Mined:
        """The negatives among the candidates of the anchors at `places` [B] of the ground.

        `above`: the suspicious candidates found before, among which the new ones take their place.
        """
        candidates, known = leave_out_known(candidates, self.ground.known, places, self.ground.code, self.options.range_max)
        if self.rescore is not None:
            candidates = by_score(candidates, _rescored(candidates, self.rescore))
        suspicious = _suspicious(candidates, places, self.positive, above, self.options.suspicious)
        negative = _known_negative(candidates, places, self.ground)
        candidates, filtered = filter_candidates(candidates, self.positive.lowest[places], negative, self.options)
        return Mined(choose(candidates, self.options, self.seed), known + filtered, suspicious)


def _known_negative(candidates: Candidates, places: Int64, ground: Ground) -> NDArray[np.bool_] | None:
    """[B, K]: which candidates are negatives known from the data; None where there are none at all."""
    if not len(ground.negatives):
        return None
    return contains(ground.negatives, places[:, None] * ground.known.items + candidates.item)


def pair_scores(vectors: Float32, a: Int64, b: Int64) -> Float32:
    """[P] the cosines of pairs of item rows; 0 where a vector is all zeros."""
    scores = np.empty(len(a), np.float32)
    for start in range(0, len(a), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        left, right = vectors[a[part]], vectors[b[part]]
        lengths = np.sqrt(_products(left, left) * _products(right, right))
        scores[part] = _products(left, right) / np.where(lengths > 0, lengths, 1)
    return scores


def _products(left: Float32, right: Float32) -> Float64:
    products: Float64 = np.einsum("pd,pd->p", left, right, dtype=np.float64)
    return products


def _searched(vectors: Float32, rows: Int64, device: str) -> Any:
    """The vectors of the given ascending rows where they are searched: read in place where the rows are consecutive."""
    consecutive = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
    found = vectors[rows[0] : rows[-1] + 1] if consecutive else vectors[rows]
    return found if device == "cpu" else torch.from_numpy(np.array(found)).to(device)


def joined(parts: Sequence[Negatives]) -> Negatives:
    """All of them by anchor; what each part says of an anchor stays in its order."""
    rows = np.empty(0, np.int64)
    nothing = Negatives(rows, rows, np.empty(0, np.float32), rows)
    every = [np.concatenate([getattr(part, name) for part in (nothing, *parts)]) for name in COLUMNS]
    order = np.argsort(every[0], kind="stable")
    return Negatives(*(column[order] for column in every))


def merged(mined: Negatives, given: Negatives) -> Negatives:
    """Both by anchor, then by falling score, then by item."""
    both = joined([mined, given])
    order = np.lexsort((both.item, -both.score, both.anchor))
    return Negatives(*(getattr(both, name)[order] for name in COLUMNS))


def _rescored(candidates: Candidates, rescore: Rescore) -> Float32:
    """Scores of what is kept by the better model, -inf for the rest."""
    row, column = positions(candidates.keep)
    scores = np.full(candidates.score.shape, -np.inf, np.float32)
    scores[row, column] = rescore(candidates.anchor[row], candidates.item[row, column])
    return scores


def _suspicious(candidates: Candidates, places: Int64, positive: PositiveScores, above: Suspicious, most: int) -> Suspicious:
    """The `most` farthest above their anchor's nearest positive, of those in `above` and these."""
    if not most or not candidates.score.shape[1]:
        return above
    highest, floor = positive.highest[places], above.floor(most)
    rows = np.flatnonzero(candidates.score[:, 0] - highest >= floor)  # a row's first score is its highest
    excess = candidates.score[rows] - highest[rows, None]
    row, column = positions(candidates.keep[rows] & (excess > 0) & (excess >= floor))
    if not len(row):
        return above
    row = rows[row]
    found = Suspicious(
        candidates.anchor[row],
        candidates.item[row, column],
        positive.nearest[places[row]],
        candidates.score[row, column],
        highest[row],
    )
    return above.with_more(found, most)
