"""Data sets of the Hugging Face hub, through `datasets` (extra: hub)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from likewise.data.options import HubOptions
from likewise.data.pairs import SPLIT_WORDS, PairColumns, read_pairs, safe_name
from likewise.data.sampling import draw_rows
from likewise.data.table import Row, missing_column
from likewise.errors import DataError, MissingExtra
from likewise.types import Int64, Items, Links, Reject, Tally

SHARD_ROWS = 100_000
READ_ROWS = 4096


class HubSource:
    """Reads pairs from a data set that `datasets.load_dataset` opens; a shard is at most 100,000 rows of one split.

    Rows of splits called train, validation (or dev, valid, val) and test keep these splits; rows of any other split are
    divided by [split]. Rows are numbered from 1 within their split.
    """

    Options = HubOptions

    def __init__(self, options: HubOptions, seed: int = 0) -> None:
        if importlib.util.find_spec("datasets") is None:
            raise MissingExtra("hub", f'[ingest] kind = "hub" (data set "{options.name}")')
        self._options = options
        self._seed = seed
        self._splits = self._load()
        self._check_columns()

    def shards(self) -> Sequence[str]:
        """Each split, in pieces."""
        return list(self._pieces)

    def read(self, shard: str) -> Iterator[Items | Links | Reject | Tally]:
        """A piece's texts, pairs and bad rows."""
        split, start = self._pieces[shard]
        options = self._options
        columns = PairColumns(
            options.anchor, options.positive, options.negatives, options.label, options.label_threshold, None, lists_in_text=False
        )
        positions = self._positions(split, start)
        rows = self._rows(split, positions, (*columns.required, *columns.negatives))
        yield from read_pairs(shard, f"{options.name} ({split})", rows, columns, split=SPLIT_WORDS.get(split.lower()))

    def _load(self) -> dict[str, Any]:
        import datasets  # heavy, and optional

        options = self._options
        try:
            loaded = datasets.load_dataset(options.name, options.config, cache_dir=options.cache_dir)
        except Exception as error:  # each of its builders raises its own kinds
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise DataError(
                f'The data set "{options.name}" (config {options.config or "none"}) cannot be loaded ({reason}); '
                "check name and config in [ingest], or, without a connection, set name to a local folder with its files."
            ) from error
        return {str(name): split for name, split in loaded.items()}

    def _check_columns(self) -> None:
        options = self._options
        named = [name for name in options.negatives if name not in HubOptions.model_fields["negatives"].default]
        for split, rows in self._splits.items():
            for name in filter(None, (options.anchor, options.positive, options.label, *named)):
                if name not in rows.column_names:
                    place = f'The split "{split}" of "{options.name}"'
                    raise DataError(f"{missing_column(place, name, rows.column_names)}; set the column's name in [ingest].")

    @cached_property
    def _pieces(self) -> dict[str, tuple[str, int]]:
        """Each shard's split and first row."""
        pieces = {}
        for split, rows in self._splits.items():
            for number, start in enumerate(range(0, max(1, len(rows)), SHARD_ROWS)):
                pieces[f"{safe_name(split)}-{number:05d}"] = (split, start)
        return pieces

    @cached_property
    def _draw(self) -> dict[str, Int64] | None:
        if self._options.sample_size is None:
            return None
        return draw_rows({name: len(rows) for name, rows in self._splits.items()}, self._options.sample_size, self._seed)

    def _positions(self, split: str, start: int) -> Sequence[int]:
        """The rows of a piece that are to be read."""
        stop = min(start + SHARD_ROWS, len(self._splits[split]))
        if self._draw is None:
            return range(start, stop)
        drawn = self._draw[split]
        found: list[int] = drawn[(drawn >= start) & (drawn < stop)].tolist()
        return found

    def _rows(self, split: str, positions: Sequence[int], names: Sequence[str]) -> Iterator[Row]:
        rows = self._splits[split]
        present = [name for name in names if name in rows.column_names]
        view = rows.select_columns(list(dict.fromkeys(present)))
        for start in range(0, len(positions), READ_ROWS):
            chosen = positions[start : start + READ_ROWS]
            columns = view[chosen]
            nothing = [None] * len(chosen)
            for position, cells in zip(chosen, zip(*(columns.get(name, nothing) for name in names), strict=True), strict=True):
                yield Row(position + 1, cells)
