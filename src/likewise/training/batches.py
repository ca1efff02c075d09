"""Training batches of pairs: no text twice, known positives never negatives, and a place that can be saved.

Shapes: P planned pairs, R rows and C columns of a batch, N items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.data.groups import GroupPairs
from likewise.errors import DataError
from likewise.training.duplicate_free import Partition, duplicate_free
from likewise.training.options import TrainOptions
from likewise.types import Batch, Evidence, Float32, Int64, LossResult, Negatives, Pairs, State


class PairBatches:
    """All batches of a training, epoch after epoch; implements `likewise.types.Batches`.

    Per epoch every planned pair stands in exactly one batch, except those that could only stand alone (the last one of an
    odd number, or a text that most pairs share): another epoch leaves out others. Within a batch no two pairs share the
    near-duplicate class of a text, in whichever column.

    - `pairs`: training pairs in item rows, or what draws them anew for each epoch. Those alike are planned; those not alike
      join the query's negatives, or are planned, too, where the loss looks at listed pairs only (its options say `listed_only`).
    - `classes` [N]: near-duplicate classes of all items; `evidence` decides what else in a batch is alike.
    - `negatives`: mined ones, of which `options.negatives_per_pair` are drawn for each pair and epoch (None: all).

    A batch's columns are the pairs' documents, in the order of the rows, then the negatives; of one class only the first.
    Listed are each pair itself; every negative drawn (label 0); and what else evidence calls alike: trained as positive
    with its weight under `options.hard_positives`, otherwise masked. Copies of the query itself are always masked.
    """

    def __init__(
        self,
        pairs: Pairs[Int64] | GroupPairs,
        classes: Int64,
        evidence: Evidence,
        options: TrainOptions,
        *,
        negatives: Negatives | None = None,
        seed: int = 0,
    ) -> None:
        self._options = options
        self._evidence = evidence
        self._seed = seed
        self._classes = np.unique(classes, return_inverse=True)[1].astype(np.int64)
        self._column_of = np.full(len(self._classes), -1, dtype=np.int64)  # by class; all -1 between batches
        self._source = pairs if isinstance(pairs, GroupPairs) else _Always(pairs)
        self._both_labels = bool(getattr(options.loss, "listed_only", False))
        _, self._known, self.contradicted = _planned(self._source.of(0), evidence, self._both_labels)
        # With gradient caching the batches of an optimiser step are embedded as one, so each pair sees all negatives.
        self.size = options.batch_size * (options.accumulate if options.gradient_cache else 1)
        self._epoch = self._position = self._number = 0
        self._planned: tuple[int, Pairs[Int64], Partition] | None = None
        self._lengths: list[int] = []
        self._expected: str | None = None
        self.negatives: str | None = None
        self.replace_negatives(negatives, None)
        if options.epochs and not len(self._plan(0)[1]):
            raise DataError(
                f"There is nothing to train on: of {len(self._source)} training pairs no two can share a batch, because all"
                " share a text; bring more pairs, or lower split.validation and split.test."
            )

    def __len__(self) -> int:
        return sum(self.epoch_lengths)

    @property
    def epoch_lengths(self) -> tuple[int, ...]:
        """How many batches each epoch has."""
        while len(self._lengths) < self._options.epochs:
            self._lengths.append(len(self._plan(len(self._lengths))[1]))
        return tuple(self._lengths)

    @property
    def epoch_ends(self) -> tuple[int, ...]:
        """How many batches there are up to the end of each epoch."""
        return tuple(int(end) for end in np.cumsum(self.epoch_lengths))

    @property
    def epoch(self) -> int:
        """The epoch of the batch that came last (0 before the first)."""
        return self._epoch

    @property
    def left_out(self) -> int:
        """How many pairs the present epoch leaves out."""
        return len(self._plan(min(self._epoch, max(self._options.epochs - 1, 0)))[1].left_out)

    def __iter__(self) -> Iterator[Batch[Int64]]:
        """From the current place to the end. The place moves as a batch is handed out: save it once that batch is done."""
        assert self._expected in (None, self.negatives), f"replace_negatives must first bring back {self._expected}"
        while self._epoch < self._options.epochs:
            pairs, partition = self._plan(self._epoch)
            while self._position < len(partition):
                batch = self._batch(pairs, partition.batch(self._position))
                self._position += 1
                self._number += 1
                yield batch
            if self._epoch == self._options.epochs - 1:
                return
            self._epoch, self._position = self._epoch + 1, 0

    def feedback(self, result: LossResult) -> None:
        """Nothing here depends on how a batch went."""

    def replace_negatives(self, negatives: Negatives | None, name: str | None) -> None:
        """From the next batch on draw from these; `name`, such as "negatives-001.parquet", goes into the state."""
        if self._expected is not None and self._expected == self.negatives:
            self._expected = None  # brought back before; these are newer
        self.negatives = name
        self._pool = _Pool.of(negatives, self._known, self._evidence)

    def state_dict(self) -> State:
        """The place, and which negatives are in force, as JSON-able values."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "number": self._number,
            "negatives": self.negatives,
            "seed": self._seed,
            "size": self.size,
            "pairs": len(self._source),
        }

    def load_state_dict(self, state: State) -> None:
        """Go on after the saved batch; `replace_negatives` must bring back what `state["negatives"]` names before that."""
        ours = (self._seed, self.size, len(self._source))
        assert (state["seed"], state["size"], state["pairs"]) == ours, "a saved place in other batches"
        self._epoch, self._position, self._number = int(state["epoch"]), int(state["position"]), int(state["number"])
        self._expected = state["negatives"]

    def _plan(self, epoch: int) -> tuple[Pairs[Int64], Partition]:
        """The pairs of an epoch, and which of them stand in which batch."""
        if self._planned is None or self._planned[0] != epoch:
            pairs, _, _ = _planned(self._source.of(epoch), self._evidence, self._both_labels)
            a, b = self._classes[pairs.a], self._classes[pairs.b]
            self._planned = epoch, pairs, duplicate_free(a, b, self.size, np.random.default_rng([self._seed, epoch, 0]))
        return self._planned[1:]

    def _batch(self, pairs: Pairs[Int64], chosen: Int64) -> Batch[Int64]:
        rows, documents = pairs.a[chosen], pairs.b[chosen]
        generator = np.random.default_rng([self._seed, self._epoch, self._position + 1])
        anchor, negative = self._pool.draw(rows, self._options.negatives_per_pair, generator)
        columns, place = _distinct(np.concatenate([documents, negative]), self._classes)
        own = np.arange(len(rows), dtype=np.int64)
        alike_row, alike_column, alike_weight = self._alike(rows, columns)
        # What is said first of a (row, column) counts: the pair itself, what evidence knows, the negatives drawn.
        row = np.concatenate([own, alike_row, anchor])
        column = np.concatenate([place[: len(rows)], alike_column, place[len(rows) :]])
        label = np.concatenate([pairs.label[chosen], np.ones(len(alike_row), np.int8), np.zeros(len(anchor), np.int8)])
        weight = np.concatenate([pairs.weight[chosen], alike_weight, np.ones(len(anchor), np.float32)])
        first = np.unique(row * len(columns) + column, return_index=True)[1]
        return Batch(rows, columns, Pairs(row[first], column[first], label[first], weight[first]), self._number)

    def _alike(self, rows: Int64, columns: Int64) -> tuple[Int64, Int64, Float32]:
        """(row, column, weight) of everything in the batch that is alike; weight 0 for what is masked."""
        known = self._evidence.positives(rows)
        self._column_of[self._classes[columns]] = np.arange(len(columns))
        column = self._column_of[self._classes[known.b]]
        copy = self._column_of[self._classes[rows]]
        self._column_of[self._classes[columns]] = -1
        there = column >= 0
        order = np.argsort(rows)
        row, column = order[np.searchsorted(rows[order], known.a[there])], column[there]
        label, weight = self._evidence.label(rows[row], columns[column])
        trained = (label == 1) & self._options.hard_positives
        copied = np.flatnonzero(copy >= 0)
        return (
            np.concatenate([copied, row]),
            np.concatenate([copy[copied], column]),
            np.concatenate([np.zeros(len(copied), np.float32), np.where(trained, weight, np.float32(0))]),
        )


