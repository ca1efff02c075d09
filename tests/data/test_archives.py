"""Archives of pictures, from the tar to the corpus."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.artifacts.artifact import Artifact
from likewise.data import images
from likewise.data.archives import ImageArchiveSource
from likewise.data.corpus import Corpus
from likewise.data.image_refs import image_digest
from likewise.data.ingest import ingest
from likewise.data.options import ImageArchiveOptions
from likewise.data.pixels import decode
from likewise.errors import DataError
from likewise.testing.artifacts import draft, publish
from likewise.testing.sources import check_source
from small_images import picture, write_archive


def line(target: int, patch: int, dataset: int = 1) -> str:
    return f"a something else\nd {dataset} {target} {patch} 7 40.7 -74 12 1 0 0 40.8 -74.1 3 50 180 -5 0.5\n"


def written(folder: Path) -> Path:
    """Two archives: of three pictures of two buildings, and of one more."""
    folder.mkdir()
    pictures = {f"v/{number}": picture(number) for number in range(3)}
    write_archive(folder / "a.tar", pictures, {f"v/{number}": line(number // 2, number + 100) for number in range(3)})
    write_archive(folder / "b.tar.gz", {"w/9": picture(9)}, {"w/9": line(5, 109, dataset=2)})
    return folder


def ingested(folder: Path, told: list[str] | None = None, **given: Any) -> Artifact:
    unfinished = draft(folder, "ingest")
    if told is not None:
        unfinished.say = told.append  # type: ignore[method-assign]
    ingest(unfinished, ImageArchiveOptions(**given))
    return publish(unfinished)


def test_annotated_pictures_have_the_ids_and_groups_of_their_lines(tmp_path: Path) -> None:
    corpus = Corpus(ingested(tmp_path, path=str(written(tmp_path / "tars")), annotations="street_view"))
    assert [shard.name for shard in corpus.shards] == ["a.tar", "b.tar.gz"]
    assert list(corpus.ids) == ["0001_100", "0001_101", "0001_102", "0002_109"]
    rows = corpus.metadata(range(4)).to_pylist()
    assert [row["group"] for row in rows] == ["0001_0", "0001_0", "0001_1", "0002_5"]
    assert (rows[0]["target_latitude"], rows[0]["distance"], rows[0]["roll"]) == (40.7, 50, 0.5)
    ref = corpus.payload([3])[0]
    assert ref.path == "w/9.png"
    np.testing.assert_array_equal(decode(ref.read(), ref.name), picture(9))


def test_references_take_no_memory_until_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tars"
    folder.mkdir()
    write_archive(folder / "a.tar", {f"{number:02}": picture(number) for number in range(70)}, {})  # more than a row group
    corpus = Corpus(ingested(tmp_path, path=str(folder)))
    refs = corpus.payload(range(70))
    assert "image.bytes" not in {name for _, name in corpus._parts._held}
    assert all(ref.data is None for ref in refs)
    again = pickle.loads(pickle.dumps(refs[69]))
    for number, ref in ((3, refs[3]), (69, refs[69]), (69, again)):
        data = ref.read()
        assert image_digest(data) == ref.key
        np.testing.assert_array_equal(decode(data, ref.name), picture(number))


def test_the_contract_of_sources(tmp_path: Path) -> None:
    folder = written(tmp_path / "tars")
    for kind in ("none", "street_view"):
        check_source(lambda given=kind: ImageArchiveSource(ImageArchiveOptions(path=str(folder), annotations=given)))


def test_pictures_without_annotations(tmp_path: Path) -> None:
    folder = written(tmp_path / "tars")
    corpus = Corpus(ingested(tmp_path, path=str(folder / "a.tar"), group_from_folder=True))
    assert list(corpus.ids) == ["v/0.png", "v/1.png", "v/2.png"]
    assert set(corpus.metadata(range(3))["group"].to_pylist()) == {"v"}


def test_bad_members_are_rejected_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    pictures = {"good": picture(0), "wrong": picture(1), "alone": picture(2)}
    write_archive(path, pictures, {"good": line(1, 1), "wrong": "d 1 2 3\n"})
    with tarfile.open(path, "a") as archive:
        for name, data in (
            ("broken.png", b"no picture"),
            ("broken.txt", line(3, 3).encode()),
            ("../out.png", b"x"),
            ("._meta", b"x"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    told: list[str] = []
    artifact = ingested(tmp_path, told, path=str(path), annotations="street_view", on_bad="reject")
    counts = artifact.json("counts.json")
    assert (counts["items"], counts["rejected"]) == (1, 4)
    reasons = " ".join(artifact.table("rejects.parquet")["reason"].to_pylist())
    for part in ("wrong.txt", "alone", "broken.png", ".."):
        assert part in reasons
    assert any("passed over" in sentence for sentence in told)
    told.clear()
    ingested(tmp_path, told, path=str(path), on_bad="reject")
    assert f"{path}: passed over files that end in .txt: 3." in told
    assert not (tmp_path.parent / "out.png").exists()
    with pytest.raises(DataError, match="on_bad"):
        ingested(tmp_path, path=str(path), annotations="street_view")


def test_an_archive_that_ends_early_leaves_nothing_half_written(tmp_path: Path) -> None:
    folder = written(tmp_path / "tars")
    whole = (folder / "a.tar").read_bytes()
    (folder / "a.tar").write_bytes(whole[: len(whole) // 2])
    unfinished = draft(tmp_path, "ingest")
    with pytest.raises(DataError, match=r"a\.tar .*; fetch or pack the archive again, or set on_bad"):
        ingest(unfinished, ImageArchiveOptions(path=str(folder), annotations="street_view"))
    assert not unfinished.has("items-00000.parquet")
    (folder / "a.tar").write_bytes(whole)
    ingest(unfinished, ImageArchiveOptions(path=str(folder), annotations="street_view"))
    assert len(Corpus(publish(unfinished))) == 4


def test_a_damaged_archive_is_left_out_whole_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SLICE", 2)  # some of its pictures are written before the damage shows
    folder = written(tmp_path / "tars")
    whole = (folder / "a.tar").read_bytes()
    write_archive(folder / "a.tar", {f"v/{number}": picture(number) for number in range(3)}, {"v/0": line(0, 100)})
    with tarfile.open(folder / "a.tar", "a") as archive:
        archive.addfile(tarfile.TarInfo("last.png"))
    (folder / "a.tar").write_bytes((folder / "a.tar").read_bytes()[:-9000])
    told: list[str] = []
    given = {"path": str(folder), "annotations": "street_view", "on_bad": "reject"}
    artifact = ingested(tmp_path, told, **given)
    corpus = Corpus(artifact)
    assert list(corpus.ids) == ["0002_109"]
    assert [len(shard) for shard in corpus.shards] == [0, 1]
    counts = artifact.json("counts.json")
    assert (counts["rows"], counts["accepted"], counts["rejected"]) == (2, 1, 1)
    [reject] = artifact.table("rejects.parquet").to_pylist()
    assert "none of its pictures is used" in reject["reason"]
    assert reject["reason"] in told[-1]
    np.testing.assert_array_equal(decode(corpus.payload([0])[0].read(), "9.png"), picture(9))
    (folder / "a.tar").write_bytes(whole)
    assert len(Corpus(ingested(tmp_path, **given))) == 4


@pytest.mark.parametrize("name", ["nowhere.tar", "."])
def test_where_there_is_no_archive(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist|holds no archive"):
        ImageArchiveSource(ImageArchiveOptions(path=str(tmp_path / name))).shards()
