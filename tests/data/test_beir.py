from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from likewise.data import beir
from likewise.data.beir import BeirSource
from likewise.data.options import BeirOptions
from likewise.errors import DataError
from likewise.testing.sources import check_source
from likewise.types import Items, Links, Reject, Tally

CORPUS = [
    {"_id": "1", "title": "Rain", "text": "Water falls."},
    {"_id": "2", "title": "", "text": "Frozen water."},
    {"_id": "3", "text": "Sand."},
]
QUERIES = [{"_id": "1", "text": "what is rain"}, {"_id": "2", "text": "what is snow"}, {"_id": "9", "text": "never judged"}]
HEADER = "query-id\tcorpus-id\tscore\n"


def folder(tmp_path: Path, *, corpus: list[Any] = CORPUS, queries: list[Any] = QUERIES, **qrels: str) -> Path:
    (tmp_path / "qrels").mkdir(exist_ok=True)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for split, text in (qrels or {"train": HEADER + "1\t1\t1\n1\t3\t0\n", "test": "2\t2\t2\n"}).items():
        (tmp_path / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return tmp_path


def read(path: Path, seed: int = 0, **options: Any) -> tuple[dict[str, str], list[tuple[Any, ...]], list[Reject], int]:
    source = BeirSource(BeirOptions(path=str(path), **options), seed)
    pieces = [piece for shard in source.shards() for piece in source.read(shard)]
    items = {
        name: text for piece in pieces if isinstance(piece, Items) for name, text in zip(piece.ids, piece.payload, strict=True)
    }
    links = [
        link
        for piece in pieces
        if isinstance(piece, Links)
        for link in zip(piece.a, piece.b, piece.label, piece.split, strict=True)
    ]
    rejects = [piece for piece in pieces if isinstance(piece, Reject)]
    return items, links, rejects, sum(piece.rows for piece in pieces if isinstance(piece, Tally))


def test_titles_join_texts_and_only_judged_queries_are_read(tmp_path: Path) -> None:
    items, _, rejects, rows = read(folder(tmp_path))
    assert items == {
        "1": "Rain Water falls.",
        "2": "Frozen water.",
        "3": "Sand.",
        "query/1": "what is rain",
        "query/2": "what is snow",
    }
    assert rejects == []
    assert rows == 3 + 3 + 3  # documents, queries, judgements


def test_scores_become_labels_and_files_splits(tmp_path: Path) -> None:
    _, links, _, _ = read(folder(tmp_path))
    assert links == [("query/2", "2", 1, "test"), ("query/1", "1", 1, "train"), ("query/1", "3", 0, "train")]


def test_dev_is_validation(tmp_path: Path) -> None:
    assert [split for *_, split in read(folder(tmp_path, dev="1\t1\t1\n"))[1]] == ["validation"]


def test_a_number_may_be_an_id_and_a_title_null(tmp_path: Path) -> None:
    items, *_ = read(folder(tmp_path, corpus=[{"_id": 1, "title": None, "text": "x"}]))
    assert items["1"] == "x"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"_id": "1", "text": "again"}, 'its "_id" "1" stands in row 1, too'),
        ({"_id": "7", "title": "", "text": "  "}, 'its "text" is empty'),
        ({"_id": "7", "title": 5, "text": "x"}, '"title" holds a number instead of a text'),
        ({"_id": "7", "text": 0}, '"text" holds a number instead of a text'),
        ({"_id": "", "text": "x"}, 'its "_id" is empty'),
        ({"_id": None, "text": "x"}, 'its "_id" is empty'),
        ({"_id": ["7"], "text": "x"}, '"_id" holds a list instead of a text'),
        ({"id": "7", "text": "x"}, 'it has no "_id" (it has "id", "text")'),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, document: dict[str, Any], reason: str) -> None:
    path = folder(tmp_path, corpus=[*CORPUS, document], queries=[*QUERIES, document])
    rejects = read(path)[2]
    assert [(reject.file, reject.row) for reject in rejects][:1] == [(str(path / "corpus.jsonl"), 4)]
    assert rejects[0].reason == reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1\t1", "it has 2 instead of 3 fields"),
        ("1 0 1 1", "it has 1 instead of 3 fields"),
        ("1\t1\tyes", 'its score is "yes"'),
        ("1\t1\tnan", 'its score is "nan"'),
    ],
)
def test_a_bad_judgement_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = folder(tmp_path, train=f"{HEADER}{line}\n1\t1\t1\n")
    _, links, [reject], rows = read(path)
    assert (reject.file, reject.row) == (str(path / "qrels" / "train.tsv"), 2)
    assert reject.reason == reason
    assert len(links) == 1
    assert rows == 3 + 3 + 2


@pytest.mark.parametrize(
    ("missing", "message"),
    [("corpus.jsonl", "has no corpus.jsonl"), ("queries.jsonl", "has no queries.jsonl"), ("qrels", "has no qrels")],
)
def test_an_incomplete_folder_is_an_error(tmp_path: Path, missing: str, message: str) -> None:
    path = folder(tmp_path)
    (path / missing).rename(path / "elsewhere")
    with pytest.raises(DataError, match=message):
        BeirSource(BeirOptions(path=str(path)))


def test_an_unknown_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holdout\.tsv is not named after a split"):
        read(folder(tmp_path, holdout="1\t1\t1\n"))


def test_a_sample_takes_queries_and_leaves_the_corpus_whole(tmp_path: Path) -> None:
    queries = [{"_id": str(n), "text": f"query {n}"} for n in range(100)]
    path = folder(
        tmp_path, queries=queries, train="".join(f"{n}\t{1 + n % 3}\t1\n{n}\t{1 + (n + 1) % 3}\t1\n" for n in range(100))
    )
    items, links, _, _ = read(path, sample_size=20)
    chosen = {name for name in items if name.startswith("query/")}
    assert len(chosen) == 20
    assert len(items) == 23
    assert {a for a, *_ in links} == chosen
    assert len(links) == 40
    assert read(path, sample_size=20)[0] == items
    assert read(path, 1, sample_size=20)[0] != items


def test_the_source_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beir, "SLICE_ROWS", 2)
    path = folder(tmp_path)
    check_source(lambda: BeirSource(BeirOptions(path=str(path)), 0))