@dataclass(frozen=True, slots=True)
class _Always:
    """The same pairs in every epoch."""

    pairs: Pairs[Int64]

    def __len__(self) -> int:
        return len(self.pairs)

    def of(self, epoch: int) -> Pairs[Int64]:
        return self.pairs


@dataclass(frozen=True, slots=True)
class _Pool:
    """Negatives to draw from, by anchor: mined ones, and pairs known not to be alike."""

    negatives: Negatives

    @classmethod
    def of(cls, mined: Negatives | None, known: Pairs[Int64], evidence: Evidence) -> _Pool:
        """One entry per (anchor, item), none that evidence calls alike."""
        none = np.empty(0, dtype=np.int64)
        anchor = np.concatenate([known.a, mined.anchor if mined else none])
        item = np.concatenate([known.b, mined.item if mined else none])
        order = np.lexsort((item, anchor))
        anchor, item = anchor[order], item[order]
        kept = evidence.label(anchor, item)[0] != 1
        kept[1:] &= (anchor[1:] != anchor[:-1]) | (item[1:] != item[:-1])
        anchor, item = anchor[kept], item[kept]
        unranked = np.full(len(anchor), -1, dtype=np.int64)
        return cls(Negatives(anchor, item, np.zeros(len(anchor), dtype=np.float32), unranked))

    def draw(self, rows: Int64, count: int | None, generator: np.random.Generator) -> tuple[Int64, Int64]:
        """(position into `rows`, item) of `count` negatives of each row, or of all where there are fewer or count is None."""
        position, item = self.negatives.of(rows)
        if count is None:
            return position, item
        order = np.lexsort((generator.random(len(item)), position))
        position, item = position[order], item[order]
        number = np.arange(len(position)) - np.searchsorted(position, position)
        return position[number < count], item[number < count]


def _planned(pairs: Pairs[Int64], evidence: Evidence, both_labels: bool) -> tuple[Pairs[Int64], Pairs[Int64], int]:
    """The pairs to plan; those not alike, which join the negatives; how many evidence contradicts, which are neither."""
    label, weight = evidence.label(pairs.a, pairs.b)
    usable = pairs.weight > 0
    contradicted = usable & (label >= 0) & ((weight == 0) | (label != pairs.label))
    usable &= ~contradicted
    planned = usable & ((pairs.label == 1) | both_labels)
    return _only(pairs, planned), _only(pairs, usable & ~planned), int(contradicted.sum())


def _only(pairs: Pairs[Int64], chosen: NDArray[np.bool_]) -> Pairs[Int64]:
    return Pairs(
        pairs.a[chosen].astype(np.int64),
        pairs.b[chosen].astype(np.int64),
        pairs.label[chosen].astype(np.int8),
        pairs.weight[chosen].astype(np.float32),
    )


def _distinct(items: Int64, classes: Int64) -> tuple[Int64, Int64]:
    """The first item of each class, in the order they come, and the place in it of each of `items`."""
    _, first, inverse = np.unique(classes[items], return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return items[first[order]], place[inverse]
