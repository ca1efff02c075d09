"""Older tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.group_tables.tables import items, read, two_tables, write
from likewise.artifacts.draft import Draft
from likewise.artifacts.run import Run
from likewise.data.group_tables.old_columns import OLD_COLUMNS
from likewise.data.group_tables.repair import repair
from likewise.data.image_refs import image_digest
from likewise.data.payloads import IMAGES
from likewise.data.street_view import COLUMNS
from likewise.errors import DataError


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


def test_a_table_of_a_run_is_not_repaired_in_place(tmp_path: Path) -> None:
    def ingested(draft: Draft, options: object) -> None:
        draft.write_table("items-00000.parquet", items(["a"], ["x"], lat=[1.0]))

    with Run(tmp_path / "run") as r:
        artifact = r.stage(ingested, {}, name="ingest")
    assert artifact is not None
    assert repair([tmp_path / "run"], dry_run=True).tables[0].changed
    with pytest.raises(DataError, match="belongs to a run"):
        repair([write(tmp_path / "1.parquet", pa.table({"image_id": ["a"]})), tmp_path / "run"])
    artifact.verify()
    assert pq.read_schema(tmp_path / "1.parquet").names == ["image_id"]
    repair([tmp_path / "run"], tmp_path / "out")
    assert "target_latitude" in read(tmp_path / "out").column_names


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
