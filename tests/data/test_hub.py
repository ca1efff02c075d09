from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from likewise.data import hub
from likewise.data.hub import HubSource
from likewise.data.options import HubOptions
from likewise.errors import DataError, MissingExtra
from likewise.testing.sources import check_source
from likewise.types import Items, Links, Reject, Tally

with_datasets = pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="needs the extra: hub")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for split, count in (("train", 30), ("test", 8)):
        rows = [
            {"anchor": f"{split} {n}", "positive": [f"answer {n}", "all"], "negative": "no", "score": n % 2} for n in range(count)
        ]
        rows[3]["anchor"] = " "
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
    return {"name": str(folder), "cache_dir": str(tmp_path / "cache")}


def read(options: dict[str, Any], seed: int = 0) -> tuple[list[str], dict[str, str], list[tuple[Any, ...]], list[Reject], int]:
    source = HubSource(HubOptions(**options), seed)
    pieces = [piece for shard in source.shards() for piece in source.read(shard)]
    items = {
        name: text for piece in pieces if isinstance(piece, Items) for name, text in zip(piece.ids, piece.payload, strict=True)
    }
    links = [
        (items[a], items[b], label, split)
        for piece in pieces
        if isinstance(piece, Links)
        for a, b, label, split in zip(piece.a, piece.b, piece.label, piece.split, strict=True)
    ]
    rejects = [piece for piece in pieces if isinstance(piece, Reject)]
    return list(source.shards()), items, links, rejects, sum(piece.rows for piece in pieces if isinstance(piece, Tally))


@with_datasets
def test_splits_are_kept_and_bad_rows_named(data: dict[str, str]) -> None:
    shards, _, links, rejects, rows = read(data)
    assert shards == ["train-00000", "test-00000"]
    assert links[:3] == [("train 0", "answer 0", 1, "train"), ("train 0", "all", 1, "train"), ("train 0", "no", 0, "train")]
    assert {split for *_, split in links} == {"train", "test"}
    assert [(reject.file, reject.row) for reject in rejects] == [(f"{data['name']} (train)", 4), (f"{data['name']} (test)", 4)]
    assert rows == 38
    assert len(links) == 36 * 3


@with_datasets
def test_a_sample_and_pieces(data: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SHARD_ROWS", 7)
    monkeypatch.setattr(hub, "READ_ROWS", 3)
    shards, _, links, rejects, _ = read(data)
    assert len(shards) == 5 + 2
    assert len(links) == 36 * 3
    assert len(rejects) == 2
    *_, rows = read({**data, "sample_size": 11})
    assert rows == 11
    assert read({**data, "sample_size": 11})[2] != read({**data, "sample_size": 11}, seed=1)[2]


@with_datasets
def test_labels_are_read(data: dict[str, str]) -> None:
    labels = [label for _, document, label, _ in read({**data, "label": "score", "negatives": ()})[2] if document == "all"]
    assert labels[:4] == [0, 1, 0, 0]  # the fourth row is a bad one


@with_datasets
def test_what_is_wrong_is_named(data: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'has no column "ancor".*did you mean "anchor"'):
        read({**data, "anchor": "ancor"})
    with pytest.raises(DataError, match=r'"nowhere/none" .* cannot be loaded .* set name to a local folder'):
        read({"name": "nowhere/none", "cache_dir": str(tmp_path / "cache")})


@with_datasets
def test_the_source_keeps_the_contract(data: dict[str, str]) -> None:
    check_source(lambda: HubSource(HubOptions(**data), 0))  # type: ignore[arg-type]  # both values are texts


def test_without_the_extra_the_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'likewise\[hub\]'"):
        HubSource(HubOptions(name="any/thing"))
