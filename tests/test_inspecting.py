from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from likewise.artifacts.draft import Draft
from likewise.artifacts.run import Run
from likewise.errors import DataError, UserError
from likewise.inspecting import Inspection, inspect
from likewise.testing.encoders import tiny_text_model


def most_memory(path: Path) -> tuple[Inspection, int]:
    """What is told of a path, and the most bytes that Python and numpy held at once for it."""
    tracemalloc.start()
    try:
        return inspect(path), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def value(found: Inspection, label: str) -> str:
    (row,) = [row for row in found.rows if row.label == label]
    return row.value


def labels(found: Inspection) -> list[str]:
    return [row.label for row in found.rows]


def numbers(draft: Draft, options: object) -> None:
    draft.write_array("numbers.npy", np.arange(12.0).reshape(3, 4))
    draft.write_json("counts.json", {"items": 3, "nested": {"rows": [1, 2]}})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    with Run(folder) as r:
        r.stage(numbers, {"width": 4}, name="numbers")
    (folder / "verdict.json").write_text(json.dumps({"sentence": "better: nDCG@10 rises."}))
    return folder


def artifact_of(run: Path) -> Path:
    return run / "numbers" / (run / "numbers" / "current").read_text().strip()


def test_a_run(run: Path) -> None:
    found = inspect(run)
    assert found.kind == "run"
    assert value(found, "verdict") == "better: nDCG@10 rises."
    assert value(found, "numbers").startswith(f"{artifact_of(run).name}  2 files, ")
    assert "not in force" not in labels(found)


def test_a_run_with_an_artifact_that_is_no_longer_in_force(run: Path) -> None:
    with Run(run) as r:
        r.stage(numbers, {"width": 5}, name="numbers")
    assert value(inspect(run), "not in force").startswith("1 folder, ")


def test_a_run_with_a_damaged_manifest(run: Path) -> None:
    (artifact_of(run) / "manifest.json").write_text("{")
    assert value(inspect(run), "numbers").startswith("damaged: ")


def test_an_artifact(run: Path) -> None:
    found = inspect(artifact_of(run))
    assert found.kind == "artifact"
    assert value(found, "stage") == "numbers"
    assert value(found, "state").startswith("verified")
    assert value(found, "options") == '{"width": 4}'
    assert value(found, "numbers.npy") == "224 B"
    assert value(found, "items") == "3"
    assert value(found, "nested.rows") == "[1, 2]"


def test_a_damaged_artifact(run: Path) -> None:
    path = artifact_of(run) / "numbers.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    state = value(inspect(artifact_of(run)), "state")
    assert state.startswith("damaged: ")
    assert "numbers.npy" in state


def test_an_artifact_whose_manifest_is_cut(run: Path) -> None:
    (artifact_of(run) / "manifest.json").write_text('{"stage": "numbers", "files"')
    assert value(inspect(artifact_of(run)), "state").startswith("damaged: ")


ROWS = [
    {"anchor": "one", "positive": "first", "score": 0.5},
    {"anchor": "three", "positive": None, "score": 1.0},
    {"anchor": "a longer text", "positive": "p", "score": None},
]


def parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


def jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")


def grouped(draft: Draft, options: object) -> None:
    for number, groups in enumerate((["x", "x", "y"], ["y", None, "z"])):
        draft.write_table(f"items-{number:05d}.parquet", pa.table({"id": [f"{number}{n}" for n in range(3)], "group": groups}))
    draft.write_table("pairs.parquet", pa.table({"a": [0], "b": [1]}))


GROUPS = [("ids", "6 in 6 rows"), ("groups", "3; 1 row without one"), ("per group", "1 to 2, median 2, mean 1.67 (1: 1, 2: 2)")]


