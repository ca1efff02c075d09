"""Several tables as one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.group_tables.tables import items, read, two_tables, write
from likewise.data.group_tables.merge import merge
from likewise.data.payloads import IMAGES
from likewise.errors import DataError


@pytest.mark.parametrize("rows_per_file", [1, 2, 3, 5, 100])
def test_merged_tables_hold_all_rows_and_columns(tmp_path: Path, rows_per_file: int) -> None:
    paths = two_tables(tmp_path / "in")
    report = merge(paths, tmp_path / "out", rows_per_file=rows_per_file)
    written = sorted((tmp_path / "out").iterdir())
    assert [pq.read_metadata(path).num_rows for path in written] == [
        min(rows_per_file, 5 - start) for start in range(0, 5, rows_per_file)
    ]
    merged = read(tmp_path / "out")
    assert merged.column_names == ["id", "group", "shard", "image", "width", "camera"]
    assert merged["id"].to_pylist() == ["a", "b", "c", "d", "e"]
    assert merged["width"].to_pylist() == [1, 2, 3, None, None]
    assert merged["camera"].to_pylist() == [None, None, None, "left", None]
    assert merged["image"].type == IMAGES
    assert [each["bytes"] for each in merged["image"].to_pylist()] == [b"a", b"b", b"c", b"d", b"e"]
    assert (report.tables, report.written, report.rows) == (2, len(written), 5)
    assert report.missing == {"width": (paths[1],), "camera": (paths[0],)}
    assert report.sentences() == [
        f"5 rows of 2 tables written to {len(written)} table{'s' if len(written) > 1 else ''}.",
        f'The column "width" is missing in 1 of 2 tables, such as {paths[1]}, and null for the rows from there.',
        f'The column "camera" is missing in 1 of 2 tables, such as {paths[0]}, and null for the rows from there.',
    ]


def test_one_type_for_a_column(tmp_path: Path) -> None:
    first = write(tmp_path / "1.parquet", items(["a"], ["x"], width=[1]))
    second = write(tmp_path / "2.parquet", items(["b"], ["x"], width=["1"]))
    with pytest.raises(DataError) as caught:
        merge([first, second], tmp_path / "out")
    assert f'The column "width" is int64 in {first} and string in {second}' in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.parquet", "2.parquet"]


def test_other_programs_types_for_the_same_values(tmp_path: Path) -> None:
    plain = items(["a"], ["x"], camera=["left"], note=pa.nulls(1))
    large = pa.struct([(field.name, pa.large_binary() if field.name == "bytes" else field.type) for field in IMAGES])
    other = items(["b"], ["x"], camera=pa.array(["left"]).dictionary_encode(), note=pa.array(["n"], pa.large_string()))
    other = other.set_column(3, "image", other["image"].cast(large))
    merge([write(tmp_path / "1.parquet", plain), write(tmp_path / "2.parquet", other)], tmp_path / "out")
    merged = read(tmp_path / "out")
    assert merged.schema.field("image").type == IMAGES
    assert merged.schema.field("camera").type == merged.schema.field("note").type == pa.string()
    assert merged["note"].to_pylist() == [None, "n"]


def test_nothing_to_merge(tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "1.parquet", items([], []))
    report = merge([path], tmp_path / "out")
    assert (report.rows, report.written) == (0, 1)
    assert read(tmp_path / "out").schema.names == ["id", "group", "shard", "image"]
    with pytest.raises(DataError, match="rows_per_file is 0"):
        merge([path], tmp_path / "out2", rows_per_file=0)


def test_columns_that_many_tables_lack_take_a_line_each(tmp_path: Path) -> None:
    for number in range(12):
        write(
            tmp_path / "in" / f"{number:02d}.parquet", items([f"{number}"], ["x"], **({} if number % 4 else {"a": [1], "b": [2]}))
        )
    told = merge([tmp_path / "in"], tmp_path / "out").sentences()[1:]
    assert told == [
        f'The column "{name}" is missing in 9 of 12 tables, such as {tmp_path}/in/01.parquet, and null for the rows from there.'
        for name in "ab"
    ]
