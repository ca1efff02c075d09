"""Groups that are too small."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (items(["a"], ["x"]).drop_columns(["group"]), 'has no column "group"'),
        (items(["a"], ["x"]).set_column(1, "group", pa.array([["x"]])), "has groups of the type list"),
    ],
)
def test_tables_without_usable_groups(tmp_path: Path, table: pa.Table, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        drop_single([write(tmp_path / "1.parquet", table)], tmp_path / "out")
    assert not (tmp_path / "out").exists()
