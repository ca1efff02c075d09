"""Pairs of texts in tables: each row an anchor, what belongs to it, and what is known not to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likewise.data.options import PairsOptions
from likewise.data.sampling import draw_rows, rows_at
from likewise.data.table import (
    Row,
    column_names,
    count_rows,
    encodable,
    json_kind,
    missing_column,
    read_rows,
    table_files,
    table_format,
)
from likewise.errors import DataError
from likewise.types import Int64, Items, Links, Reject, Role, SplitName, Tally

SLICE_ROWS = 4096
SLICE_CHARACTERS = 32 << 20  # a slice ends early where texts are huge
SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
LABEL_WORDS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class PairColumns:
    """Which columns of a row say what. `lists_in_text`: a cell that is a JSON list of texts is one (CSV has no lists)."""

    anchor: str
    positive: str
    negatives: tuple[str, ...]
    label: str | None
    label_threshold: float
    split: str | None
    lists_in_text: bool

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which no row can be read; `read` takes their cells first, then those of `negatives`."""
        return tuple(name for name in (self.anchor, self.positive, self.label, self.split) if name is not None)

    def read(self, cells: Sequence[Any]) -> PairRow:
        """The pair in a row's cells; BadCell where they hold none."""
        given = dict(zip(self.required, cells, strict=False))
        negative_cells = cells[len(self.required) :]
        anchors = self._texts(self.anchor, given[self.anchor], lists=False)
        positives = self._texts(self.positive, given[self.positive])
        if not anchors or not positives:
            raise BadCell(f'"{self.positive if anchors else self.anchor}" is empty', "fill it in, or delete the row")
        negatives = [text for name, cell in zip(self.negatives, negative_cells, strict=True) for text in self._texts(name, cell)]
        label = 1 if self.label is None else self._label(given[self.label])
        split = None if self.split is None else self._split(given[self.split])
        if label == 1 and (both := next((text for text in negatives if text in positives), None)):
            raise BadCell(f'"{_short(both)}" is positive and negative at once', "remove it from one of the columns")
        return PairRow(anchors[0], tuple(positives), tuple(negatives), label, split)

    def _texts(self, name: str, cell: Any, *, lists: bool = True) -> list[str]:
        """The texts of a cell, none where it is empty."""
        if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):  # a number unequal to itself is NaN
            return []
        if lists and self.lists_in_text and isinstance(cell, str):
            cell = _listed(cell)
        texts = cell if lists and isinstance(cell, list) else [cell]
        for text in texts:
            checked_text(name, text)
            if not text.strip():
                raise BadCell(f'"{name}" holds an empty text in its list', "remove it from the list")
        return texts

    def _label(self, cell: Any) -> int:
        """1 or 0, by the threshold."""
        remedy = "write 1 or 0, true or false, or a score"
        if isinstance(cell, str):
            cell = LABEL_WORDS.get(cell.strip().lower(), cell)
        try:
            score = float(cell)
        except (TypeError, ValueError):
            raise BadCell(f'"{self.label}" is {_shown(cell)}', remedy) from None
        if score != score:
            raise BadCell(f'"{self.label}" is not a number', remedy)
        return int(score >= self.label_threshold)

    def _split(self, cell: Any) -> SplitName | None:
        """The split's name, None where the cell is empty."""
        if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):
            return None
        word = cell.strip().lower() if isinstance(cell, str) else ""
        if word not in SPLIT_WORDS:
            raise BadCell(f'"{self.split}" is {_shown(cell)}', 'write "train", "validation" or "test", or leave it empty')
        return SPLIT_WORDS[word]


@dataclass(frozen=True, slots=True)
class PairRow:
    """A row, understood: `label` says whether the positives are alike to the anchor; negatives never are."""

    anchor: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    label: int
    split: SplitName | None