def test_items_in_groups_are_summarised(tmp_path: Path) -> None:
    with Run(tmp_path / "run") as r:
        artifact = r.stage(grouped, {}, name="ingest")
    assert artifact is not None
    for path in (tmp_path / "run", artifact.path):
        assert [row for row in inspect(path).rows if row.label in ("ids", "groups", "per group")] == GROUPS
    alone = inspect(artifact.path / "items-00000.parquet")
    assert (value(alone, "groups"), value(alone, "per group")) == ("2", "1 to 2, median 1.5, mean 1.5 (1: 1, 2: 1)")
    assert "groups" not in labels(inspect(artifact.path / "pairs.parquet"))


def test_groups_that_cannot_be_counted_are_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "group": ["x", "y"]}), tmp_path / "1.parquet")
    found = inspect(tmp_path / "1.parquet")
    assert value(found, "rows") == "2"
    assert "cannot be counted" in value(found, "groups")
    with Run(tmp_path / "run") as r:
        artifact = r.stage(grouped, {}, name="ingest")
    assert artifact is not None
    (artifact.path / "items-00001.parquet").write_bytes(b"PAR1")
    assert value(inspect(artifact.path), "state").startswith("damaged")
    assert "items-00001.parquet is not a readable Parquet file" in value(inspect(tmp_path / "run"), "groups")


