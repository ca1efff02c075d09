from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from likewise.data import pairs
from likewise.data.options import PairsOptions
from likewise.data.pairs import PairsSource, safe_name, text_id
from likewise.errors import DataError
from likewise.testing.sources import check_source
from likewise.types import Items, Links, Reject, Tally

NEGATIVES = ("negative", "other")


def jsonl(folder: Path, rows: Sequence[Any], name: str = "a.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder / name


def read(
    path: Path, seed: int = 0, **options: Any
) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str, int, Any]], list[Reject], int]:
    """(role, text) by id; (anchor, other text, label, split) of each link; rejects; rows."""
    source = PairsSource(PairsOptions(path=str(path), **options), seed)
    items: dict[str, tuple[str, str]] = {}
    links: list[tuple[str, str, int, Any]] = []
    rejects: list[Reject] = []
    rows = 0
    pieces = [piece for shard in source.shards() for piece in source.read(shard)]
    for piece in pieces:
        match piece:
            case Items():
                items |= dict(zip(piece.ids, zip(piece.columns["role"], piece.payload, strict=True), strict=True))
            case Links():
                triples = zip(piece.a, piece.b, piece.label, piece.split, strict=True)
                links += [(items[a][1], items[b][1], label, split) for a, b, label, split in triples]
            case Reject():
                rejects.append(piece)
            case Tally():
                rows += piece.rows
    return items, links, rejects, rows


def test_a_row_is_a_query_and_documents(tmp_path: Path) -> None:
    row = {"anchor": "rain", "positive": ["water", "drops"], "negative": "fire", "other": ["sand", "ash"]}
    items, links, rejects, rows = read(jsonl(tmp_path, [row]), negatives=NEGATIVES)
    assert {value for value in items.values() if value[0] == "query"} == {("query", "rain")}
    assert links == [
        ("rain", text, label, None) for text, label in (("water", 1), ("drops", 1), ("fire", 0), ("sand", 0), ("ash", 0))
    ]
    assert (rejects, rows) == ([], 1)


def test_equal_texts_of_one_role_are_one_item(tmp_path: Path) -> None:
    rows = [{"anchor": "a", "positive": "b"}, {"anchor": "a", "positive": "c"}, {"anchor": "b", "positive": "a"}]
    items, links, _, _ = read(jsonl(tmp_path, rows))
    assert sorted(items.values()) == [("document", "a"), ("document", "b"), ("document", "c"), ("query", "a"), ("query", "b")]
    assert len(links) == 3


def test_ids_are_hashes_of_role_and_text_and_stay(tmp_path: Path) -> None:
    before, *_ = read(jsonl(tmp_path, [{"anchor": "a", "positive": " kept as it is \n"}]))
    after, *_ = read(jsonl(tmp_path, [{"anchor": "new", "positive": "new"}, {"anchor": "a", "positive": " kept as it is \n"}]))
    assert before == {
        text_id("a", "query"): ("query", "a"),
        text_id(" kept as it is \n", "document"): ("document", " kept as it is \n"),
    }
    assert before.items() <= after.items()
    assert all(len(name) == 16 for name in after)


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ('["one", "two"]', ["one", "two"]),
        (' ["one"]', ["one"]),
        ("[1]", ["[1]"]),
        ("[sic] as it stands", ["[sic] as it stands"]),
        ('["one"', ['["one"']),
        ("plain", ["plain"]),
    ],
)
def test_a_csv_cell_is_a_list_where_it_is_a_json_list_of_texts(tmp_path: Path, cell: str, texts: list[str]) -> None:
    quoted = cell.replace('"', '""')
    (tmp_path / "a.csv").write_text(f'anchor,positive\nx,"{quoted}"\n', encoding="utf-8")
    assert [link[1] for link in read(tmp_path / "a.csv")[1]] == texts


