"""Tables of pictures, read again: from archives, freed of small groups, into a run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from likewise.artifacts.artifact import Artifact
from likewise.data.corpus import Corpus
from likewise.data.group_tables.merge import merge
from likewise.data.group_tables.repair import repair
from likewise.data.group_tables.small_groups import drop_single
from likewise.data.image_items import ImageItemsSource
from likewise.data.image_refs import image_digest
from likewise.data.ingest import ingest
from likewise.data.options import ImageArchiveOptions, ImageFolderOptions, ImageItemsOptions
from likewise.data.payloads import IMAGES
from likewise.data.pixels import decode
from likewise.errors import DataError
from likewise.testing.artifacts import draft, publish
from likewise.testing.sources import check_source
from likewise.types import Reject
from small_images import picture, write_archive, write_pictures


def line(target: int, patch: int) -> str:
    return f"d 1 {target} {patch} 7 40.7 -74 12 1 0 0 40.8 -74.1 3 50 180 -5 0.5\n"


def read(folder: Path, name: str, **given: object) -> Corpus:
    written = draft(folder, name)
    options = ImageItemsOptions.model_validate(given)
    ingest(written, options)
    return Corpus(publish(written))


def test_what_archives_gave_comes_back_after_tables_were_worked_on(tmp_path: Path) -> None:
    for archive, first in (("a.tar", 0), ("b.tar", 4)):
        pictures = {f"{number}": picture(number) for number in range(first, first + 4)}
        write_archive(tmp_path / archive, pictures, {name: line(int(name) // 3, int(name)) for name in pictures})
    written = draft(tmp_path, "ingest")
    ingest(written, ImageArchiveOptions(path=str(tmp_path), annotations="street_view"))
    before = publish(written)
    merge([before.path], tmp_path / "merged")
    drop_single([tmp_path / "merged"], tmp_path / "kept", at_least=3)
    corpus = read(tmp_path, "again", path=str(tmp_path / "kept"))
    assert list(corpus.ids) == [f"0001_{number}" for number in range(6)], "the last two are a group of two"
    assert corpus.groups is not None
    assert corpus.groups.names == ("0001_0", "0001_1")
    assert corpus.metadata([2])["target_latitude"].to_pylist() == [40.7]
    ref = corpus.payload([5])[0]
    np.testing.assert_array_equal(decode(ref.read(), ref.name), picture(5))
    assert ref.look == Corpus(before).payload([5])[0].look
    check_source(lambda: ImageItemsSource(ImageItemsOptions(path=str(tmp_path / "kept"))))


def test_rows_that_hold_no_picture_are_told_one_by_one(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    Image.fromarray(picture(0)).save(encoded, "png")
    data = [encoded.getvalue(), b"no picture", None, None, None]
    paths = [None, None, str(tmp_path / "there.png"), None, ""]
    (tmp_path / "there.png").write_bytes(encoded.getvalue())
    images = [
        {"path": path, "bytes": each, "digest": image_digest(each or b""), "look": None}
        for path, each in zip(paths, data, strict=True)
    ]
    ids = ["good", "bad", "file", "none", "empty", "null", None, ""]
    columns = {"id": ids, "group": [7, 7, 8, *[None] * 5], "image": pa.array([*images, None, *images[:1] * 2], IMAGES)}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    corpus = read(tmp_path, "rows", path=str(tmp_path / "rows.parquet"), on_bad="reject")
    assert list(corpus.ids) == ["good", "file"]
    rejects = [
        (each.row, each.reason)
        for each in ImageItemsSource(ImageItemsOptions(path=str(tmp_path / "rows.parquet"))).read("rows")
        if isinstance(each, Reject)
    ]
    assert [row for row, _ in rejects] == [2, 4, 5, 6, 7, 8]
    assert [reason for _, reason in rejects[1:]] == ["its image has neither bytes nor a path"] * 3 + ["it has no id"] * 2
    assert corpus.groups is not None
    assert corpus.groups.names == ("7", "8")
    with pytest.raises(DataError, match=r"rows\.parquet.*row 2"):
        read(tmp_path, "stops", path=str(tmp_path / "rows.parquet"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": ["a"], "file": ["x.png"]}, 'has no column "image"'),
        ({"id": [3], "image": pa.array([None], IMAGES)}, "has ids of the type int64"),
        ({"id": ["a"], "image": pa.array([None], IMAGES)}, "row 1: its image has neither bytes nor a path"),
        ({"id": ["a"], "image": ["x.png"]}, "repair the table"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, table: dict[str, object], message: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=message):
        read(tmp_path, "other", path=str(tmp_path / "other.parquet"))


def test_relative_paths_start_from_the_folder_of_their_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        Image.fromarray(picture(ord(name))).save(tmp_path / "in" / f"{name}.png")
    paths = ["a.png", str(tmp_path / "in" / "b.png"), "c.png"]
    encoded = [None, None, (tmp_path / "in" / "a.png").read_bytes()]
    images: list[dict[str, object] | None] = [
        {"path": path, "bytes": data, "digest": bytes(32), "look": None} for path, data in zip(paths, encoded, strict=True)
    ]
    table = pa.table({"id": ["a", "b", "c", "none"], "group": ["x"] * 4, "image": pa.array([*images, None], IMAGES)})
    pq.write_table(table, tmp_path / "in" / "rows.parquet")
    monkeypatch.chdir(tmp_path)
    merge([Path("in")], Path("out/merged"))
    drop_single([Path("out/merged")], Path("kept"))
    pq.write_table(table.slice(0, 3), "in/whole.parquet")
    repair([Path("in/whole.parquet")], Path("out/repaired"))
    Path("in/whole.parquet").unlink()
    for folder in ("in", "out/merged", "kept", "out/repaired"):
        corpus = read(tmp_path, "items", path=folder, on_bad="reject")
        monkeypatch.chdir("/")
        assert list(corpus.ids) == ["a", "b", "c"]
        for ref, seed in zip(corpus.payload(range(3)), "aba", strict=True):
            np.testing.assert_array_equal(decode(ref.read(), ref.name), picture(ord(seed)))
        monkeypatch.chdir(tmp_path)
    told = pq.read_table(tmp_path / "kept")["image"].to_pylist()
    assert [each and each["path"] for each in told] == [str(tmp_path / "in" / "a.png"), paths[1], "c.png", None]


def test_tables_of_ingest_are_read_from_any_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path / "pictures", groups=1, each=3)
    monkeypatch.chdir(tmp_path)
    written = draft(Path(), "ingest")
    ingest(written, ImageFolderOptions(path="pictures"))
    merge([publish(written).path], Path("merged"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    first = Corpus(Artifact(Path("..") / written.path))
    again = read(Path(), "again", path="../merged")
    for corpus in (first, again):
        assert [ref.read() for ref in corpus.payload(range(3))] == [
            (tmp_path / "pictures" / name).read_bytes() for name in corpus.ids
        ]
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in first.ids:  # others, of the same names
        Path("pictures", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(77)).save(Path("pictures", name))
    merge([Path("..") / written.path], Path("again"))
    for corpus in (first, read(Path(), "third", path="again"), read(Path(), "fourth", path=str(Path("..") / written.path))):
        assert [ref.read() for ref in corpus.payload(range(3))] == [
            (tmp_path / "pictures" / name).read_bytes() for name in corpus.ids
        ]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moved").mkdir()
    (tmp_path / "pictures").rename(tmp_path / "moved" / "pictures")
    monkeypatch.chdir(tmp_path / "moved")
    assert len(first.payload([0])[0].read()) > 0, "found from the present working folder"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"0\.jpg cannot be read .*; put it back, or run the recipe again with --fresh"):
        first.payload([0])[0].read()


@pytest.mark.parametrize("manifest", ['{"mine": 1}', "[]", "no JSON"])
def test_another_programs_manifest_is_no_reason_to_stop(manifest: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(picture(1)).save(tmp_path / "in" / "a.png")
    images = pa.array([{"path": "a.png", "bytes": None, "digest": bytes(32), "look": None}], IMAGES)
    pq.write_table(pa.table({"id": ["a"], "group": ["x"], "image": images}), tmp_path / "in" / "items-0.parquet")
    (tmp_path / "in" / "manifest.json").write_text(manifest)
    assert len(read(tmp_path, "items", path=str(tmp_path / "in"))) == 1


@pytest.mark.parametrize("parts", [("bytes", "path"), ("digest", "path", "bytes")])
def test_paths_of_other_programs_tables_are_made_absolute_too(parts: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    type_ = pa.struct([(name, pa.string() if name == "path" else pa.binary()) for name in parts])
    rows = [{"path": "a.png"}, {"path": "named.png", "bytes": b"held"}, None]
    table = pa.table({"id": ["a", "b", "c"], "group": ["x"] * 3, "image": pa.array(rows, type_)})
    pq.write_table(table, tmp_path / "in" / "rows.parquet")
    merge([tmp_path / "in"], tmp_path / "out")
    told = pq.read_table(tmp_path / "out")["image"].to_pylist()
    assert [each and each["path"] for each in told] == [str(tmp_path / "in" / "a.png"), "named.png", None]
