from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from likewise.data import table
from likewise.data.table import Row, column_names, count_rows, encodable, read_rows, table_files
from likewise.errors import DataError
from likewise.types import Reject

CELLS = [("rain", "water"), ('say "hi"', "a, b"), ("two\nlines", "tab\there"), ("Ünï", "雨")]


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def as_csv(rows: list[tuple[str, ...]], delimiter: str = ",", end: str = "\n") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue()


def rows_of(path: Path, *names: str) -> list[Row | Reject]:
    return list(read_rows(path, names))


def rejects_of(path: Path, *names: str) -> list[Reject]:
    return [row for row in rows_of(path, *names) if isinstance(row, Reject)]


@pytest.fixture(params=["a.csv", "a.csv.gz", "a.tsv", "a.tsv.gz", "a.jsonl", "a.jsonl.gz", "a.parquet", "A.CSV"])
def same_rows(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    if "parquet" in path.name:
        pq.write_table(pa.table({"b": [b for _, b in CELLS], "a": [a for a, _ in CELLS], "c": [1] * len(CELLS)}), path)
        return path
    if "jsonl" in path.name:
        return write(path, "".join(json.dumps({"b": b, "a": a, "c": 1}) + "\n" for a, b in CELLS))
    return write(path, as_csv([("b", "a", "c"), *((b, a, "1") for a, b in CELLS)], "\t" if "tsv" in path.name else ","))


def test_every_format_gives_the_same_rows(same_rows: Path) -> None:
    rows = rows_of(same_rows, "a", "b")
    assert [row.cells for row in rows if isinstance(row, Row)] == CELLS
    assert count_rows(same_rows) == len(CELLS)
    assert column_names(same_rows) == ["b", "a", "c"]


def test_absent_optional_columns_are_none(same_rows: Path) -> None:
    assert [row.cells[1:] for row in read_rows(same_rows, ("a",), ("z", "b")) if isinstance(row, Row)] == [
        (None, b) for _, b in CELLS
    ]


def test_rows_are_numbered_as_people_see_them(tmp_path: Path) -> None:
    table_text = 'a,b\n1,"two\nlines"\n\n3,4\n'
    numbers = [row.number for row in rows_of(write(tmp_path / "a.csv", table_text), "a") if isinstance(row, Row)]
    assert numbers == [2, 4]  # the header is row 1, a row may have several lines, and a blank row counts
    numbers = [row.number for row in rows_of(write(tmp_path / "a.jsonl", '{"a": 1}\n\n{"a": 2}'), "a") if isinstance(row, Row)]
    assert numbers == [1, 3]
    pq.write_table(pa.table({"a": [5, 6]}), tmp_path / "a.parquet")
    assert [row.number for row in rows_of(tmp_path / "a.parquet", "a") if isinstance(row, Row)] == [1, 2]


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, TEXT), max_size=12), st.sampled_from([",", "\t"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example([("\r", "\n"), ('"', "\ufeff")], ",", "\r\n", True)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, end: str, mark: bool
) -> None:
    text = as_csv([("a", "b"), *rows], delimiter, end)
    path = write(tmp_path / ("t.csv" if delimiter == "," else "t.tsv"), ("\ufeff" if mark else "") + text)
    found = [row.cells for row in rows_of(path, "a", "b") if isinstance(row, Row)]
    assert found == [(a or None, b or None) for a, b in rows]
    assert count_rows(path) == len(rows)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,2,3", "it has 3 fields, the header 2"),
        ("1", "it has 1 field, the header 2"),
        ('"1"x,2', "broken"),
        ('1,"2', "broken"),
    ],
)
def test_a_bad_csv_row_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = write(tmp_path / "a.csv", f"a,b\n1,2\n{line}\n")
    [reject] = rejects_of(path, "a")
    assert (reject.file, reject.row) == (str(path), 3)
    assert reason in reject.reason
    assert count_rows(path) == 2