def test_in_jsonl_a_text_that_looks_like_a_list_is_a_text(tmp_path: Path) -> None:
    assert read(jsonl(tmp_path, [{"anchor": "x", "positive": '["one"]'}]))[1] == [("x", '["one"]', 1, None)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"anchor": "  ", "positive": "b"}, '"anchor" is empty'),
        ({"anchor": "a", "positive": None}, '"positive" is empty'),
        ({"anchor": "a", "positive": []}, '"positive" is empty'),
        ({"anchor": "a", "positive": float("nan")}, '"positive" is empty'),
        ({"anchor": "a", "positive": ["b", ""]}, '"positive" holds an empty text in its list'),
        ({"anchor": "a", "positive": ["b", None]}, '"positive" holds null instead of a text'),
        ({"anchor": 5, "positive": "b"}, '"anchor" holds a number instead of a text'),
        ({"anchor": ["a"], "positive": "b"}, '"anchor" holds a list instead of a text'),
        ({"anchor": "a", "positive": {"text": "b"}}, '"positive" holds an object instead of a text'),
        ({"anchor": "a", "positive": True}, '"positive" holds true or false instead of a text'),
        ({"anchor": "a", "positive": "b\0"}, '"positive" holds a NUL character'),
        ({"anchor": "a\ud800", "positive": "b"}, '"anchor" has bytes that are not UTF-8'),
        ({"anchor": "a", "positive": "b", "negative": ["b"]}, '"b" is positive and negative at once'),
        ({"anchor": "a", "positive": "b", "score": "high"}, '"score" is "high"'),
        ({"anchor": "a", "positive": "b", "score": None}, '"score" is null'),
        ({"anchor": "a", "positive": "b", "score": "nan"}, '"score" is not a number'),
        ({"anchor": "a", "positive": "b", "split": "holdout"}, '"split" is "holdout"'),
    ],
)
def test_a_bad_row_is_named_with_its_remedy(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    good = {"anchor": "g", "positive": "h", "score": 1, "split": "train"}
    path = jsonl(tmp_path, [good, {"score": 1, "split": "train", **row}, good])
    _, links, [reject], rows = read(path, label="score", split="split")
    assert (reject.file, reject.row, reject.reason) == (str(path), 2, reason)
    assert reject.remedy
    assert len(links) == 2
    assert rows == 3


def test_labels_are_words_numbers_or_scores(tmp_path: Path) -> None:
    cells = [1, 0, "1", "0", True, False, "true", "False", 0.7, 0.69, "0.8"]
    rows = [{"anchor": f"a{n}", "positive": "b", "score": cell} for n, cell in enumerate(cells)]
    _, links, rejects, _ = read(jsonl(tmp_path, rows), label="score", label_threshold=0.7)
    assert not rejects
    assert [label for _, _, label, _ in links] == [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]


def test_splits_that_come_with_the_data_are_kept(tmp_path: Path) -> None:
    words = ["train", "dev", "Validation", "val", "test", "", None]
    rows = [{"anchor": f"a{n}", "positive": "b", "part": word} for n, word in enumerate(words)]
    _, links, rejects, _ = read(jsonl(tmp_path, rows), split="part")
    assert not rejects
    assert [split for *_, split in links] == ["train", "validation", "validation", "validation", "test", None, None]


def test_a_misspelt_column_of_negatives_is_an_error_but_the_default_may_be_absent(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"anchor": "a", "positive": "b", "negative_1": "c"}])
    assert len(read(path)[1]) == 1
    with pytest.raises(DataError, match=r'no column "negativ_1".*did you mean "negative_1"'):
        read(path, negatives=("negativ_1",))


def test_a_sample_is_drawn_by_the_seed_and_not_the_first_rows(tmp_path: Path) -> None:
    rows = [{"anchor": f"a{n}", "positive": f"b{n}"} for n in range(500)]
    jsonl(tmp_path, rows[:200], "one.jsonl")
    jsonl(tmp_path, rows[200:], "two.jsonl")

    def sample(seed: int, size: int = 60) -> list[int]:
        _, links, _, count = read(tmp_path, seed, sample_size=size)
        assert count == len(links)
        return [int(anchor[1:]) for anchor, *_ in links]

    first = sample(0)
    assert len(first) == 60
    assert first == sample(0)
    assert first == sorted(first)
    assert set(first) != set(sample(1))
    assert 10 <= sum(n < 200 for n in first) <= 40  # 24 expected: not the first rows, nor one file's
    assert np.mean(first) == pytest.approx(250, abs=60)
    assert set(sample(0, 30)) < set(first)
    assert len(sample(0, 10_000)) == 500


def test_rows_added_to_a_file_only_displace_what_they_win(tmp_path: Path) -> None:
    rows = [{"anchor": f"a{n}", "positive": f"b{n}"} for n in range(400)]
    before = {link[0] for link in read(jsonl(tmp_path, rows[:300]), sample_size=100)[1]}
    after = {link[0] for link in read(jsonl(tmp_path, rows), sample_size=100)[1]}
    old = {row["anchor"] for row in rows[:300]}
    assert after & old <= before
    assert 10 <= len(after - old) <= 45  # 25 expected


def test_slices_do_not_change_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"anchor": f"a{n % 7}", "positive": ["x" * (n % 5 + 1)], "negative": "no" if n % 3 else ""} for n in range(50)]
    path = jsonl(tmp_path, [*rows, {"anchor": ""}])
    whole = read(path)
    monkeypatch.setattr(pairs, "SLICE_ROWS", 4)
    assert read(path) == whole
    monkeypatch.setattr(pairs, "SLICE_CHARACTERS", 10)
    assert read(path) == whole


def test_the_source_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "SLICE_ROWS", 5)
    rows = [{"anchor": f"a{n}", "positive": [f"b{n}", "shared"], "negative": [f"c{n}"]} for n in range(23)]
    jsonl(tmp_path, [*rows, {"anchor": "bad"}], "a b.jsonl")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "c.tsv").write_text("anchor\tpositive\nx\ty\nz\n", encoding="utf-8")
    for size in (None, 9):
        check_source(lambda size=size: PairsSource(PairsOptions(path=str(tmp_path), sample_size=size), 3))  # type: ignore[misc]  # a default binds the loop's value


def test_names_of_shards_are_safe_and_stay_different() -> None:
    names = ["plain.csv", "with space.csv", "with-space.csv", "ünï.csv", "-dash.csv", ".csv"]
    safe = [safe_name(name) for name in names]
    assert safe[0] == "plain.csv"
    assert len(set(safe)) == len(names)