def delimited(delimiter: str) -> str:
    lines = [[str(cell) if cell is not None else "" for cell in row.values()] for row in ROWS]
    return "\n".join(delimiter.join(line) for line in [list(ROWS[0]), *lines]) + "\n"


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv", ".tsv", ".csv.gz"])
def test_a_table(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows{ending}"
    if ending == ".parquet":
        parquet(path)
    elif ending == ".jsonl":
        jsonl(path)
    elif ending == ".csv.gz":
        path.write_bytes(gzip.compress(delimited(",").encode()))
    else:
        path.write_text(delimited("," if ending == ".csv" else "\t"))
    found = inspect(path)
    assert found.kind == "table"
    assert value(found, "rows") == "3"
    assert value(found, "columns").endswith(": anchor, positive, score")
    assert value(found, "anchor") == "text"
    assert value(found, "positive") == "text, 1 missing"
    lengths = [row.value for row in found.rows if row.label == "  length"]
    assert lengths[0] == "3 to 13 characters, half at most 5"
    assert lengths[1] == "1 to 5 characters, half at most 1"
    assert [row.value for row in found.rows if row.label == "  example"][:2] == ["one", "first"]
    typed = ending in (".parquet", ".jsonl")
    assert value(found, "score") == ("number, 1 missing" if typed else "text, 1 missing")


def test_bad_rows_are_counted_and_the_first_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3\n")
    found = inspect(path)
    assert value(found, "rows") == "2"
    assert value(found, "bad rows").startswith(f"1; the first: {path}, row 3: ")


def test_bytes_that_are_no_text_can_be_printed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a\nx\xff\n")
    for row in inspect(path).rows:
        row.value.encode("utf-8")


def test_a_table_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n")
    found = inspect(path)
    assert value(found, "rows") == "0"
    assert value(found, "a") == "nothing"


def test_of_pictures_a_few_are_in_memory(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = [{"path": None, "bytes": generator.bytes(20_000)} for _ in range(2000)]
    pq.write_table(pa.table({"id": [str(n) for n in range(2000)], "image": images}), tmp_path / "1.parquet", row_group_size=64)
    del images
    found, most = most_memory(tmp_path / "1.parquet")
    assert value(found, "rows") == "2,000"
    assert most < 10_000_000, "all are 40 MB"


def test_unit_vectors(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "vectors.npy", vectors)
    found = inspect(tmp_path / "vectors.npy")
    assert value(found, "shape") == "50 × 8"
    assert value(found, "type") == "float32"
    assert value(found, "vector lengths") == "1 to 1, unit length"


def test_an_array_with_values_that_are_not_finite(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([1.0, np.nan, np.inf]))
    assert value(inspect(tmp_path / "a.npy"), "not finite") == "2 values"


@pytest.mark.parametrize("array", [np.array(3), np.zeros((0, 4), np.float32), np.array(["a", "b"]), np.array([True])])
def test_unusual_arrays(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    assert value(inspect(tmp_path / "a.npy"), "type") == str(array.dtype)


def test_long_arrays_are_read_in_pieces(tmp_path: Path) -> None:
    vectors = np.full((4_000_000, 2), 3, np.float32)
    vectors[-1] = 0, 5
    np.save(tmp_path / "vectors.npy", vectors)
    del vectors
    found, most = most_memory(tmp_path / "vectors.npy")
    assert value(found, "values") == "0 to 5"
    assert value(found, "vector lengths") == "4.243 to 5"
    assert most < 60_000_000, "the lengths of all vectors would be as many bytes as the file, twice"


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"", b"\x93NUMPY\x01\x00", b"not an array at all"])
def test_an_array_that_is_cut_short(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy cannot be read as an array"):
        inspect(tmp_path / "a.npy")


def test_a_model(tmp_path: Path) -> None:
    found = inspect(tiny_text_model(tmp_path / "model", texts=["some words"]))
    assert found.kind == "model"
    assert [row.value.split(" in ")[0] for row in found.rows if row.label == "module"] == ["Transformer", "Pooling"]
    assert value(found, "model_type") == "bert"
    assert value(found, "model.safetensors").split()[1:3] == ["weights,", "F32,"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"config.json": b"[1]"}, r"config\.json is not a JSON object"),
        ({"config.json": b"["}, r"config\.json is not JSON"),
        ({"config.json": b"[" * 100_000}, r"config\.json is not JSON"),
        ({"modules.json": b"{}"}, r"modules\.json is not a list of modules"),
        ({"modules.json": b'[{"path": "x"}]'}, r"modules\.json is not a list of modules"),
        ({"config.json": b"{}", "a.safetensors": b""}, r"a\.safetensors is not a safetensors file"),
        ({"config.json": b"{}", "a.safetensors": b"\x02" + bytes(7) + b"xx"}, r"a\.safetensors is not a safetensors file"),
        ({"config.json": b"{}", "a.safetensors": b"other content"}, r"a\.safetensors is not a safetensors file"),
        ({"recipe.toml": b"", "verdict.json": b"[1]"}, r"verdict\.json is not a JSON object"),
    ],
)
def test_damaged_models_and_runs(tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        inspect(tmp_path)


def test_folders_that_are_called_current_make_no_run(tmp_path: Path) -> None:
    (tmp_path / "releases" / "current").mkdir(parents=True)
    with pytest.raises(UserError, match="is none of what is known"):
        inspect(tmp_path)


def test_json_and_toml(tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text('["a", "b"]')
    assert value(inspect(tmp_path / "ids.json"), "entries") == "2"
    (tmp_path / "r.toml").write_text('name = "x"\n[train]\nepochs = 3\n')
    assert value(inspect(tmp_path / "r.toml"), "train.epochs") == "3"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is nothing at"):
        inspect(tmp_path / "absent")


@pytest.mark.parametrize("name", ["x.bin", "folder"])
def test_something_unknown(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_bytes(b"1")
    with pytest.raises(UserError, match="is none of what is known"):
        inspect(path)


def test_as_json(run: Path) -> None:
    told = inspect(run).as_json()
    assert json.loads(json.dumps(told))["kind"] == "run"
    assert {"label": "verdict", "value": "better: nDCG@10 rises."} in told["facts"]


def test_a_folder_of_tables_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    pq.write_table(pa.table({"id": ["a", "b"], "group": ["x", "x"], "width": [1, 2]}), tmp_path / "tables" / "1.parquet")
    pq.write_table(pa.table({"id": ["c", "a"], "group": ["x", None]}), tmp_path / "tables" / "2.parquet")
    (tmp_path / "tables" / "notes.txt").write_text("beside")
    found = inspect(tmp_path / "tables")
    assert found.kind == "tables"
    assert [value(found, label) for label in ("tables", "rows", "columns", "ids", "groups")] == [
        "2",
        "4",
        "3: id, group, width",
        "3 in 4 rows",
        "1; 1 row without one",
    ]
    assert value(found, "width") == "whole number, 2 missing"
    assert value(found, "per group").startswith("3 to 3")