class BadCell(Exception):  # control flow within this folder: it becomes a Reject
    """A cell that cannot be used: why, and the remedy."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class PairsSource:
    """Reads pairs of texts from tables; a shard is a file.

    Items are the different texts, an anchor as a query and the others as documents, under a hash of role and text: ids
    stay the same when rows are added. Texts are kept as they are. In CSV and TSV a positive or negative cell that is a
    JSON list of texts is read as one; any other cell is a text.
    """

    Options = PairsOptions

    def __init__(self, options: PairsOptions, seed: int = 0) -> None:
        self._options = options
        self._seed = seed
        self._files = {safe_name(file.name): file for file in table_files(Path(options.path))}
        self._draw: dict[str, Int64] | None = None
        self._check_negatives()

    def shards(self) -> Sequence[str]:
        """The files, by name."""
        return list(self._files)

    def files(self, shard: str) -> Sequence[Path]:
        """The file; for a sample all of them, since it is drawn from their numbers of rows."""
        return [self._files[shard]] if self._options.sample_size is None else list(self._files.values())

    def read(self, shard: str) -> Iterator[Items | Links | Reject | Tally]:
        """A file's texts, pairs and bad rows."""
        file = self._files[shard]
        options = self._options
        in_text = table_format(file) in (".csv", ".tsv")
        columns = PairColumns(
            options.anchor, options.positive, options.negatives, options.label, options.label_threshold, options.split, in_text
        )
        rows = read_rows(file, columns.required, columns.negatives)
        if options.sample_size is not None:
            rows = rows_at(rows, self._drawn(options.sample_size)[shard])
        yield from read_pairs(shard, str(file), rows, columns)

    def _drawn(self, size: int) -> dict[str, Int64]:
        if self._draw is None:
            self._draw = draw_rows({shard: count_rows(file) for shard, file in self._files.items()}, size, self._seed)
        return self._draw

    def _check_negatives(self) -> None:
        """A named column that no file has is a slip of the pen; only the default may be absent."""
        named = set(self._options.negatives) - set(PairsOptions.model_fields["negatives"].default)
        found = {name for file in self._files.values() for name in column_names(file)} if named else set()
        for name in sorted(named):
            if name not in found:
                raise DataError(
                    f"{missing_column(Path(self._options.path), name, sorted(found))}; correct negatives in [ingest]."
                )


def read_pairs(
    shard: str, file: str, rows: Iterable[Row | Reject], columns: PairColumns, *, split: SplitName | None = None
) -> Iterator[Items | Links | Reject | Tally]:
    """Rows as items and links, in slices; `split` is that of every row whose columns do not say."""
    piece = _Slice(shard, file)
    for row in rows:
        if isinstance(row, Row):
            try:
                piece.add(row.number, columns.read(row.cells), split)
            except BadCell as bad:
                row = Reject(file, row.number, bad.reason, bad.remedy)
        if isinstance(row, Reject):
            yield row
        piece.rows += 1
        if piece.full:
            yield from piece.done()
            piece = _Slice(shard, file)
    yield from piece.done()


class _Slice:
    """Some rows of a table as items and links."""

    def __init__(self, shard: str, file: str) -> None:
        self._shard = shard
        self._file = file
        self.rows = 0
        self._characters = 0
        self._items: dict[str, tuple[str, Role]] = {}
        self._links: list[tuple[str, str, int, SplitName | None, int]] = []

    @property
    def full(self) -> bool:
        return self.rows >= SLICE_ROWS or self._characters >= SLICE_CHARACTERS

    def add(self, number: int, pair: PairRow, split: SplitName | None) -> None:
        query = self._item(pair.anchor, "query")
        for texts, label in ((pair.positives, pair.label), (pair.negatives, 0)):
            for text in texts:
                self._links.append((query, self._item(text, "document"), label, pair.split or split, number))

    def _item(self, text: str, role: Role) -> str:
        name = text_id(text, role)
        self._items[name] = (text, role)
        self._characters += len(text)
        return name

    def done(self) -> Iterator[Items | Links | Tally]:
        if self._items:
            texts, roles = zip(*self._items.values(), strict=True)
            yield Items(self._shard, list(self._items), list(texts), {"role": list(roles)})
        if self._links:
            a, b, label, split, row = (list(column) for column in zip(*self._links, strict=True))
            yield Links(a, b, label, [1.0] * len(a), split, self._file, row)
        if self.rows:
            yield Tally(self.rows)


def checked_text(name: str, cell: Any) -> str:
    """A cell that must be a text; BadCell if it is anything else, or a text that cannot be stored."""
    if not isinstance(cell, str):
        raise BadCell(f'"{name}" holds {json_kind(cell)} instead of a text', "write a text, in quotes")
    if not encodable(cell):
        raise BadCell(f'"{name}" has bytes that are not UTF-8', "save the file as UTF-8")
    if "\0" in cell:
        raise BadCell(f'"{name}" holds a NUL character', "remove it; the file may be damaged or not be text")
    return cell


def text_id(text: str, role: Role) -> str:
    """16 hexadecimal digits of role and text: equal texts of one role are one item."""
    return hashlib.blake2b(f"{role}\0{text}".encode(), digest_size=8).hexdigest()


def safe_name(name: str) -> str:
    """A name fit for a file on any system; one that had to be changed gets a hash of what it was."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")[:80]
    return safe if safe == name else f"{safe}-{hashlib.blake2b(name.encode(errors='surrogateescape'), digest_size=4).hexdigest()}"


def _listed(cell: str) -> str | list[str]:
    """The list that a cell holds, or the cell."""
    if not cell.lstrip().startswith("["):
        return cell
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    return found if all(isinstance(text, str) for text in found) else cell


def _shown(cell: Any) -> str:
    return f'"{_short(cell)}"' if isinstance(cell, str) else json_kind(cell)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
