from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data import group_tables
from likewise.data.group_tables import (
    OLD_COLUMNS,
    Bucket,
    Conflict,
    deduplicate,
    drop_single,
    merge,
    repair,
    summary,
    tables_at,
)
from likewise.data.image_refs import image_digest
from likewise.data.payloads import IMAGES
from likewise.data.street_view import COLUMNS
from likewise.errors import DataError


def images(payloads: Iterable[bytes]) -> pa.Array[Any]:
    return pa.array([{"path": None, "bytes": data, "digest": image_digest(data), "look": b"l"} for data in payloads], IMAGES)


def items(ids: Sequence[str], groups: Sequence[str | None], **columns: Any) -> pa.Table:
    """Items whose image is their id, unless `image` says otherwise."""
    image = images(columns.pop("image", [name.encode() for name in ids]))
    texts = {"id": pa.array(ids, pa.string()), "group": pa.array(groups, pa.string())}
    return pa.table({**texts, "shard": pa.array(["s"] * len(ids), pa.string()), "image": image, **columns})


def write(path: Path, table: pa.Table, rows: int = 64) -> Path:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path, row_group_size=rows)
    return path


def read(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.iterdir())], promote_options="default")


def two_tables(folder: Path) -> list[Path]:
    first = items(["a", "b", "c"], ["x", "x", "y"], width=[1, 2, 3])
    second = items(["d", "e"], [None, "y"], camera=["left", None])
    return [write(folder / "1.parquet", first), write(folder / "2.parquet", second)]


# Which tables


def test_files_and_folders_are_named(tmp_path: Path) -> None:
    first, second = two_tables(tmp_path / "in")
    (tmp_path / "in" / ".hidden.parquet").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_bytes(b"")
    assert tables_at([tmp_path / "in"]) == [first, second] == tables_at([first, second])


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "No table is named"),
        (["absent.parquet"], "does not exist"),
        (["empty"], "holds no .parquet file"),
        (["in", "in/../in/1.parquet"], "is named twice"),
    ],
)
def test_tables_that_cannot_be_named(tmp_path: Path, names: list[str], reason: str) -> None:
    two_tables(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=reason):
        tables_at([tmp_path / name for name in names])


# Merge


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
        f'The column "width" is null for the rows of {paths[1]}, which do not have it.',
        f'The column "camera" is null for the rows of {paths[0]}, which do not have it.',
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


# Deduplicate


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


# Drop small groups


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


rows_of_items = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["x", "y", "z", None])), max_size=30)


@given(rows_of_items, rows_of_items, st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_against_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[str, str | None]],
    second: list[tuple[str, str | None]],
    least: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    rows = [*first, *second]
    tables = [items([name for name, _ in part], [group for _, group in part]) for part in (first, second)]
    paths = [write(folder / f"{n}.parquet", table, rows=3) for n, table in enumerate(tables)]
    members = {group: {name for name, of in rows if of == group} for _, group in rows if group is not None}

    def pairs(target: str) -> list[tuple[str, str | None]]:
        table = read(folder / target)
        return list(zip(table["id"].to_pylist(), table["group"].to_pylist(), strict=True))

    merge(paths, folder / "merged", rows_per_file=7)
    assert pairs("merged") == rows
    drop_single(paths, folder / "groups", at_least=least)
    assert pairs("groups") == [(name, group) for name, group in rows if group is None or len(members[group]) >= least]
    deduplicate(paths, folder / "distinct")
    assert pairs("distinct") == [row for place, row in enumerate(rows) if row[0] not in {name for name, _ in rows[:place]}]
    found = summary(paths)
    sizes = sorted(len(each) for each in members.values())
    assert (found.rows, found.ids, found.groups) == (len(rows), len({name for name, _ in rows}), len(members))
    assert found.without_group == sum(group is None for _, group in rows)
    if sizes:
        per_group = found.images_per_group
        assert per_group is not None
        assert (per_group.least, per_group.most, per_group.median) == (sizes[0], sizes[-1], np.median(sizes))
        assert per_group.mean == pytest.approx(np.mean(sizes))
        assert {each: each.groups for each in per_group.histogram} == {
            each: sum(each.low <= size <= each.high for size in sizes) for each in per_group.histogram
        }
        assert sum(each.groups for each in per_group.histogram) == len(sizes)


