"""Pictures read in from folders and tables: what is kept of them, and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heard import Heard
from likewise import stages
from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.artifacts.run import Run
from likewise.data.corpus import Corpus
from likewise.data.fingerprints import fingerprint
from likewise.data.image_refs import ImageRef
from likewise.data.images import ImageFolderSource, ImageTableSource
from likewise.data.ingest import ingest
from likewise.data.options import FingerprintOptions, ImageFolderOptions, ImageTableOptions
from likewise.errors import DataError
from likewise.testing.artifacts import draft, publish
from likewise.testing.sources import check_source
from likewise.types import Items, Reject, Remark
from small_images import picture, thermal, write_frames, write_pictures


def ingested(folder: Path, options: Any) -> Artifact:
    unfinished = draft(folder, "ingest")
    ingest(unfinished, options)
    return publish(unfinished)


def test_a_folder_of_folders(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures")
    corpus = Corpus(ingested(tmp_path, ImageFolderOptions(path=str(root), group_from_folder=True)))
    assert [shard.name for shard in corpus.shards] == ["group0", "group1", "group2"]
    assert corpus.ids[:4] == ["group0/0.jpg", "group0/1.png", "group0/2.webp", "group0/3.jpg"]
    refs = corpus.payload([0, 5])
    assert all(isinstance(ref, ImageRef) and ref.data is None and ref.look for ref in refs)
    assert refs[1].read() == (root / "group1" / "1.png").read_bytes()
    told = corpus.metadata(range(12)).to_pylist()
    assert [row["group"] for row in told] == ["group0"] * 4 + ["group1"] * 4 + ["group2"] * 4
    assert (told[0]["format"], told[0]["width"], told[0]["height"], told[0]["bits"]) == ("JPEG", 120, 90, 8)
    assert np.isnan(told[0]["lowest"])


def test_the_contract_of_sources(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=2, each=2)
    check_source(lambda: ImageFolderSource(ImageFolderOptions(path=str(root))))
    table(tmp_path, root)
    check_source(lambda: ImageTableSource(ImageTableOptions(path=str(tmp_path / "pictures.csv"), images=str(root))))


def table(folder: Path, root: Path, **columns: str) -> Path:
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*"))
    lines = ["id,path,house", *(f"p{number},{path},{path.split('/')[0]}" for number, path in enumerate(paths))]
    (folder / "pictures.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "pictures.csv"


def test_a_table(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures")
    given = {"path": str(table(tmp_path, root)), "images": str(root), "group": "house"}
    corpus = Corpus(ingested(tmp_path, ImageTableOptions(**given)))
    assert corpus.ids[:2] == ["p0", "p1"]
    assert set(corpus.metadata(range(12))["group"].to_pylist()) == {"group0", "group1", "group2"}
    few = Corpus(ingested(tmp_path, ImageTableOptions(**given, sample_size=5)))
    assert len(few) == 5
    assert set(few.ids) <= set(corpus.ids)
    with pytest.raises(DataError, match=r'has no column "owner"'):
        ingested(tmp_path, ImageTableOptions(**{**given, "group": "owner"}))


@pytest.mark.parametrize("kind", ["cut", "text", "empty", "missing"])
def test_what_cannot_be_decoded_stops_or_is_rejected(kind: str, tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=1)
    bad = root / "group0" / "0.jpg"
    where = table(tmp_path, root)
    if kind == "missing":
        bad.unlink()
    else:
        bad.write_bytes({"cut": bad.read_bytes()[:-30], "text": b"%!PS-Adobe-3.0 EPSF-3.0", "empty": b""}[kind])
    options = ImageTableOptions(path=str(where), images=str(root))
    with pytest.raises(DataError, match=r"pictures\.csv, row 2: .*0\.jpg.*; .*on_bad = \"reject\""):
        ingested(tmp_path, options)
    artifact = ingested(tmp_path, options.model_copy(update={"on_bad": "reject"}))
    counts = artifact.json("counts.json")
    assert (counts["rows"], counts["accepted"], counts["rejected"], counts["items"]) == (4, 3, 1, 3)
    (row,) = artifact.table("rejects.parquet").to_pylist()
    assert "0.jpg" in row["reason"]


def test_frames_of_16_bits_are_told_with_their_range(tmp_path: Path) -> None:
    root = write_frames(tmp_path / "frames")
    Image.fromarray(thermal(0).byteswap()).save(root / "swapped.png")
    corpus = Corpus(ingested(tmp_path, ImageFolderOptions(path=str(root))))
    rows = corpus.metadata(range(6)).to_pylist()
    first = thermal(0)
    assert (rows[0]["lowest"], rows[0]["highest"], rows[0]["distinct"]) == (first.min(), first.max(), len(np.unique(first)))
    assert [row["swapped"] for row in rows] == [False] * 5 + [True]
    assert {row["bits"] for row in rows} == {16}


def test_new_pictures_are_added_without_reading_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.data import images
    from likewise.pipeline import run

    root = write_pictures(tmp_path / "pictures", groups=2)
    recipe = recipe_of(root)
    run(recipe, tmp_path / "run", until="ingest")
    read: list[str] = []
    usual = images.read_file
    monkeypatch.setattr(images, "read_file", lambda path: read.append(path.as_posix()) or usual(path))
    shutil.copytree(root / "group1", root / "group2")
    artifact = run(recipe, tmp_path / "run", until="ingest").finished["ingest"]
    assert len(read) == 4
    assert all("/group2/" in path for path in read)
    assert artifact.json("counts.json")["items"] == 12


def recipe_of(root: Path, **sections: Any) -> Any:
    from likewise.config import validated

    ingest, encoder = {"kind": "image_folder", "path": str(root)}, {"kind": "image", "model": "nobody/nothing"}
    return validated({"name": "pictures", "ingest": ingest, "encoder": encoder, **sections}, "pictures")


def test_near_duplicates_are_found_whatever_their_format(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=1)
    image = Image.fromarray(picture(99, 200, 300))
    image.save(root / "group0" / "a.png")
    image.resize((150, 100)).save(root / "group0" / "b.jpg", quality=60)
    shutil.copy(root / "group0" / "a.png", root / "group0" / "c.png")
    corpus = Corpus(ingested(tmp_path, ImageFolderOptions(path=str(root))))
    unfinished = draft(tmp_path, "fingerprint")
    fingerprint(unfinished, FingerprintOptions(), corpus)
    found = publish(unfinished)
    classes = np.array(found.array("classes.npy"))
    assert classes[4] == classes[5] == classes[6] == 4
    assert len(set(classes.tolist())) == 5
    counts = found.json("counts.json")
    assert (counts["joined"], counts["equal"], counts["alike"]) == (2, 1, 1)
    assert sorted(found.table("joined.parquet")["row"].to_pylist()) == [5, 6]


@pytest.mark.parametrize("make", [lambda path: path / "nowhere", lambda path: path])
def test_a_folder_without_pictures(make: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a folder|holds no pictures"):
        ImageFolderSource(ImageFolderOptions(path=str(make(tmp_path)))).shards()


def test_pictures_that_have_gone_leave_the_run(tmp_path: Path) -> None:
    from likewise.pipeline import run

    root = write_pictures(tmp_path / "pictures", groups=2)
    recipe = recipe_of(root)
    run(recipe, tmp_path / "run", until="ingest")
    (root / "group1" / "1.png").unlink()
    corpus = Corpus(run(recipe, tmp_path / "run", until="ingest").finished["ingest"])
    assert len(corpus) == 7
    assert "group1/1.png" not in corpus.ids


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=1)
    for name in ("images", "root", "(root)"):
        shutil.copytree(root / "group0", root / name)
    shutil.copy(root / "group0" / "1.png", root / "one.png")
    corpus = Corpus(ingested(tmp_path, ImageFolderOptions(path=str(root))))
    assert len(corpus) == 17
    assert len({shard.name for shard in corpus.shards}) == 5


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_pictures(tmp_path / "pictures")
    usual = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("group1"):
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"group1 cannot be read \(Permission denied\)"):
        ImageFolderSource(ImageFolderOptions(path=str(root))).shards()


def test_names_that_are_no_text_are_rejected(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=1, each=2)
    shutil.copy(root / "group0" / "1.png", os.fsencode(root) + b"/group0/caf\xe9.png")
    artifact = ingested(tmp_path, ImageFolderOptions(path=str(root), on_bad="reject"))
    assert Corpus(artifact).ids == ["group0/0.jpg", "group0/1.png"]
    (reject,) = artifact.table("rejects.parquet").to_pylist()
    assert "caf\\udce9.png" in reject["file"]
    assert reject["reason"] == "its name is not UTF-8"
    (tmp_path / "names.jsonl").write_text('{"id": "a", "path": "group0/0.jpg"}\n{"id": "b", "path": "no\\u0000thing"}\n')
    options = ImageTableOptions(path=str(tmp_path / "names.jsonl"), images=str(root), on_bad="reject")
    artifact = ingested(tmp_path, options)
    assert Corpus(artifact).ids == ["a"]
    assert "null byte" in artifact.table("rejects.parquet").to_pylist()[0]["reason"]


def test_columns_that_ingest_writes_itself_are_kept_under_other_names(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=1, each=2)
    lines = ["id,path,building,group,width,shard,role", "a,group0/0.jpg,B1,day,old,s1,query", "b,group0/1.png,B2,day,older,s2,x"]
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ImageTableOptions(path=str(tmp_path / "own.csv"), images=str(root), group="building")
    unfinished = draft(tmp_path, "ingest")
    ingest(unfinished, options)
    corpus = Corpus(publish(unfinished))
    rows = corpus.metadata([0, 1]).to_pylist()
    assert [row["group"] for row in rows] == ["B1", "B2"]
    assert [(row["given_group"], row["given_width"], row["width"]) for row in rows] == [
        ("day", "old", 120),
        ("day", "older", 120),
    ]
    assert (rows[0]["given_shard"], rows[0]["given_role"], rows[0]["role"]) == ("s1", "query", "document")
    without = Corpus(ingested(tmp_path, options.model_copy(update={"group": None})))
    assert without.groups is None


def test_a_sample_is_drawn_among_all_tables_and_does_not_depend_on_where_pictures_are(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures")
    (tmp_path / "tables").mkdir()
    for number in range(3):
        lines = [
            "id,path",
            *(f"{number}-{name.parent.name}-{name.name},{name.relative_to(root)}" for name in sorted(root.rglob("*.*"))),
        ]
        (tmp_path / "tables" / f"{number}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ImageTableOptions(path=str(tmp_path / "tables"), images=str(root), sample_size=7)
    assert len(Corpus(ingested(tmp_path, options))) == 7
    few = Corpus(ingested(tmp_path, ImageFolderOptions(path=str(root), sample_size=4))).ids
    moved = root.rename(tmp_path / "elsewhere")
    assert Corpus(ingested(tmp_path, ImageFolderOptions(path=str(moved), sample_size=4))).ids == few


def test_more_folders_than_a_process_may_have_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_pictures(tmp_path / "pictures", groups=6, each=2)
    artifact = ingested(tmp_path, ImageFolderOptions(path=str(root)))
    monkeypatch.setattr("likewise.data.corpus.OPEN_FILES", 2)
    corpus = Corpus(artifact)
    rows = [11, 0, 5, 2, 10, 1]
    assert [ref.read() for ref in corpus.payload(rows)] == [(root / corpus.ids[row]).read_bytes() for row in rows]
    assert len(corpus._parts._open) == 2


def test_a_column_that_is_empty_in_one_table_has_the_type_of_the_others(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=1, each=3)
    (tmp_path / "tables").mkdir()
    files = sorted((root / "group0").iterdir())
    for name, value, file in zip("abc", ("null", "7", "null"), files, strict=True):
        row = f'{{"id": "{name}", "path": "{file.relative_to(root)}", "n": {value}, "none": null}}\n'
        (tmp_path / "tables" / f"{name}.jsonl").write_text(row)
    corpus = Corpus(ingested(tmp_path, ImageTableOptions(path=str(tmp_path / "tables"), images=str(root))))
    assert corpus.metadata(range(3))["n"].to_pylist() == [None, 7, None]
    assert corpus.metadata([0])["n"].type == "int64"
    assert [ref.read() for ref in corpus.payload(range(3))] == [file.read_bytes() for file in files]


def test_columns_that_lose_all_their_values(tmp_path: Path) -> None:
    """Tables a and c were given the type of b; then b has no values either, and a and c are taken over."""
    root = write_pictures(tmp_path / "pictures", groups=1, each=3)
    (tmp_path / "tables").mkdir()
    files = sorted((root / "group0").iterdir())

    def write(name: str, value: str) -> None:
        row = f'{{"id": "{name}", "path": "{files["abc".index(name)]}", "n": {value}}}\n'
        (tmp_path / "tables" / f"{name}.jsonl").write_text(row)

    for name, value in (("a", "null"), ("b", "7"), ("c", "null")):
        write(name, value)
    options = ImageTableOptions(path=str(tmp_path / "tables"))
    with Run(tmp_path / "run") as run:
        run.stage(stages.ingest, options)
    write("b", "null")
    with Run(tmp_path / "run") as run:
        again = run.stage(stages.ingest, options)
    assert again is not None
    corpus = Corpus(again)
    assert corpus.metadata(range(3))["n"].to_pylist() == [None] * 3


def test_a_table_whose_pictures_stand_in_another_one_has_any_type(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=1, each=1)
    (tmp_path / "tables").mkdir()
    for name, value in (("a", "7"), ("b", "null")):
        (tmp_path / "tables" / f"{name}.jsonl").write_text(f'{{"id": "a", "path": "group0/0.jpg", "n": {value}}}\n')
    corpus = Corpus(ingested(tmp_path, ImageTableOptions(path=str(tmp_path / "tables"), images=str(root))))
    assert corpus.metadata([0])["n"].to_pylist() == [7]


def test_columns_of_several_types_are_told(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=1, each=2)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.jsonl").write_text('{"id": "a", "path": "group0/0.jpg", "n": 1}\n')
    (tmp_path / "tables" / "b.jsonl").write_text('{"id": "b", "path": "group0/1.png", "n": "one"}\n')
    with pytest.raises(DataError, match=r'column "n" holds string in b.jsonl and int64 in a.jsonl; write it in one way'):
        ingested(tmp_path, ImageTableOptions(path=str(tmp_path / "tables"), images=str(root)))
    both = '{"id": "a", "path": "group0/0.jpg", "n": 1}\n{"id": "b", "path": "group0/1.png", "n": "one"}\n'
    (tmp_path / "mixed.jsonl").write_text(both)
    with pytest.raises(DataError, match=r'column "n" of mixed.jsonl holds values of several types'):
        ingested(tmp_path, ImageTableOptions(path=str(tmp_path / "mixed.jsonl"), images=str(root)))


def test_pipes_and_files_of_other_kinds_are_passed_over_and_told(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=2, each=2)
    os.mkfifo(root / "group0" / "pipe.png")
    (root / "group1" / "phone.heic").write_bytes(b"x")
    source = ImageFolderSource(ImageFolderOptions(path=str(root)))
    pieces = [piece for shard in source.shards() for piece in source.read(shard)]
    told = [piece.sentence for piece in pieces if isinstance(piece, Remark)]
    assert told == [f"{root}: passed over files that end in .heic: 1.", f"{root}: passed over files that end in .png: 1."]
    assert sum(len(piece) for piece in pieces if isinstance(piece, Items)) == 4
    (root / "group0" / "link.png").symlink_to(tmp_path / "nowhere.png")
    source = ImageFolderSource(ImageFolderOptions(path=str(root)))
    (refused,) = [piece for piece in source.read("group0") if isinstance(piece, Reject)]
    assert "link.png cannot be read (No such file or directory)" in refused.reason
    (tmp_path / "named.csv").write_text("id,path\na,group0/pipe.png\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"pipe\.png is not a file; leave it out"):
        ingested(tmp_path, ImageTableOptions(path=str(tmp_path / "named.csv"), images=str(root)))


def test_nothing_but_rejects_is_an_error(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pictures", groups=1, each=2)
    for path in root.rglob("*.*"):
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"could use none of 2 rows of .*; the first: "):
        ingested(tmp_path, ImageFolderOptions(path=str(root), on_bad="reject"))


def test_what_is_odd_about_pictures_is_said_and_kept(tmp_path: Path) -> None:
    root = write_frames(tmp_path / "frames")
    for name in ("x", "y"):
        Image.fromarray(thermal(0).byteswap()).save(root / f"{name}.png")
    pages = [Image.fromarray(thermal(page)) for page in range(2)]
    pages[0].save(root / "pages.tiff", save_all=True, append_images=pages[1:])
    Image.fromarray(picture()).save(root / "camera.jpg")
    plain = (root / "camera.jpg").read_bytes()
    (root / "camera.jpg").write_bytes(plain[:2] + b"\xff\xe1\x00\x10FLIR\0" + bytes(9) + plain[2:])
    heard = Heard()
    written = Draft(tmp_path / "ingest", stage="ingest", reporter=heard)
    ingest(written, ImageFolderOptions(path=str(root), frame=0))
    told = publish(written).remarks
    assert heard.lines == [f"ingest: {sentence}" for sentence in told]
    assert [sentence.split(":")[0].split(",")[0] for sentence in told] == [
        "The bytes of 2 pictures (x.png",
        "Measured temperatures stand beside what is shown in 1 picture (camera.jpg)",
        "More than one page is in 1 picture (pages.tiff)",
    ]
    assert "x.png, y.png) seem swapped" in told[0]
    assert "page 0 was read, counted from 0; choose another by [ingest] frame" in told[2]


def test_of_usual_pictures_nothing_is_said(tmp_path: Path) -> None:
    artifact = ingested(tmp_path, ImageFolderOptions(path=str(write_frames(tmp_path / "frames"))))
    assert artifact.remarks == ()
    assert not artifact.has("remarks.json")
