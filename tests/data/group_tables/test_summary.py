"""What tables hold."""

from __future__ import annotations

from pathlib import Path

from data.group_tables.tables import items, write
from likewise.data.group_tables.summary import Bucket, summary


def test_a_summary(tmp_path: Path) -> None:
    groups = ["a"] * 1 + ["b"] * 2 + ["c"] * 3 + ["d"] * 4 + ["e"] * 5 + [None] * 2
    path = write(tmp_path / "1.parquet", items([str(n) for n in range(17)], groups))
    found = summary([tmp_path])
    assert found.bytes == path.stat().st_size
    assert found.images_per_group is not None
    assert found.images_per_group.histogram == (Bucket(1, 1, 1), Bucket(2, 2, 1), Bucket(3, 4, 2), Bucket(5, 8, 1))
    assert found.sentences() == [
        f"1 table of {found.bytes:,} bytes: 17 rows, 17 ids, 5 groups.",
        "2 rows without a group.",
        "Images per group: 1 to 5, median 3, mean 3 (1: 1, 2: 1, 3–4: 2, 5–8: 1).",
    ]


def test_a_summary_without_groups(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", items(["a", "b"], ["x", "x"]).drop_columns(["group", "image"]))
    found = summary([tmp_path])
    assert (found.groups, found.without_group, found.images_per_group) == (0, 2, None)