# Summary


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


# Repair


def repaired(path: Path, **options: Any) -> tuple[pa.Table, Any]:
    """The table as repaired into a folder, and the report; the table repaired in place, and again, is the same."""
    target = path.parent / "repaired"
    report = repair([path], target, **options)
    table = read(target)
    assert repair([path], dry_run=True).tables == report.tables
    again = repair([target], path.parent / "again")
    assert not any(each.changed for each in again.tables)
    assert read(path.parent / "again").equals(table)
    return table, report


def test_old_columns_get_their_names_and_types_of_today(tmp_path: Path) -> None:
    old = {
        "image_id": [7, 8],
        "building_id": [1.0, None],
        "jpg": [b"one", b"two"],
        "image_path": ["1.jpg", "2.jpg"],
        "lat": [48, 49],
        "lng": ["2.5", "3"],
        "heading": pa.array([90, 180], pa.float32()),
        "filename": ["1.jpg", "2.jpg"],
        "note": pa.array(["n", None]).dictionary_encode(),
    }
    table, report = repaired(write(tmp_path / "1.parquet", pa.table(old)))
    assert table.to_pydict() == {
        "id": ["7", "8"],
        "group": ["1", None],
        "target_latitude": [48.0, 49.0],
        "target_longitude": [2.5, 3.0],
        "heading": [90.0, 180.0],
        "filename": ["1.jpg", "2.jpg"],
        "note": ["n", None],
        "image": [
            {"path": "1.jpg", "bytes": b"one", "digest": image_digest(b"one"), "look": None},
            {"path": "2.jpg", "bytes": b"two", "digest": image_digest(b"two"), "look": None},
        ],
    }
    assert table.schema.field("image").type == IMAGES
    assert all(table.schema.field(name).type == COLUMNS[name] for name in ("target_latitude", "target_longitude", "heading"))
    (one,) = report.tables
    assert (one.rows, one.digests_filled, one.digests_corrected) == (2, 2, 0)
    assert report.sentences()[0] == "1 of 1 table repaired."
    for what in (
        '"image_id" is now "id"',
        '"id" is cast from int64 to string',
        '"jpg" is now "image.bytes"',
        '"image_path" is now "image.path"',
        '"group" is cast from double to string',
        "2 digests filled in",
    ):
        assert what in report.sentences()[1]


def test_ids_of_a_dataset_are_made_of_both_numbers(tmp_path: Path) -> None:
    """Target 5 of dataset 1 is another building than target 5 of dataset 2."""
    old = {"dataset_id": [1, 2], "target_id": [5, 5], "patch_id": pa.array([9, 9], pa.int32()), "img": [b"a", b"b"]}
    table, _ = repaired(write(tmp_path / "1.parquet", pa.table(old)))
    assert table.drop_columns(["image"]).to_pydict() == {
        "dataset": [1, 2],
        "target": [5, 5],
        "patch": [9, 9],
        "group": ["0001_5", "0002_5"],
        "id": ["0001_9", "0002_9"],
    }
    assert table.schema.field("patch").type == pa.int64()


def test_numbers_of_a_dataset_as_texts_are_not_taken_for_groups(tmp_path: Path) -> None:
    path = write(tmp_path / "1.parquet", pa.table({"dataset_id": [1, 2], "target_id": ["1_5", "5"], "id": ["a", "b"]}))
    with pytest.raises(DataError, match=r'has "5" as its target_id in row 2, which is unique within a dataset only'):
        repair([path], dry_run=True)
    whole = {"dataset_id": [1, 2], "target_id": ["0001_5", "0002_5"], "id": ["a", "b"]}
    table, _ = repaired(write(tmp_path / "in" / "1.parquet", pa.table(whole)))
    assert table["group"].to_pylist() == ["0001_5", "0002_5"]


