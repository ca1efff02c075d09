"""One row for each id."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from data.group_tables.tables import items, read, write
from likewise.data.group_tables.deduplicate import Conflict, deduplicate
from likewise.data.payloads import IMAGES
from likewise.errors import DataError


def test_a_row_for_each_id(tmp_path: Path) -> None:
    first = write(tmp_path / "1.parquet", items(["a", "b", "a"], ["x", "x", "y"]))
    second = write(tmp_path / "2.parquet", items(["b", "c", "b"], ["z", "z", "z"], image=[b"b", b"a", b"b"]))
    report = deduplicate([first, second], tmp_path / "out")
    assert read(tmp_path / "out").select(["id", "group"]).to_pylist() == [
        {"id": "a", "group": "x"},
        {"id": "b", "group": "x"},
        {"id": "c", "group": "z"},
    ]
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["items-00000.parquet", "items-00001.parquet"]
    assert (report.rows, report.kept, report.repeated, report.conflicts) == (6, 3, 3, ())
    assert report.sentences() == ["3 of 6 rows kept, one for each id.", "3 rows left out as repeated: a, b, b."]


def test_an_id_with_two_images(tmp_path: Path) -> None:
    first = write(tmp_path / "1.parquet", items(["a", "b"], ["x", "x"]))
    second = write(tmp_path / "2.parquet", items(["c", "b"], ["x", "x"], image=[b"c", b"other"]))
    with pytest.raises(DataError) as caught:
        deduplicate([first, second], tmp_path / "out")
    assert f'The id "b" stands for two different images, in {first} and in {second}, row 2' in str(caught.value)
    assert str(caught.value).endswith("or keep the first of them with --on-conflict first.")
    assert not (tmp_path / "out").exists()
    report = deduplicate([first, second], tmp_path / "out", on_conflict="first")
    kept = read(tmp_path / "out")
    assert [each["bytes"] for each in kept["image"].to_pylist()] == [b"a", b"b", b"c"]
    assert report.conflicts == (Conflict("b", first, second),)
    assert (report.rows, report.kept, report.repeated) == (4, 3, 0)
    assert report.sentences()[1] == "1 row left out whose id has another image in an earlier row: b."


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (items(["a"], ["x"]).drop_columns(["image"]), 'has no column "image"'),
        (items(["a"], ["x"]).rename_columns(["ident", "group", "shard", "image"]), 'has no column "id"'),
        (items(["a"], ["x"]).set_column(0, "id", pa.array([7])), "has ids of the type int64"),
        (items(["a"], ["x"]).set_column(3, "image", pa.array([b"a"])), 'has binary as its column "image"'),
        (items(["a"], ["x"]).set_column(3, "image", pa.array([{"bytes": b"a"}])), "repair the table"),
        (items(["a"], ["x"]).set_column(3, "image", pa.array([{"bytes": b"a"}], IMAGES)), "no digest of the image in row 1"),
        (items(["a"], ["x"]).set_column(3, "image", pa.array([None], IMAGES)), "no digest of the image in row 1"),
        (items(["a"], ["x"]).set_column(0, "id", pa.array([None], pa.string())), "has no id in row 1"),
        (items(["a", ""], ["x", "x"]), "has no id in row 2"),
        (items(["a"], ["x"]).append_column("id", pa.array(["b"])), 'several columns called "id"'),
    ],
)
def test_tables_that_cannot_be_deduplicated(tmp_path: Path, table: pa.Table, reason: str) -> None:
    path = write(tmp_path / "1.parquet", table)
    with pytest.raises(DataError, match=reason) as caught:
        deduplicate([path], tmp_path / "out")
    assert str(path) in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["1.parquet"]
