"""What every miner must do, against brute force over a small number of items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal

import numpy as np

from likewise.types import Evidence, Float32, Int64, Miner, Negatives, Pairs, Scope


class KnownPairs:
    """Evidence in a matrix: `alike` [N, N] bool, symmetric; nothing is known to be not alike. For tests with few items."""

    scope: Scope = "corpus"

    def __init__(self, alike: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        self.alike = alike | alike.T | np.eye(len(alike), dtype=np.bool_)

    def label(self, a: Int64, b: Int64) -> tuple[np.ndarray[Any, np.dtype[np.int8]], Float32]:
        """1 alike with weight 1, or -1 unknown with weight 0."""
        found = self.alike[a, b]
        return np.where(found, 1, -1).astype(np.int8), found.astype(np.float32)

    def positives(self, rows: Int64) -> Pairs[Int64]:
        """Every other item alike with one of the rows, sorted by (a, b)."""
        rows = np.unique(rows)
        place, b = np.nonzero(self.alike[rows])
        other = rows[place] != b
        a, b = rows[place][other], b[other].astype(np.int64)
        return Pairs(a, b, *self.label(a, b))


def check_miner(
    make: Callable[[], Miner],
    *,
    distance: Literal["cosine", "euclidean"] = "cosine",
    items: int = 60,
    dimension: int = 8,
    seed: int = 0,
) -> None:
    """Hold a miner to the contract; AssertionError says what is broken.

    `make` builds it afresh, the same every time. It is given vectors [items, dimension] with duplicates among them, anchors
    with many, few and no positives, and evidence that it must respect. Scores are cosines, or minus Euclidean distances.
    """
    vectors, anchors, evidence = _problem(items, dimension, seed)
    before = vectors.copy()
    found = make().propose(vectors, anchors, evidence, seed)
    assert make().when in ("once", "refresh", "step")
    assert (vectors == before).all(), "the miner changed the vectors it was given"
    assert len(found), "the miner found no negative among items of which most are not known to be alike"
    _check_form(found, items)
    _check_truth(found, anchors, evidence)
    _check_scores(found, vectors, distance)
    _check_same(found, make().propose(vectors, anchors, evidence, seed), "the same seed gave other negatives")
    _check_same(found, make().propose(vectors, anchors[::-1].copy(), evidence, seed), "the order of the anchors matters")
    nothing = make().propose(vectors, anchors[:0], evidence, seed)
    assert len(nothing) == 0, "there are negatives of no anchors"


def _problem(items: int, dimension: int, seed: int) -> tuple[Float32, Int64, Evidence]:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((items, dimension)).astype(np.float32)
    vectors[items // 2] = vectors[items // 2 + 1]  # two items at one place
    anchors = np.sort(random.choice(items, items // 3, replace=False)).astype(np.int64)
    alike = random.random((items, items)) < 0.03
    alike[anchors[0], : items // 2] = True
    alike[anchors[1]] = alike[:, anchors[1]] = False
    return vectors, anchors, KnownPairs(alike)


def _check_form(found: Negatives, items: int) -> None:
    kinds = {"anchor": np.int64, "item": np.int64, "score": np.float32, "rank": np.int64}
    for field in fields(found):
        array = getattr(found, field.name)
        assert array.dtype == kinds[field.name], f"{field.name} is {array.dtype}, not {np.dtype(kinds[field.name])}"
        assert array.shape == (len(found),), f"{field.name} has another length than anchor"
    assert ((found.item >= 0) & (found.item < items)).all(), "an item is outside the corpus"
    order = np.lexsort((found.item, -found.score, found.anchor))
    assert (order == np.arange(len(found))).all(), "negatives are not sorted by anchor, falling score and item"
    assert len(np.unique(found.anchor * items + found.item)) == len(found), "an anchor has a negative twice"
    assert (found.rank >= -1).all(), "a rank is below -1"


def _check_truth(found: Negatives, anchors: Int64, evidence: Evidence) -> None:
    assert np.isin(found.anchor, anchors).all(), "there are negatives of an item that is no anchor"
    assert (found.anchor != found.item).all(), "an item is its own negative"
    assert (evidence.label(found.anchor, found.item)[0] != 1).all(), "a negative is known to be alike with its anchor"


def _check_scores(found: Negatives, vectors: Float32, distance: str) -> None:
    wide = vectors.astype(np.float64)
    if distance == "cosine":
        unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
        exact = (unit[found.anchor] * unit[found.item]).sum(axis=1)
    else:
        exact = -np.linalg.norm(wide[found.anchor] - wide[found.item], axis=1)
    assert np.abs(exact - found.score).max() < 1e-5, f"a score is not that of its pair ({distance})"


def _check_same(one: Negatives, other: Negatives, sentence: str) -> None:
    assert all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)), sentence