def test_names_of_today_are_left_alone(tmp_path: Path) -> None:
    """A text in a column that street views have for a number, and the pixels of a picture, are neither renamed nor cast."""
    path = write(
        tmp_path / "1.parquet", items(["a"], ["x"], target=["cat"], dataset=["train"], height=[480], lat=[1], pitch=["A"])
    )
    table, report = repaired(path)
    assert '"lat" is now "target_latitude"' in report.sentences()[1]
    assert table.drop_columns(["image", "shard", "target_latitude"]).to_pydict() == {
        "id": ["a"],
        "group": ["x"],
        "target": ["cat"],
        "dataset": ["train"],
        "height": [480],
        "pitch": ["A"],
    }
    assert set(OLD_COLUMNS).isdisjoint(COLUMNS)
    assert {new for new in OLD_COLUMNS.values() if "." not in new} <= {"id", "group", *COLUMNS}


@pytest.mark.parametrize(
    "image",
    [
        pa.array([b"a", b"b"]),
        pa.array([b"a", b"b"], pa.large_binary()),
        pa.array([{"bytes": b"a", "path": "a.jpg"}, {"bytes": b"b", "path": None}]),
        pa.array([{"path": None, "bytes": b"a", "digest": image_digest(b"a")}, {"path": None, "bytes": b"b", "digest": None}]),
        pa.array([{"path": None, "bytes": b"a", "digest": b"wrong", "look": b"l"}, {"bytes": b"b"}], IMAGES),
    ],
)
def test_images_get_all_their_parts(tmp_path: Path, image: pa.Array[Any]) -> None:
    table, report = repaired(write(tmp_path / "1.parquet", pa.table({"id": ["1", "2"], "image": image})))
    assert table.schema.field("image").type == IMAGES
    parts = table["image"].to_pylist()
    assert [each["bytes"] for each in parts] == [b"a", b"b"]
    assert [each["digest"] for each in parts] == [image_digest(b"a"), image_digest(b"b")]
    assert report.tables[0].digests_filled + report.tables[0].digests_corrected >= 1


def test_images_elsewhere_keep_their_digest(tmp_path: Path) -> None:
    elsewhere = [{"path": "/a.jpg", "digest": image_digest(b"a")}]
    table, report = repaired(write(tmp_path / "1.parquet", pa.table({"id": [1], "image": elsewhere})))
    assert table["image"].to_pylist() == [{"path": "/a.jpg", "bytes": None, "digest": image_digest(b"a"), "look": None}]
    assert (report.tables[0].digests_filled, report.tables[0].digests_corrected) == (0, 0)


def test_a_table_of_today_is_not_changed(tmp_path: Path) -> None:
    path = two_tables(tmp_path)[0]
    before = path.stat()
    report = repair([path])
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert report.sentences() == ["0 of 1 table repaired."]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "1.parquet", pa.table({"image_id": [1]}))
    before = path.read_bytes()
    for target in (None, tmp_path / "out"):
        report = repair([path], target, dry_run=True)
        assert report.sentences()[0] == "1 of 1 table to be repaired."
        assert [each.name for each in tmp_path.iterdir()] == ["in"]
        assert path.read_bytes() == before


