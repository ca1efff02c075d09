"""BEIR folders (Thakur et al. 2021): corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv.

Documents keep their ids. Queries get the prefix "query/", since both number their entries from 0 in many folders.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from likewise.data.options import BeirOptions
from likewise.data.pairs import SPLIT_WORDS, BadCell, checked_text
from likewise.data.sampling import draw
from likewise.data.table import read_lines, read_rows
from likewise.errors import DataError
from likewise.types import Items, Links, Reject, Role, SplitName, Tally

SLICE_ROWS = 4096
QUERY_PREFIX = "query/"
COMPRESSED = ("", ".gz")


class Judgement(NamedTuple):
    """A line of a qrels file."""

    row: int
    query: str
    document: str
    score: float


class BeirSource:
    """Reads a BEIR folder: shards "corpus", "queries" and one for each qrels file, whose split its pairs keep.

    A document's text is its title and text, joined by a space. Only queries with judgements are read. A score above 0
    makes a positive, 0 a known negative. Every line of the files counts as a row.
    """

    Options = BeirOptions

    def __init__(self, options: BeirOptions, seed: int = 0) -> None:
        self._folder = Path(options.path)
        self._sample_size = options.sample_size
        self._seed = seed
        self._corpus = self._file("corpus.jsonl")
        self._queries = self._file("queries.jsonl")
        self._qrels = self._qrels_files()
        self._judged: frozenset[str] | None = None

    def shards(self) -> Sequence[str]:
        """The corpus, the queries, and each qrels file."""
        return ["corpus", "queries", *self._qrels]

    def files(self, shard: str) -> Sequence[Path]:
        """The corpus alone; for queries and judgements the qrels too, which say which queries are judged."""
        own = {"corpus": self._corpus, "queries": self._queries}
        judged = [path for path, _ in self._qrels.values()]
        return [own[shard]] if shard == "corpus" else [*filter(None, [own.get(shard)]), *judged]

    def read(self, shard: str) -> Iterator[Items | Links | Reject | Tally]:
        """The documents, the queries that have judgements, or the judgements of a split."""
        if shard == "corpus":
            return self._items(shard, self._corpus, ("title",), "document", None)
        if shard == "queries":
            return self._items(shard, self._queries, (), "query", self._chosen())
        path, split = self._qrels[shard]
        return self._links(path, split, self._chosen())

    def _items(
        self, shard: str, path: Path, more: Sequence[str], role: Role, chosen: frozenset[str] | None
    ) -> Iterator[Items | Reject | Tally]:
        seen: dict[str, int] = {}
        ids: list[str] = []
        texts: list[str] = []
        rows = 0
        for row in read_rows(path, ("_id", "text"), more):
            rows += 1
            if isinstance(row, Reject):
                yield row
                continue
            try:
                name = _id(row.cells[0])
                if name in seen:
                    raise BadCell(f'its "_id" "{name}" stands in row {seen[name]}, too', "give it an id of its own, or remove it")
                seen[name] = row.number
                if chosen is None or name in chosen:
                    texts.append(_text(row.cells[1:]))
                    ids.append(item_id(name, role))
            except BadCell as bad:
                yield Reject(str(path), row.number, bad.reason, bad.remedy)
            if len(ids) == SLICE_ROWS:
                yield Items(shard, ids, texts, {"role": [role] * len(ids)})
                ids, texts = [], []
        if ids:
            yield Items(shard, ids, texts, {"role": [role] * len(ids)})
        yield Tally(rows)

    def _links(self, path: Path, split: SplitName, chosen: frozenset[str]) -> Iterator[Links | Reject | Tally]:
        judgements: list[Judgement] = []
        rows = 0
        for line in read_qrels(path):
            rows += 1
            if isinstance(line, Reject):
                yield line
            elif line.query in chosen:
                judgements.append(line)
            if len(judgements) == SLICE_ROWS:
                yield _as_links(judgements, split, str(path))
                judgements = []
        if judgements:
            yield _as_links(judgements, split, str(path))
        yield Tally(rows)

    def _chosen(self) -> frozenset[str]:
        """The queries with judgements, or the sample of them."""
        if self._judged is None:
            lines = (line for path, _ in self._qrels.values() for line in read_qrels(path))
            queries = list(dict.fromkeys(line.query for line in lines if isinstance(line, Judgement)))
            self._judged = frozenset(queries if self._sample_size is None else draw(queries, self._sample_size, self._seed))
        return self._judged

    def _file(self, name: str) -> Path:
        found = next(
            (self._folder / f"{name}{ending}" for ending in COMPRESSED if (self._folder / f"{name}{ending}").is_file()), None
        )
        if found is None:
            raise DataError(f"{self._folder} has no {name}; a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv.")
        return found

    def _qrels_files(self) -> dict[str, tuple[Path, SplitName]]:
        found: dict[str, tuple[Path, SplitName]] = {}
        for path in sorted((self._folder / "qrels").glob("*.tsv")):
            if path.stem not in SPLIT_WORDS:
                raise DataError(f"{path} is not named after a split; call it train.tsv, dev.tsv or test.tsv, or move it away.")
            found[f"qrels-{path.stem}"] = (path, SPLIT_WORDS[path.stem])
        if not found:
            raise DataError(f"{self._folder} has no qrels; put train.tsv, dev.tsv or test.tsv into {self._folder / 'qrels'}.")
        return found


def read_qrels(path: Path) -> Iterator[Judgement | Reject]:
    """The judgements of a file of query, document and score, with or without a header; rows are its lines."""
    for number, line in read_lines(path):
        if isinstance(line, Reject):
            yield line
            continue
        if not line.strip():
            continue
        fields = line.decode("utf-8", "replace").rstrip("\r\n").split("\t")
        if number == 1 and [field.strip().lower() for field in fields] == ["query-id", "corpus-id", "score"]:
            continue
        if len(fields) != 3:
            reason = f"it has {len(fields)} instead of 3 fields"
            yield Reject(str(path), number, reason, "write query id, document id and score, with tabs between them")
            continue
        query, document, score = (field.strip() for field in fields)
        try:
            relevance = float(score)
        except ValueError:
            relevance = math.nan
        if math.isfinite(relevance):
            yield Judgement(number, query, document, relevance)
        else:
            yield Reject(str(path), number, f'its score is "{score}"', "write a number: above 0 is relevant, 0 is not")


def item_id(name: str, role: Role) -> str:
    """The id of a BEIR entry among the run's items."""
    return f"{QUERY_PREFIX}{name}" if role == "query" else name


def _as_links(judgements: Sequence[Judgement], split: SplitName, file: str) -> Links:
    count = len(judgements)
    return Links(
        [item_id(line.query, "query") for line in judgements],
        [item_id(line.document, "document") for line in judgements],
        [int(line.score > 0) for line in judgements],
        [1.0] * count,
        [split] * count,
        file,
        [line.row for line in judgements],
    )


def _id(cell: Any) -> str:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    if cell is None or not checked_text("_id", cell).strip():
        raise BadCell('its "_id" is empty', "give it one")
    return str(cell)


def _text(cells: Iterable[Any]) -> str:
    """Title and text, joined as BEIR does it."""
    text, *title = cells
    parts = [
        checked_text(name, cell) for name, cell in (("title", title[0] if title else None), ("text", text)) if cell is not None
    ]
    joined = " ".join(part for part in parts if part).strip()
    if not joined:
        raise BadCell('its "text" is empty', "fill it in, or remove the line")
    return joined
