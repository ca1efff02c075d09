"""Labels by the nearest labelled neighbours, and how often they are right.

Each of the k nearest votes for its own label with the weight of its cosine, where that is above zero; where none is, all have one
weight. The label with the greatest sum wins, and of equal sums that of the nearer neighbour.

It is measured by leaving one out: an item is labelled by all others but its near-duplicates, since another look at the same thing
says nothing of new ones. An item whose label only its near-duplicates share cannot be found: it votes, and is not counted.

Shapes: N labelled items, Q items that get a label, K neighbours, G labels. Labels are codes into a list of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.evaluation.verdict import Rules, interval
from likewise.neighbors.nearest import nearest
from likewise.types import Float32, Float64, Int64, Neighbors

MOST_MEASURED = 10_000  # items: their share is then known to one in a hundred
TAIL = 0.025  # of the 95% interval, on each side


@dataclass(frozen=True, slots=True, eq=False)
class Labeled:
    """Vectors [N, D] float32, their label codes [N] of `names`, and `alike` [N]: equal codes for near-duplicates."""

    vectors: Float32
    codes: Int64
    names: Sequence[str]
    alike: Int64

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def alone(self) -> NDArray[np.bool_]:
        """[N]: whether no other item, near-duplicates aside, has the item's label."""
        looks = np.unique(np.stack([self.codes, self.alike]), axis=1)
        return np.bincount(looks[0], minlength=len(self.names))[self.codes] < 2


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """The winner [Q] (a code, -1 where nobody may vote), its share of the votes [Q] in [0, 1], and the voters, nearest first."""

    winner: Int64
    share: Float64
    neighbors: Neighbors


@dataclass(frozen=True, slots=True)
class LabelResult:
    """Of one label: how many items have it, how many of these get it, and how many items get it in all."""

    label: str
    items: int
    right: int
    given: int

    @property
    def recall(self) -> float | None:
        """The share of its items that get it; None without items."""
        return self.right / self.items if self.items else None

    @property
    def precision(self) -> float | None:
        """The share of the items that get it which have it; None where none gets it."""
        return self.right / self.given if self.given else None


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many items of one label get another."""

    label: str
    taken_for: str
    items: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the label is right: of `items` counted, drawn from the `countable` ones, that stand in `units` kinds of look.

    `labeled` items vote, `alone` of them cannot be counted. `largest` is the share of the most frequent label,
    `with_near_duplicates` what `accuracy` would be if near-duplicates voted for each other (None where there are none).
    `labels` are in the order of their names, `confusions` those that happened, the most frequent first.
    """

    k: int
    labeled: int
    alone: int
    countable: int
    items: int
    units: int
    accuracy: float
    interval_95: tuple[float, float]
    mean_recall: float
    largest: float
    with_near_duplicates: float | None
    labels: tuple[LabelResult, ...]
    confusions: tuple[Confusion, ...]

    def matrix(self) -> Int64:
        """[G, G] counts in the order of `labels`: rows are what items are, columns what they are taken for."""
        place = {each.label: number for number, each in enumerate(self.labels)}
        counts = np.diag([each.right for each in self.labels]).astype(np.int64)
        for each in self.confusions:
            counts[place[each.label], place[each.taken_for]] = each.items
        return counts


def classify(queries: Float32, labeled: Labeled, k: int, *, alike: Int64 | None = None) -> Votes:
    """Label vectors [Q, D] float32 by their `k` nearest labelled items; those with the query's code `alike` [Q] do not vote."""
    exclude = None if alike is None else (alike, labeled.alike)
    return vote(nearest(queries, labeled.vectors, k, exclude=exclude), labeled.codes)


def vote(found: Neighbors, codes: Int64) -> Votes:
    """The votes of neighbours [Q, K] with the label codes [N]."""
    there = found.rows >= 0
    voted = np.where(there, codes[found.rows], -1)
    weight = np.where(there, np.maximum(found.scores, 0), 0).astype(np.float64)
    weight = np.where((weight == 0).all(axis=1, keepdims=True), there, weight)
    ballots = np.arange(len(voted))[:, None] * (int(codes.max(initial=-1)) + 2) + voted + 1  # a number for each query and label
    ballot = np.unique(ballots, return_inverse=True)[1].reshape(voted.shape)
    total = np.bincount(ballot.ravel(), weights=weight.ravel())[ballot]  # of each neighbour's label
    first = total.argmax(axis=1)  # of equal sums the first, which is that of the nearer neighbour
    each = np.arange(len(voted))
    everything = weight.sum(axis=1)
    share = np.divide(total[each, first], everything, out=np.zeros(len(voted)), where=everything > 0)
    return Votes(voted[each, first].astype(np.int64), share, found)


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """Items [Q] by their place among the labelled ones, each labelled by the others."""

    rows: Int64
    votes: Votes
    accuracy: Accuracy