def test_in_place_all_tables_are_read_before_one_is_written(tmp_path: Path) -> None:
    good = write(tmp_path / "1.parquet", pa.table({"image_id": [1]}))
    bad = write(tmp_path / "2.parquet", pa.table({"image_id": [1, None]}))
    before = good.read_bytes()
    with pytest.raises(DataError, match="has no id in row 2"):
        repair([tmp_path])
    assert good.read_bytes() == before
    bad.unlink()
    repair([tmp_path])
    assert pq.read_table(good).to_pydict() == {"id": ["1"]}
    assert [path.name for path in tmp_path.iterdir()] == ["1.parquet"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"name": ["a"]}, 'has no column "id"'),
        ({"image_id": [1.5]}, 'has in its column "image_id", rows 1 to 1, what cannot be cast to string'),
        ({"image_id": [b"\xff"]}, "what cannot be cast to string"),
        ({"image_id": [""]}, "has no id in row 1"),
        ({"id": ["a"], "lat": ["north"]}, "what cannot be cast to double"),
        ({"id": ["a"], "dataset_id": [1], "target_id": [["b"]]}, "what cannot be cast to string"),
        ({"id": ["a"], "dataset_id": ["one"], "target_id": [5]}, 'in its column "dataset_id"'),
        ({"id": ["a"], "dataset_id": [1], "target_id": [5], "target": [5]}, 'has "5" as its target_id in row 1'),
        ({"id": ["a"], "image": ["a.jpg"]}, 'has string in its column "image", not encoded images'),
        ({"id": ["a"], "image": [{"bytes": b"a", "pixels": 1}]}, 'the unknown part "pixels"'),
        ({"id": ["a"], "image": [{"bytes": None, "path": "a.jpg"}]}, "neither image bytes nor their digest in row 1"),
        ({"id": ["a"], "image": [{"bytes": None, "digest": b"short"}]}, "neither image bytes nor their digest in row 1"),
        ({"id": ["a"], "jpg": pa.array([None], pa.binary())}, "neither image bytes nor their digest in row 1"),
    ],
)
def test_what_cannot_be_repaired(tmp_path: Path, columns: Mapping[str, Any], reason: str) -> None:
    path = write(tmp_path / "1.parquet", pa.table(columns))
    before = path.read_bytes()
    for target in (None, tmp_path / "out"):
        with pytest.raises(DataError, match=reason) as caught:
            repair([path], target)
        assert str(path) in str(caught.value)
        assert path.read_bytes() == before
        assert [each.name for each in tmp_path.iterdir()] == ["1.parquet"]


# All of them

WORKS: dict[str, Callable[[Sequence[Path], Path], Any]] = {
    "merge": merge,
    "deduplicate": deduplicate,
    "drop_single": drop_single,
    "repair": repair,
    "summary": lambda paths, target: summary(paths),
}
WRITING = [name for name in WORKS if name != "summary"]


@pytest.mark.parametrize("name", WRITING)
def test_a_target_that_is_there_is_not_touched(tmp_path: Path, name: str) -> None:
    paths = two_tables(tmp_path / "in")
    (tmp_path / "out").mkdir()
    WORKS[name](paths, tmp_path / "out")  # an empty folder may be filled
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    for target in (tmp_path / "out", tmp_path / "in", paths[0]):
        with pytest.raises(DataError, match="is there already"):
            WORKS[name](paths, target)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before


@pytest.mark.parametrize("name", WRITING)
def test_row_groups_are_small_and_pages_have_checksums(tmp_path: Path, name: str) -> None:
    ids = [f"{n:04d}" for n in range(1000)]
    noise = [np.random.default_rng(n).bytes(200) for n in range(1000)]  # cannot be compressed, so it is found in the file
    table = items(ids, ["x" if n % 3 else None for n in range(1000)], image=noise)
    path = write(tmp_path / "in" / "1.parquet", table, rows=1000)
    WORKS[name]([path], tmp_path / "out")
    (written,) = (tmp_path / "out").iterdir()
    groups = pq.read_metadata(written)
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [64] * 15 + [40]
    assert pq.read_table(written).select(["id"]).equals(pq.read_table(path).select(["id"]))
    damaged = bytearray(written.read_bytes())
    damaged[damaged.index(noise[500][50:100])] ^= 1
    written.write_bytes(damaged)
    with pytest.raises(DataError, match="is damaged after row"):
        WORKS[name]([written], tmp_path / "out2")


MEASURED = """
import sys
from pathlib import Path
import pyarrow as pa
from likewise.data import group_tables

named = [] if sys.argv[1] == "summary" else [Path(sys.argv[3])]
getattr(group_tables, sys.argv[1])([Path(sys.argv[2])], *named)
print(pa.default_memory_pool().max_memory())
"""


