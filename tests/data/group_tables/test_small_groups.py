"""Groups that are too small."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pytest

from data.group_tables.tables import items, read, write
from likewise.data.group_tables.small_groups import drop_single
from likewise.errors import DataError


def test_small_groups_are_left_out(tmp_path: Path) -> None:
    first = write(tmp_path / "1.parquet", items(list("abcde"), ["x", "y", "z", None, "x"]))
    second = write(tmp_path / "2.parquet", items(list("fgc"), ["y", "w", "z"]))
    report = drop_single([first, second], tmp_path / "out")
    assert read(tmp_path / "out")["id"].to_pylist() == ["a", "b", "d", "e", "f"]  # c is in z twice, but one image
    assert (report.rows, report.kept, report.without_group, report.groups, report.dropped) == (8, 5, 1, 4, 2)
    assert report.sentences() == [
        "5 of 8 rows kept, in 2 groups.",
        "2 groups of fewer than 2 images left out: z, w.",
        "1 row without a group kept.",
    ]
    report = drop_single([first, second], tmp_path / "out3", at_least=3)
    assert (report.kept, report.dropped) == (1, 4)
    with pytest.raises(DataError, match="at_least is 1"):
        drop_single([first, second], tmp_path / "out1", at_least=1)


def test_groups_may_be_whole_numbers(tmp_path: Path) -> None:
    table = items(list("abc"), ["", "", ""]).set_column(1, "group", pa.array([1, 2, 1]))
    drop_single([write(tmp_path / "1.parquet", table)], tmp_path / "out")
    assert read(tmp_path / "out").select(["id", "group"]).to_pylist() == [{"id": "a", "group": 1}, {"id": "c", "group": 1}]


def test_time_grows_with_the_rows_even_where_all_groups_are_small(tmp_path: Path) -> None:
    """Of 100,000 groups of one image nothing is left: 0.7 seconds, and half a minute if each slice looked at all groups."""
    names = [str(number) for number in range(100_000)]
    path = write(tmp_path / "1.parquet", items(names, names), rows=1000)
    began = time.process_time()
    report = drop_single([path], tmp_path / "out")
    assert (report.kept, report.dropped) == (0, 100_000)
    assert time.process_time() - began < 8


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (items(["a"], ["x"]).drop_columns(["group"]), 'has no column "group"'),
        (items(["a"], ["x"]).set_column(1, "group", pa.array([["x"]])), "has groups of the type list"),
        (items(["a", "b"], ["x", "x"]).set_column(0, "id", pa.array([None, None], pa.string())), "has no id in row 1"),
    ],
)
def test_tables_without_usable_groups(tmp_path: Path, table: pa.Table, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        drop_single([write(tmp_path / "1.parquet", table)], tmp_path / "out")
    assert not (tmp_path / "out").exists()
