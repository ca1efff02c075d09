import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from likewise.artifacts.artifact import MANIFEST, Artifact
from likewise.artifacts.draft import Draft
from likewise.artifacts.files import replacing
from likewise.errors import DamagedArtifact, Terminated
from likewise.testing.artifacts import draft, publish


@pytest.fixture
def published(tmp_path: Path) -> Artifact:
    unfinished = draft(tmp_path)
    unfinished.write_array("vectors.npy", np.arange(12, dtype=np.float32).reshape(3, 4))
    unfinished.write_table("items.parquet", pa.table({"id": ["a", "b"], "n": [1, 2]}))
    unfinished.write_json("counts.json", {"items": 2})
    with unfinished.write_folder("model") as folder:
        (folder / "weights.bin").write_bytes(b"weights")
    return publish(unfinished)


def test_what_was_written_is_read_back(published: Artifact) -> None:
    assert np.array_equal(published.array("vectors.npy"), np.arange(12, dtype=np.float32).reshape(3, 4))
    assert published.table("items.parquet").column("n").to_pylist() == [1, 2]
    assert published.json("counts.json") == {"items": 2}
    assert (published.folder("model") / "weights.bin").read_bytes() == b"weights"
    assert published.has("model")
    assert published.has("vectors.npy")
    assert not published.has("mode")


@pytest.mark.parametrize("name", ["vectors.npy", "items.parquet", "counts.json", "model/weights.bin"])
def test_one_flipped_byte_is_refused_before_parsing(published: Artifact, name: str) -> None:
    path = published.path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArtifact, match=name):
        Artifact(published.path).file(name)


def test_a_missing_or_shortened_file_is_refused(published: Artifact) -> None:
    (published.path / "counts.json").unlink()
    with pytest.raises(DamagedArtifact, match=r"counts\.json is missing"):
        Artifact(published.path).json("counts.json")
    os.truncate(published.path / "vectors.npy", 100)
    with pytest.raises(DamagedArtifact, match="size or SHA-256"):
        Artifact(published.path).array("vectors.npy")


def test_a_folder_without_manifest_is_not_an_artifact(tmp_path: Path) -> None:
    unfinished = draft(tmp_path)
    unfinished.write_text("a.txt", "a")
    with pytest.raises(DamagedArtifact, match="never finished"):
        Artifact(unfinished.path)


def test_a_manifest_that_is_no_manifest_is_named(published: Artifact) -> None:
    (published.path / MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(DamagedArtifact, match="is not a manifest"):
        Artifact(published.path)


def test_a_write_that_fails_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    unfinished = draft(tmp_path)

    def fail() -> None:
        with unfinished.write("a.txt") as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not unfinished.has("a.txt")
    unfinished.write_text("a.txt", "whole")
    assert unfinished.file("a.txt").read_text(encoding="utf-8") == "whole"


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    unfinished = draft(tmp_path)
    for content in ("first", "second"):
        with unfinished.write_folder("model") as folder:
            (folder / f"{content}.txt").write_text(content, encoding="utf-8")
    assert [path.name for path in (unfinished.path / "model").iterdir()] == ["second.txt"]


def test_scratch_survives_a_kill_and_goes_at_publication(tmp_path: Path) -> None:
    first = Draft(tmp_path / "stage", stage="stage")
    (first.scratch("parts") / "0").write_text("part", encoding="utf-8")
    again = Draft(tmp_path / "stage", stage="stage")
    assert (again.scratch("parts") / "0").read_text(encoding="utf-8") == "part"
    artifact = publish(again)
    assert list(artifact.manifest.files) == []
    assert {path.name for path in artifact.path.iterdir()} == {MANIFEST}


def test_equal_data_has_equal_content_whatever_the_times(tmp_path: Path) -> None:
    contents = []
    for seconds in (1.0, 2.0):
        unfinished = draft(tmp_path)
        unfinished.write_table("t.parquet", pa.table({"x": list(range(1000))}))
        contents.append(unfinished.publish(seconds=seconds).content)
    assert contents[0] == contents[1]


def test_replacing_keeps_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")
    with replacing(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_working_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(strange)
    monkeypatch.chdir(os.fsdecode(strange))
    assert publish(draft(tmp_path)).place.endswith("caf\\xe9")
    os.rmdir(strange)
    assert publish(draft(tmp_path)).place == ""


def test_a_stop_can_be_deferred(tmp_path: Path) -> None:
    unfinished, saved = draft(tmp_path), []

    def work() -> None:
        with unfinished.deferred_stop() as stop:
            assert not stop.requested
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.requested
            unfinished.progress(1, 2)
            saved.append("the state")

    with pytest.raises(Terminated):
        work()
    assert saved
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_manifest_that_a_killed_attempt_was_writing_is_no_part_of_the_artifact(tmp_path: Path) -> None:
    folder = tmp_path / "stage"
    Draft(folder, stage="stage").write_text("a.txt", "a")
    (folder / ".manifest.json.4711.tmp").write_text("{", encoding="utf-8")
    artifact = Draft(folder, stage="stage").publish()
    assert set(artifact.manifest.files) == {"a.txt"}
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "manifest.json"]