@pytest.fixture(scope="module")
def large_tables(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Tables of 100 MB by the rows of a row group: as they are written here, and as others write them."""
    folder = tmp_path_factory.mktemp("large")
    generator = np.random.default_rng(0)
    ids = [str(n) for n in range(5000)]
    table = items(ids, ["x"] * len(ids), image=[generator.bytes(20_000) for _ in ids])
    return {rows: write(folder / f"{rows}.parquet", table, rows) for rows in (64, len(ids))}


@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize(("rows", "most"), [(64, 20_000_000), (5000, 75_000_000)])  # there a page has 1024 rows
def test_memory_does_not_grow_with_the_table(
    tmp_path: Path, large_tables: dict[int, Path], name: str, rows: int, most: int
) -> None:
    path = large_tables[rows]
    assert path.stat().st_size > 100_000_000
    command = [sys.executable, "-c", MEASURED, name, str(path), str(tmp_path / "out")]
    measured = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(measured.stdout) < (most if name != "summary" else 2_000_000)


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
from likewise.data import group_tables

class Dying(pq.ParquetWriter):
    written = 0
    def write_table(self, *arguments, **named):
        super().write_table(*arguments, **named)
        Dying.written += 1
        if Dying.written == 3:
            os.kill(os.getpid(), signal.SIGKILL)

pq.ParquetWriter = Dying
paths = [Path(name) for name in sys.argv[2].split(",")]
target = None if sys.argv[3] == "in place" else Path(sys.argv[3])
getattr(group_tables, sys.argv[1])(paths, target)
"""


@pytest.mark.parametrize("name", [*WRITING, "in place"])
def test_a_killed_writer_leaves_nothing_half_written(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    paths = [
        write(folder / f"{n}.parquet", items([f"{n}-{m}" for m in range(200)], ["x"] * 200).drop_columns(["shard"])) for n in "12"
    ]
    if name == "in place":
        paths = [write(path, pq.read_table(path).rename_columns(["image_id", "group", "image"])) for path in paths]
    before = {path: path.read_bytes() for path in paths}
    target = "in place" if name == "in place" else str(tmp_path / "out")
    command = ["repair" if name == "in place" else name, ",".join(map(str, paths)), target]
    killed = subprocess.run([sys.executable, "-c", KILLED, *command], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert {path: path.read_bytes() for path in paths} == before
    assert tables_at([folder]) == paths  # the unfinished one is hidden
    assert not (tmp_path / "out").exists()
    if name == "in place":
        repair(paths)
        assert pq.read_table(paths[1]).column_names[0] == "id"
    else:
        WORKS[name](paths, tmp_path / "out")
        assert len(read(tmp_path / "out")) == 400


@pytest.mark.parametrize("name", WRITING)
def test_a_failing_disk_leaves_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = two_tables(tmp_path / "in")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(group_tables, "sync_tree", full)
    with pytest.raises(OSError, match="No space"):
        WORKS[name](paths, tmp_path / "out")
    assert os.listdir(tmp_path) == ["in"]


def error_of(work: Callable[[], Any]) -> DataError | None:
    try:
        work()
    except DataError as error:
        return error
    return None


@pytest.mark.parametrize("name", WORKS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damaged_files_are_an_error_or_read(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = write(folder / "1.parquet", items(list("abcd"), ["x", "x", "y", None], width=[1, 2, 3, 4]), rows=2)
    content = bytearray(path.read_bytes())
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 9))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[:cut])
    error = error_of(lambda: WORKS[name]([path], folder / "out"))
    assert error is None or str(path) in str(error)
    assert (folder / "out").exists() == (error is None and name != "summary")
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 3, b"id,group\na,x\n", bytes(1000)])
@pytest.mark.parametrize("name", WORKS)
def test_what_is_no_parquet_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "1.parquet").write_bytes(content)
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        WORKS[name]([tmp_path / "1.parquet"], tmp_path / "out")
    assert os.listdir(tmp_path) == ["1.parquet"]
