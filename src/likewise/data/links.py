"""Links by item id, as a source gives them, made into pairs by row: each pair once, contradictions found.

L links in the order of reading, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from likewise.types import SPLITS, Float32, Int64, Reject

_COLUMNS: dict[str, pa.DataType] = {
    "a": pa.string(),
    "b": pa.string(),
    "label": pa.int8(),
    "weight": pa.float32(),
    "split": pa.string(),
    "file": pa.string(),
    "row": pa.int64(),
}
LINKS = pa.schema(_COLUMNS)
SPLIT_CODES: dict[Any, int] = {None: -1, **{name: code for code, name in enumerate(SPLITS)}}


@dataclass(frozen=True, slots=True)
class RowLinks:
    """Links by item row: `a`, `b` [L], `label` [L] 1 or 0, `weight` [L], `split` [L] (-1 none).

    Where each stood: `file` [L] indexes `files`, `row` [L] is -1 where unknown.
    """

    a: Int64
    b: Int64
    label: NDArray[np.int8]
    weight: Float32
    split: NDArray[np.int8]
    file: Int64
    row: Int64
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.a)

    def __getitem__(self, chosen: Int64 | NDArray[np.bool_]) -> RowLinks:
        return RowLinks(
            self.a[chosen],
            self.b[chosen],
            self.label[chosen],
            self.weight[chosen],
            self.split[chosen],
            self.file[chosen],
            self.row[chosen],
            self.files,
        )

    def bad(self, link: int, reason: str, remedy: str) -> Reject:
        """The row of a link as a bad one."""
        row = int(self.row[link])
        return Reject(self.files[self.file[link]], row if row >= 0 else None, reason, remedy)

    def place(self, link: int) -> str:
        """Where a link stood, for messages."""
        row = int(self.row[link])
        return f"{self.files[self.file[link]]}, row {row}" if row >= 0 else self.files[self.file[link]]


def locate(tables: Iterable[pa.Table], rows: Mapping[str, int]) -> tuple[RowLinks, list[Reject]]:
    """Tables of `LINKS` by row, without those that name an unknown item or link an item with itself; and why."""
    files: dict[str, int] = {}
    rejects: list[Reject] = []
    kept: list[RowLinks] = []
    for table in tables:
        a_ids, b_ids = _strings(table, "a"), _strings(table, "b")
        links = RowLinks(
            np.array([rows.get(name, -1) for name in a_ids], dtype=np.int64),
            np.array([rows.get(name, -1) for name in b_ids], dtype=np.int64),
            table["label"].to_numpy().astype(np.int8),
            table["weight"].to_numpy().astype(np.float32),
            np.array([SPLIT_CODES[split] for split in table["split"].to_pylist()], dtype=np.int8),
            np.array([files.setdefault(file, len(files)) for file in _strings(table, "file")], dtype=np.int64),
            np.array([-1 if row is None else row for row in table["row"].to_pylist()], dtype=np.int64),
            tuple(files),
        )
        wrong = (links.a < 0) | (links.b < 0) | (links.a == links.b)
        for link in np.flatnonzero(wrong).tolist():
            unknown = a_ids[link] if links.a[link] < 0 else b_ids[link] if links.b[link] < 0 else None
            if unknown is None:
                rejects.append(links.bad(link, f'it pairs "{a_ids[link]}" with itself', "remove it"))
            else:
                rejects.append(
                    links.bad(link, f'it names "{unknown}", which is not among the items', "add the item, or remove the row")
                )
        kept.append(links[~wrong])
    return _joined(kept, tuple(files)), rejects


def contradictions(links: RowLinks, ids: Sequence[str]) -> list[tuple[int, Reject]]:
    """Links whose pair has the other label in an earlier link: their places in `links`, and why."""
    order, first = _grouped(links)
    earliest = np.maximum.accumulate(np.where(first, np.arange(len(links)), 0))  # of each link's group, in `order`
    found = np.flatnonzero(links.label[order] != links.label[order[earliest]])
    rejects = []
    for place in sorted(found.tolist(), key=lambda place: int(order[place])):
        link, other = int(order[place]), int(order[earliest[place]])
        words = ("not alike", "alike")
        reason = (
            f'it says that "{ids[int(links.a[link])]}" and "{ids[int(links.b[link])]}" are {words[links.label[link]]}, '
            f"but {links.place(other)} says {words[links.label[other]]}"
        )
        rejects.append((link, links.bad(link, reason, "remove one of the two")))
    return rejects


def without_rows_of(links: RowLinks, bad: Int64) -> RowLinks:
    """The links without the given ones and without what else stood in their rows."""
    wrong = np.zeros(len(links), dtype=bool)
    wrong[bad] = True
    placed = links.row >= 0
    key = links.file * (int(links.row.max(initial=0)) + 1) + links.row
    return links[~(wrong | (placed & np.isin(key, key[wrong & placed])))]


def merge(links: RowLinks) -> RowLinks:
    """Each pair once, sorted by (a, b).

    The first link gives the weight. Where links of a pair bring different splits the one held out furthest holds (test,
    then validation, then train), so that nothing that is tested is trained on.
    """
    order, first = _grouped(links)
    starts = np.flatnonzero(first)
    if not len(starts):
        return links
    merged = links[order[starts]]
    split = np.maximum.reduceat(links.split[order], starts)
    return RowLinks(merged.a, merged.b, merged.label, merged.weight, split, merged.file, merged.row, merged.files)


def mark(pairs: RowLinks, marks: RowLinks) -> RowLinks:
    """Pairs with what a person marked: a mark overrules the label that the data brought, and follows its query's split."""
    queries = int(max(pairs.a.max(initial=-1), marks.a.max(initial=-1))) + 1
    split_of = np.full(queries, -1, dtype=np.int8)
    np.maximum.at(split_of, pairs.a, pairs.split)
    span = int(max(pairs.b.max(initial=-1), marks.b.max(initial=-1))) + 1
    unmarked = pairs[~np.isin(pairs.a * span + pairs.b, marks.a * span + marks.b)]
    files = (*unmarked.files, *marks.files)
    moved = RowLinks(
        marks.a, marks.b, marks.label, marks.weight, split_of[marks.a], marks.file + len(unmarked.files), marks.row, files
    )
    return merge(_joined([unmarked, moved], files))


def as_table(pairs: RowLinks) -> pa.Table:
    """The table pairs.parquet."""
    columns: dict[str, NDArray[Any]] = {
        "a": pairs.a,
        "b": pairs.b,
        "label": pairs.label,
        "weight": pairs.weight,
        "split": pairs.split,
    }
    return pa.table(columns)


def _grouped(links: RowLinks) -> tuple[Int64, NDArray[np.bool_]]:
    """The links' order by pair (earlier ones first), and which of them, in that order, begin a new pair."""
    order = np.lexsort((np.arange(len(links)), links.b, links.a)).astype(np.int64)
    a, b = links.a[order], links.b[order]
    first = np.ones(len(links), dtype=bool)
    first[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return order, first


def _joined(pieces: Sequence[RowLinks], files: tuple[str, ...]) -> RowLinks:
    """The links of all pieces, whose `file` indexes `files`."""
    nothing = np.empty(0, dtype=np.int64)

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([nothing, *(getattr(piece, name) for piece in pieces)])

    return RowLinks(
        column("a"),
        column("b"),
        column("label").astype(np.int8),
        column("weight").astype(np.float32),
        column("split").astype(np.int8),
        column("file"),
        column("row"),
        files,
    )


def _strings(table: pa.Table, name: str) -> list[str]:
    return [str(value) for value in table[name].to_pylist()]
