"""The labelled items of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from likewise.data.corpus import Corpus, items_file
from likewise.data.split import Division
from likewise.errors import DataError
from likewise.evaluation.labels import labeled_items
from likewise.testing.artifacts import draft, publish


def corpus(folder: Path, **columns: Sequence[Any]) -> Corpus:
    """Texts with metadata."""
    count = len(next(iter(columns.values())))
    written = draft(folder, "ingest")
    texts = {"id": [f"i{n}" for n in range(count)], "text": ["t"] * count, "shard": ["s"] * count}
    written.write_table(items_file(0), pa.table({**texts, **columns}))
    written.write_json("counts.json", {"shards": [{"name": "s", "items": count}]})
    return Corpus(publish(written))


def division(folder: Path, *codes: int) -> Division:
    written = draft(folder, "split")
    written.write_array("items.npy", np.array(codes, np.int8))
    return Division(publish(written))


VECTORS = np.eye(6, dtype=np.float32)


def test_items_without_a_label_are_left_out(tmp_path: Path) -> None:
    found = labeled_items(corpus(tmp_path, group=["b", None, "a", "", " ", "b"]), VECTORS)
    assert found.rows.tolist() == [0, 2, 5]
    assert found.labeled.names == ["a", "b"]
    assert found.labeled.codes.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(found.labeled.vectors, VECTORS[[0, 2, 5]])
    assert found.held_out is None


@pytest.mark.parametrize(
    ("values", "names"),
    [([1, 2, 1], ["1", "2"]), ([True, False, None], ["False", "True"]), ([0.5, float("nan"), 2.0], ["0.5", "2.0"])],
)
def test_labels_become_texts(tmp_path: Path, values: list[Any], names: list[str]) -> None:
    assert labeled_items(corpus(tmp_path, kind=values), VECTORS[:3], "kind").labeled.names == names


def test_numbers_in_labels_are_in_their_order(tmp_path: Path) -> None:
    found = labeled_items(corpus(tmp_path, group=["type 10", "type 9", "10", "9", "type", "9b"]), VECTORS)
    assert found.labeled.names == ["9", "9b", "10", "type", "type 9", "type 10"]
    assert [found.labeled.names[code] for code in found.labeled.codes] == ["type 10", "type 9", "10", "9", "type", "9b"]


def test_only_documents_are_labelled(tmp_path: Path) -> None:
    items = corpus(tmp_path, role=["query", "document", "document"], group=["a", "a", "b"])
    assert labeled_items(items, VECTORS[:3]).rows.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([None, "", " "], 'column "group" holds no labels'),
        (["a", None, "a"], 'column "group" holds only the label "a"'),
        ([["a"], ["b"], None], "not a single value"),
    ],
)
def test_a_column_without_labels(tmp_path: Path, values: list[Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        labeled_items(corpus(tmp_path, group=values), VECTORS[:3])


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no column "group" to take labels from; they have kind'):
        labeled_items(corpus(tmp_path, kind=["a", "b"]), VECTORS[:2])


def test_near_duplicates_are_those_found_or_equal_vectors(tmp_path: Path) -> None:
    items = corpus(tmp_path, group=["a", "b", "a", None, "b"])
    vectors = VECTORS[[0, 1, 0, 2, 1]]
    alike = labeled_items(items, vectors).labeled.alike
    assert alike[0] == alike[2] != alike[1] == alike[3]
    given = labeled_items(items, vectors, classes=np.array([0, 0, 2, 3, 4])).labeled.alike
    assert given.tolist() == [0, 0, 2, 4]


def test_the_test_split_is_held_out(tmp_path: Path) -> None:
    items = corpus(tmp_path, group=["a", "b", None, "b"])
    held_out = labeled_items(items, VECTORS[:4], division=division(tmp_path, 0, 2, 2, 1)).held_out
    assert held_out is not None
    assert held_out.tolist() == [False, True, False]
    assert (
        labeled_items(items, VECTORS[:4], division=division(tmp_path, 0, 0, 2, -1)).held_out is None
    )  # none of these has a label
