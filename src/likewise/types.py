"""The words of the design as frozen types. Nothing heavy is imported here: numpy, and torch only for type checkers.

Shapes: N items, Q queries, R rows and C columns of a batch, P pairs, D dimensions, K neighbors.
`A` is a numpy array or a torch tensor; the same kind comes out of a function as went in. Row numbers are int64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Role = Literal["query", "document"]
SplitName = Literal["train", "validation", "test"]
Scope = Literal["shard", "corpus"]
Distance = Literal["cosine", "dot", "euclidean"]
VerdictWord = Literal["better", "worse", "no difference shown", "too few to tell"]

ROLES: tuple[Role, ...] = ("query", "document")
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # typing's own knows defaults from Python 3.13 on

    A = TypeVar("A", bound=NDArray[Any] | Tensor, default=NDArray[Any])
else:
    from typing import TypeVar

    A = TypeVar("A")

Prepared = Any  # what an encoder's `prepare` hands to its `forward`: tensors in a dict, list or alone
State = dict[str, Any]  # JSON-able, or with tensors as leaves


@dataclass(frozen=True, slots=True)
class Items:
    """One shard of items, or a slice of one: everything of equal length n.

    `payload` holds texts, image references or an array [n, F] of features; `columns` the metadata by name, each of
    length n. The column `role`, where present, says "query" or "document" for each item.
    """

    shard: str
    ids: Sequence[str]
    payload: Sequence[Any] | NDArray[Any]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Links:
    """Evidence that comes with the data, by item id: label 1 alike, 0 not alike; `split` where the data brings its own.

    `file` and `row` say where each link stood, for messages: a link to an unknown item, or one that contradicts another,
    makes its row a bad one.
    """

    a: Sequence[str]
    b: Sequence[str]
    label: Sequence[int]
    weight: Sequence[float]
    split: Sequence[SplitName | None]
    file: str
    row: Sequence[int]

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many rows of the input were read since the last tally, good and bad; a source sends it where rows are not items."""

    rows: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What a source has to say of a shard, in a sentence."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A row or item that could not be read: where, why, and what the user can do."""

    file: str
    row: int | None
    reason: str
    remedy: str

    def __str__(self) -> str:
        if self.row is None and self.reason.startswith(self.file):
            return f"{self.reason}; {self.remedy}."
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.reason}; {self.remedy}."


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A shard that could not be read to its end: nothing that it gave before is to be used."""

    reject: Reject


@dataclass(frozen=True, slots=True)
class Pairs(Generic[A]):
    """Pairs of items: `a` [P] and `b` [P] int64, `label` [P] int8 (1 alike, 0 not), `weight` [P] float32 (0 = masked)."""

    a: A
    b: A
    label: Any  # as `a`, a numpy array or a tensor; of another dtype, which A cannot say
    weight: Any

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True, slots=True)
class Neighbors(Generic[A]):
    """The k nearest of each query: `rows` [Q, K] int64 (-1 where fewer exist), `scores` [Q, K] float32, bigger is closer.

    Ties are ordered by row. `tolerance` bounds the rounding error of a difference of two scores (and so of one score, too):
    two candidates whose exact scores are closer than it may stand in either order.
    """

    rows: A
    scores: A
    tolerance: float


@dataclass(frozen=True, slots=True)
class Edges(Generic[A]):
    """Pairs within a radius: `query` [E] and `point` [E] int64, `distance` [E] float32 (not squared); `cut` queries were cut."""

    query: A
    point: A
    distance: A
    cut: int


@dataclass(frozen=True, slots=True)
class Negatives:
    """What to push away, flat and sorted by anchor: `anchor` [M], `item` [M] int64, `score` [M] float32 by the mining model.

    `rank` [M] int64 is the place of the item among all that is not known to be alike with the anchor (0 nearest), or -1 where
    no search found it: it came with the data, or was drawn from all items.
    """

    anchor: Int64
    item: Int64
    score: Float32
    rank: Int64

    def __len__(self) -> int:
        return len(self.anchor)

    def of(self, anchors: Int64) -> tuple[Int64, Int64]:
        """(position into `anchors`, item) of every negative of the given anchors, in their order."""
        start = np.searchsorted(self.anchor, anchors, side="left")
        stop = np.searchsorted(self.anchor, anchors, side="right")
        counts = stop - start
        position = np.repeat(np.arange(len(anchors)), counts)
        offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return position.astype(np.int64), self.item[np.repeat(start, counts) + offset]


@dataclass(frozen=True, slots=True)
class Batch(Generic[A]):
    """One training batch, in item rows: `rows` [R] are embedded as queries, `columns` [C] as documents.

    Without columns the rows are compared among themselves, and `pairs.b` indexes `rows`, too.

    `pairs.a` indexes `rows`, `pairs.b` indexes `columns`. What a loss does with a (row, column) that is not listed is its
    own: a listwise loss contrasts with it, a pairwise loss leaves it alone. A listed pair of weight 0 is masked in both.
    `number` counts batches from the start of training.
    """

    rows: A
    columns: A
    pairs: Pairs[A]
    number: int


@dataclass(frozen=True, slots=True)
class LossResult:
    """`loss` is a scalar tensor with its gradient; `active` the share of terms that have one, in [0, 1]; `parts` for the log."""

    loss: Tensor
    active: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hits:
    """Search results: `ids` [Q][K], `rows` [Q, K] int64 (-1 = none), `scores` [Q, K] float32, bigger is closer."""

    ids: Sequence[Sequence[str]]
    rows: Int64
    scores: Float32


@dataclass(frozen=True, slots=True)
class Verdict:
    """The trained model against the one it started from, on the same units.

    `before`, `after` and `difference` are means of `metric`; `interval_95` bounds the difference by a paired bootstrap over
    `units`. `needed` is how many units would be enough when there are too few.
    """

    metric: str
    unit: str
    units: int
    before: float
    after: float
    difference: float
    interval_95: tuple[float, float]
    verdict: VerdictWord
    chosen: Literal["start", "trained"]
    wins: int
    losses: int
    needed: int | None
    sentence: str


class Evidence(Protocol):
    """What says which items are alike. Scope `shard`: only within a shard; `corpus`: anywhere."""

    @property
    def scope(self) -> Scope:
        """Whether pairs may cross shards."""
        ...

    def positives(self, rows: Int64) -> Pairs[Int64]:
        """Every item that `label` calls alike with one of `rows` (`a`), as `b`, sorted by (a, b); masked ones have weight 0."""
        ...

    def label(self, a: Int64, b: Int64) -> tuple[NDArray[np.int8], Float32]:
        """For each pair of item rows: 1 alike, 0 known not alike, -1 unknown; and its weight."""
        ...


class Source(Protocol):
    """Where items come from."""

    def shards(self) -> Sequence[str]:
        """The names of the shards, in order, each a safe file name."""
        ...

    def read(self, shard: str) -> Iterator[Items | Links | Pairs[Int64] | Reject | Remark | Tally | Withdrawn]:
        """The shard's items in slices, the evidence that comes with them, what could not be read, and counts of rows.

        Evidence is `Links` by id where it may join items of several shards, `Pairs` by position among the shard's items where
        it has scope "shard" (`IngestOptions.scope`).
        """
        ...


@runtime_checkable
class FileSource(Source, Protocol):
    """A source that can tell which files a shard comes from, so that what did not change is not read again."""

    def files(self, shard: str) -> Sequence[Path]:
        """Every file that decides what the shard holds, among those that the options name (`Options.paths`)."""
        ...


@runtime_checkable
class ParallelSource(Source, Protocol):
    """A source whose shards may be read at the same time, by threads."""

    @property
    def readers(self) -> int:
        """How many shards to read at a time, at most as many as there are."""
        ...


class Miner(Protocol):
    """Finds negatives: once before training, again with fresh weights, or within each step."""

    @property
    def when(self) -> Literal["once", "refresh", "step"]:
        """How often the miner looks."""
        ...

    def propose(self, vectors: Any, anchors: Int64, evidence: Evidence, seed: int) -> Negatives:
        """Negatives of the anchors, by their vectors."""
        ...


@runtime_checkable
class Batches(Protocol):
    """A loader whose place is saved in checkpoints (Lightning saves the state of loaders with these methods)."""

    def __len__(self) -> int:
        """How many batches the whole training has."""
        ...

    def __iter__(self) -> Iterator[Batch[Int64]]:
        """From the current place to the end of training."""
        ...

    def feedback(self, result: LossResult) -> None:
        """Hear how the last batch went; a bandit learns from it, others pass."""
        ...

    def state_dict(self) -> State:
        """The place, as JSON-able values."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Go on from a saved place."""
        ...


class Loss(Protocol):
    """Rows [R, D] are local; columns [C, D] may be gathered over ranks, with gradients."""

    def __call__(self, rows: torch.Tensor, columns: torch.Tensor, pairs: Pairs[torch.Tensor]) -> LossResult:
        """The loss of one batch."""
        ...


class Index(Protocol):
    """A searchable set of vectors: `space` says which vectors may be asked, `recall` what was measured."""

    @property
    def space(self) -> str:
        """The space of the vectors inside."""
        ...

    @property
    def recall(self) -> float:
        """Measured recall@10 against exhaustive search, on held-out queries."""
        ...

    def search(self, queries: Float32, k: int, *, where: Any = None, exclude: Sequence[str] = ()) -> Hits:
        """The k nearest of each query [Q, D]; fewer where a filter leaves fewer."""
        ...

    def updated(self, add: Mapping[str, Float32], metadata: Any, delete: Sequence[str]) -> Index:
        """A new index with items added (or replaced) and deleted."""
        ...


Progress = Callable[[int, int], None]  # done, total