def test_reading_goes_on_after_a_bad_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a,b\n"1"x,2\n3\n4,5\n')
    assert [isinstance(row, Row) for row in rows_of(path, "a")] == [False, False, True]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{bad", "not JSON"),
        (b"[1, 2]", "a list instead of an object"),
        (b"7", "a number instead of an object"),
        (b"null", "null instead of an object"),
        (b'{"b": 1}', 'no "a" (it has "b")'),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": 1, "a": 2}', "a key occurs twice"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_json_line_is_named(tmp_path: Path, line: bytes, reason: str) -> None:
    path = write(tmp_path / "a.jsonl", b'{"a": "good"}\n' + line + b"\n" + b'{"a": "good"}\n')
    rows = rows_of(path, "a")
    assert [isinstance(row, Row) for row in rows] == [True, False, True]
    [reject] = [row for row in rows if isinstance(row, Reject)]
    assert reject.row == 2
    assert reason in reject.reason
    assert count_rows(path) == 3


def test_a_missing_json_key_names_the_nearest(tmp_path: Path) -> None:
    [reject] = rejects_of(write(tmp_path / "a.jsonl", '{"positiv": "x"}\n'), "positive")
    assert str(reject).endswith('it has no "positive" (it has "positiv"); did you mean "positiv".')


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet"])
def test_a_missing_column_names_those_there_and_the_nearest(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.table({"question": ["x"], "anser": ["y"]}), path)
    else:
        write(path, as_csv([("question", "anser"), ("x", "y")], "\t" if name == "a.tsv" else ","))
    with pytest.raises(DataError, match=r'has no column "answer" \(it has "question", "anser"\); did you mean "anser"') as error:
        rows_of(path, "question", "answer")
    assert str(path) in str(error.value)


def test_a_wanted_column_may_not_occur_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b,b\n1,2,3\n")
    assert [row.cells for row in rows_of(path, "a") if isinstance(row, Row)] == [("1",)]
    with pytest.raises(DataError, match='2 columns called "b"'):
        rows_of(path, "b")


def test_bytes_that_are_not_utf8_stay_recognisable(tmp_path: Path) -> None:
    [row] = rows_of(write(tmp_path / "a.csv", b"a,b\ncaf\xe9,fine\n"), "a", "b")
    assert isinstance(row, Row)
    assert [encodable(cell) for cell in row.cells] == [False, True]


def test_other_encodings_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is UTF-16; save it as UTF-8"):
        rows_of(write(tmp_path / "a.csv", "a,b\n1,2\n".encode("utf-16")), "a")
    with pytest.raises(DataError, match="header"):
        rows_of(write(tmp_path / "b.csv", b"caf\xe9,b\n1,2\n"), "b")


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty; its first row must name the columns"):
        rows_of(write(tmp_path / "a.csv", ""), "a")
    assert rows_of(write(tmp_path / "a.csv", "a,b\n"), "a") == []
    assert rows_of(write(tmp_path / "a.jsonl", ""), "a") == []


def test_a_line_too_long_to_hold_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "CELL_BYTES", 100)
    long = "x" * 350
    rows = rows_of(write(tmp_path / "a.jsonl", f'{{"a": 1}}\n{{"a": "{long}"}}\n{{"a": 2}}\n'), "a")
    assert [row.number if isinstance(row, Row) else row.row for row in rows] == [1, 2, 3]
    assert isinstance(rows[1], Reject)
    assert "longer than" in rows[1].reason
    path = write(tmp_path / "a.csv", f"a\n1\n{long}\n2\n")
    assert sum(isinstance(row, Reject) for row in rows_of(path, "a")) == 1
    assert len(rows_of(path, "a")) == count_rows(path)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
def test_a_truncated_archive_is_an_error(tmp_path: Path, name: str) -> None:
    text = "a\n" + "".join(f"row {n * 7919 % 10007}\n" for n in range(5000))
    if "jsonl" in name:
        text = "".join(json.dumps({"a": line}) + "\n" for line in text.split())
    path = write(tmp_path / name, text)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match="cannot be read after line"):
        rows_of(path, "a")
    path.write_bytes(b"this is no archive")
    with pytest.raises(DataError, match="cannot be read after line 0"):
        rows_of(path, "a")


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [f"text {n}" for n in range(5000)]}), path, write_page_checksum=True)
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(DataError, match="not a readable Parquet file"):
        rows_of(path, "a")
    path.write_bytes(whole[:2000] + b"XXXX" + whole[2004:])
    with pytest.raises(DataError, match="is damaged after row"):
        rows_of(path, "a")


HOSTILE = st.lists(
    st.sampled_from(
        [
            b"a",
            b"b",
            b",",
            b"\t",
            b'"',
            b'""',
            b"\n",
            b"\r\n",
            b"\r",
            b"\0",
            b"\xff",
            b"\xef\xbb\xbf",
            b"{",
            b"}",
            b'{"a":1}',
            b" ",
            b"[",
            b":",
        ]
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE, st.sampled_from(["t.csv", "t.tsv", "t.jsonl", "t.parquet"]), st.booleans())
def test_no_bytes_do_harm(tmp_path: Path, pieces: list[bytes], name: str, with_header: bool) -> None:
    path = write(tmp_path / name, (b"a,b\n" if with_header else b"") + b"".join(pieces))
    rows: list[Row | Reject] = []
    with contextlib.suppress(DataError):  # of a file without a header, without this column, or in another encoding
        rows = rows_of(path, "a")
    if not rows:
        return
    assert len(rows) == count_rows(path)
    places = [row.number if isinstance(row, Row) else row.row for row in rows]
    assert places == sorted(set(places))


def test_a_folder_gives_its_tables_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.jsonl.gz", "notes.txt", ".hidden.csv"):
        write(tmp_path / name, "a\n")
    assert [path.name for path in table_files(tmp_path)] == ["a.jsonl.gz", "b.csv"]


@pytest.mark.parametrize(
    ("name", "reason"), [("none.csv", "does not exist"), ("notes.txt", "not a known kind"), ("empty", "holds no table")]
)
def test_a_path_without_tables_is_an_error(tmp_path: Path, name: str, reason: str) -> None:
    write(tmp_path / "notes.txt", "")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=reason):
        table_files(tmp_path / name)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    texts: list[Any] = [f"{n} " + "words " * 40 for n in range(40_000)]  # 10 MB
    if name == "a.parquet":
        pq.write_table(pa.table({"a": texts}), path, row_group_size=1000)
    elif name == "a.csv":
        write(path, as_csv([("a",), *((text,) for text in texts)]))
    else:
        write(path, "".join(json.dumps({"a": text}) + "\n" for text in texts))
    del texts
    tracemalloc.start()
    assert sum(1 for _ in read_rows(path, ("a",))) == 40_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000  # bytes: the file has 10 million