def leave_one_out(
    labeled: Labeled, k: int, *, measured: NDArray[np.bool_] | None = None, most: int = MOST_MEASURED, seed: int = 0
) -> LeftOut | None:
    """Label items by all others but their near-duplicates; None where no item can be counted.

    `measured` [N] says which items are counted (None: all), at most `most` of them, drawn with the seed. The interval draws
    groups of near-duplicates; where all items agree it is the exact binomial bound (Clopper & Pearson, 1934).
    """
    alone = labeled.alone
    countable = np.flatnonzero(~alone if measured is None else ~alone & measured).astype(np.int64)
    if not len(countable):
        return None
    drawn = np.random.default_rng(seed).choice(countable, most, replace=False) if len(countable) > most else countable
    rows = np.sort(drawn)
    votes = classify(np.ascontiguousarray(labeled.vectors[rows]), labeled, k, alike=labeled.alike[rows])
    truth = labeled.codes[rows]
    right = votes.winner == truth
    labels, confusions = _confused(truth, votes.winner, labeled.names)
    units = np.unique(labeled.alike[rows], return_inverse=True)[1]
    accuracy = Accuracy(
        k=k,
        labeled=len(labeled),
        alone=int(alone.sum() if measured is None else (alone & measured).sum()),
        countable=len(countable),
        items=len(rows),
        units=int(units.max()) + 1,
        accuracy=float(right.mean()),
        interval_95=_interval(right, units, seed),
        mean_recall=float(np.mean([each.recall for each in labels if each.recall is not None])),
        largest=max(each.items for each in labels) / len(rows),
        with_near_duplicates=_with_near_duplicates(labeled, rows, right, k),
        labels=labels,
        confusions=confusions,
    )
    return LeftOut(rows, votes, accuracy)


def _interval(right: NDArray[np.bool_], units: Int64, seed: int) -> tuple[float, float]:
    sums, counts = np.bincount(units, weights=right).astype(np.float64), np.bincount(units).astype(np.float64)
    if right.all() or not right.any():  # a bootstrap would be sure of it after a single item
        bound = TAIL ** (1 / len(sums))
        return (bound, 1.0) if right.all() else (0.0, 1 - bound)
    return interval(sums, counts, resamples=Rules().resamples, seed=seed)


def _with_near_duplicates(labeled: Labeled, rows: Int64, right: NDArray[np.bool_], k: int) -> float | None:
    """The accuracy if only the item itself were left out: labelled again are those that have near-duplicates."""
    _, kind, sizes = np.unique(labeled.alike, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(sizes[kind[rows]] > 1)
    if not len(repeated):
        return None
    again = rows[repeated]
    itself = Labeled(labeled.vectors, labeled.codes, labeled.names, np.arange(len(labeled)))
    votes = classify(np.ascontiguousarray(labeled.vectors[again]), itself, k, alike=again)
    would_be = right.copy()
    would_be[repeated] = votes.winner == labeled.codes[again]
    return float(would_be.mean())


def _confused(truth: Int64, winner: Int64, names: Sequence[str]) -> tuple[tuple[LabelResult, ...], tuple[Confusion, ...]]:
    have, get, both = (np.bincount(codes, minlength=len(names)) for codes in (truth, winner, truth[truth == winner]))
    labels = tuple(
        LabelResult(names[code], int(have[code]), int(both[code]), int(get[code])) for code in np.flatnonzero(have + get).tolist()
    )
    pairs, counts = np.unique(np.stack([truth, winner])[:, truth != winner], axis=1, return_counts=True)
    confusions = tuple(
        Confusion(names[pairs[0, place]], names[pairs[1, place]], int(counts[place]))
        for place in np.argsort(-counts, kind="stable").tolist()
    )
    return labels, confusions
