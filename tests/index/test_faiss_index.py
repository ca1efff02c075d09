"""The index on faiss: the contract suite for both types, and the bundle on disk."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest

from likewise.errors import DamagedArtifact, DataError
from likewise.index import faiss as module
from likewise.index.faiss import FaissIndex
from likewise.index.options import IndexOptions
from likewise.neighbors import oracle
from likewise.testing.indexes import check_index


def table_of(count, **columns):
    return pa.table({"id": pa.array([f"d{row}" for row in range(count)], pa.string()), **columns})


def build(vectors, table=None, **rest):
    options = IndexOptions(**{name: rest.pop(name) for name in ("type", "recall_target", "held_out") if name in rest})
    return FaissIndex.build(vectors, table_of(len(vectors)) if table is None else table, options, space="test", **rest)


@pytest.fixture
def vectors(rng):
    return rng.standard_normal((300, 12)).astype(np.float32)


@pytest.mark.parametrize("kind", ["flat", "ivf"])
@pytest.mark.parametrize("overfetched", [0, 64], ids=["filtered", "overfetched"])
def test_contract(kind, overfetched, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "OVERFETCHED", overfetched)
    numbers = itertools.count()

    def make(ids, vectors, metadata):
        columns = {"color": pa.array(metadata["color"], pa.string()), "year": pa.array(metadata["year"], pa.int64())}
        table = pa.table({"id": pa.array(ids, pa.string()), **columns})
        return build(vectors, table, type=kind if ids else "flat", recall_target=0.9)

    def reopen(index):
        folder = tmp_path / str(next(numbers))
        index.save(folder)
        return FaissIndex.open(folder)

    check_index(make, reopen=reopen)


@pytest.mark.parametrize("kind", ["flat", "ivf"])
@pytest.mark.parametrize("distance", ["cosine", "dot", "euclidean"])
def test_every_distance(kind, distance, vectors, rng):
    queries = rng.standard_normal((20, 12)).astype(np.float32)
    index = build(vectors, type=kind, recall_target=1.0, distance=distance, queries=queries)
    hits = index.search(queries, 10)
    rows, scores = oracle.nearest(queries, vectors, 10, distance=distance)
    assert np.array_equal(hits.rows, rows)
    assert hits.scores == pytest.approx(scores, abs=1e-5)
    assert hits.ids[0] == [f"d{row}" for row in rows[0]]


def test_auto_is_exact_for_few_vectors(vectors):
    about = build(vectors).description
    assert (about.type, about.lists, about.recall, about.measured_on) == ("flat", 0, 1.0, "none: exhaustive")


def test_auto_has_lists_for_many(vectors, monkeypatch):
    monkeypatch.setattr("likewise.index.structure.EXACT_BELOW", 300)
    about = build(vectors, recall_target=0.8, held_out=50).description
    assert (about.type, about.measured_on, about.held_out) == ("ivf", "documents", 50)
    assert about.lists == 300 // 39
    assert about.recall >= 0.8


def test_scores_keep_their_order_where_values_differ_by_type(vectors):
    table = table_of(300, year=pa.array(range(300), pa.int64()), flag=pa.array([row % 2 == 0 for row in range(300)]))
    index = build(vectors, table)
    assert index.search(vectors[:1], 5, where={"year": "7"}).ids == [["d7"]]
    assert index.search(vectors[:1], 5, where={"year": [7, 9]}).rows[0, :2].tolist() in ([7, 9], [9, 7])
    assert (index.search(vectors[:1], 5, where={"flag": True}).rows % 2 == 0).all()
    assert index.search(vectors[:1], 5, where={"id": {"d3"}}).ids == [["d3"]]


def test_missing_values_can_be_asked_for(vectors):
    index = build(vectors, table_of(300, color=pa.array(["red", None, "blue"] * 100)))
    assert (index.search(vectors[:2], 10, where={"color": None}).rows % 3 == 1).all()
    assert (index.search(vectors[:2], 10, where={"color": "red"}).rows % 3 == 0).all()


@pytest.mark.parametrize("value", ["seven", 1.5, {"a": 1}, object()])
def test_a_value_of_another_type_is_refused(value, vectors):
    index = build(vectors, table_of(300, year=pa.array(range(300), pa.int64())))
    with pytest.raises(DataError, match='the column "year"'):
        index.search(vectors[:1], 5, where={"year": value})


def test_an_unknown_column_names_those_that_are_known(vectors):
    with pytest.raises(DataError, match=r'"colour".*it has id, color'):
        build(vectors, table_of(300, color=["red"] * 300)).search(vectors[:1], 5, where={"colour": "red"})


def test_metadata_by_id(vectors):
    index = build(vectors, table_of(300, text=[f"text {row}" for row in range(300)]))
    assert index.metadata(["d5", "d2"]) == [{"text": "text 5"}, {"text": "text 2"}]
    with pytest.raises(DataError, match='"d300" is not in the index; it has 300 items'):
        index.metadata(["d300"])


def test_vectors_come_back_without_what_was_deleted(vectors):
    index = build(vectors, distance="dot").updated({"d1": vectors[0], "new": vectors[9]}, {}, ["d0"])
    ids, found = index.vectors()
    assert ids == [*(f"d{row}" for row in range(2, 300)), "d1", "new"]
    assert np.array_equal(found, np.vstack([vectors[2:], vectors[[0, 9]]]))
    assert len(index) == 300


def test_tombstones_until_a_fifth_then_built_anew(vectors):
    index = build(vectors)
    few = index.updated(delete=[f"d{row}" for row in range(60)])
    assert (few.table.num_rows, len(few)) == (300, 240)
    many = few.updated(delete=["d60"])
    assert (many.table.num_rows, len(many)) == (239, 239)
    assert many.search(vectors[100:101], 1).ids == [["d100"]]


def test_lists_that_were_outgrown_are_made_anew(vectors, rng):
    index = build(vectors[:100], type="ivf", recall_target=1.0)
    added = {f"new {row}": vector for row, vector in enumerate(vectors[100:])}
    grown = index.updated(added)
    assert grown.description.built == 300
    assert grown.description.lists > index.description.lists
    assert grown.search(vectors[250:251], 1).ids == [["new 150"]]


def test_an_id_both_added_and_deleted_is_refused(vectors):
    with pytest.raises(DataError, match='"d1" is both added and deleted'):
        build(vectors).updated({"d1": vectors[0]}, {}, ["d1"])


def test_metadata_of_the_wrong_type_or_for_nobody_is_refused(vectors):
    index = build(vectors, table_of(300, year=pa.array(range(300), pa.int64())))
    with pytest.raises(DataError, match="metadata does not fit"):
        index.updated({"new": vectors[0]}, {"new": {"year": "long ago"}})
    with pytest.raises(DataError, match='"other", which is not added'):
        index.updated({"new": vectors[0]}, {"other": {"year": 1}})
    with pytest.raises(DataError, match='"other", which is not added'):
        index.updated({}, {"other": {"year": 1}})


def test_exclude_must_be_a_list(vectors):
    with pytest.raises(DataError, match="exclude must be a list"):
        build(vectors).search(vectors[:1], 3, exclude="d1")


def test_ids_must_be_unique_and_as_many_as_vectors(vectors):
    with pytest.raises(DataError, match='id "d1" stands twice'):
        build(vectors[:3], pa.table({"id": ["d1", "d2", "d1"]}))
    with pytest.raises(DataError, match="3 vectors and 2 rows"):
        build(vectors[:3], table_of(2))
    with pytest.raises(DataError, match='needs a column "id"'):
        build(vectors[:3], pa.table({"name": ["a", "b", "c"]}))


def test_vectors_must_be_finite(vectors):
    vectors[7, 3] = np.nan
    with pytest.raises(DataError, match="Row 7"):
        build(vectors)


def test_an_empty_index_cannot_have_lists():
    with pytest.raises(DataError, match='use type = "flat"'):
        build(np.empty((0, 4), np.float32), type="ivf")


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_the_same_input_gives_the_same_bytes(kind, vectors, tmp_path):
    for name in ("one", "two"):
        build(vectors, type=kind, recall_target=0.9, seed=3).updated({"new": vectors[0]}, {}, ["d4"]).save(tmp_path / name)
    for name in ("index.faiss", "ids.parquet", "index.json", "deleted.npy"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_damaged_bundle_is_not_opened(vectors, tmp_path):
    build(vectors).save(tmp_path / "bundle")
    path = tmp_path / "bundle" / "index.faiss"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArtifact, match=r"index\.faiss is not what was written"):
        FaissIndex.open(tmp_path / "bundle")


def test_a_folder_without_manifest_is_not_opened(tmp_path):
    with pytest.raises(DamagedArtifact, match="never finished"):
        FaissIndex.open(tmp_path)


def test_a_bundle_is_not_written_over_anything(vectors, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="not an empty folder"):
        build(vectors).save(tmp_path)


def test_what_was_measured_is_in_the_bundle(vectors, tmp_path):
    index = build(vectors, type="ivf", recall_target=0.9, base_space="frozen")
    index.save(tmp_path / "bundle")
    about = json.loads((tmp_path / "bundle" / "index.json").read_text())
    assert (about["space"], about["base_space"], about["dimension"], about["count"]) == ("test", "frozen", 12, 300)
    assert about["recall"] == index.recall >= 0.9
    again = FaissIndex.open(tmp_path / "bundle")
    assert (again.space, again.base_space, again.recall, len(again)) == ("test", "frozen", index.recall, 300)


def test_a_filter_does_not_fetch_what_it_leaves_out_anyway(rng, monkeypatch):
    """Two clouds: the lists nearest to queries in the one hold nothing of the other, so all lists must be asked."""
    clouds = (0.1 * rng.standard_normal((4000, 12))).astype(np.float32)
    clouds[:, 0] += np.repeat(np.float32([-1, 1]), 2000)
    index = build(clouds, table_of(4000, color=["blue"] * 2000 + ["red"] * 2000), type="ivf", recall_target=0.1)
    asked = []
    search = module.structures.search_structure

    def noting(structure, queries, k, *rest):
        asked.append(k)
        return search(structure, queries, k, *rest)

    monkeypatch.setattr(module.structures, "search_structure", noting)
    hidden = [f"d{row}" for row in range(2000, 2100)]
    hits = index.search(clouds[:5], 10, where={"color": "red"}, exclude=hidden)
    assert {len(found) for found in hits.ids} == {10}
    assert asked == [10, 10]
