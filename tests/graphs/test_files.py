import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphs.events import graph, pedigree, same
from likewise.errors import DamagedArtifact
from likewise.graphs.files import graph_path, is_whole, read_graph, write_graph
from likewise.graphs.names import file_name
from likewise.graphs.tables import read_tables, table_paths, tables_are_whole, write_tables


class Data:
    """As `torch_geometric.data.Data.__init__`: known names first, any others by keyword."""

    def __init__(self, x=None, edge_index=None, edge_attr=None, y=None, pos=None, time=None, **kwargs):
        self.store = {"x": x, "edge_index": edge_index, "edge_attr": edge_attr, "y": y, "pos": pos, "time": time, **kwargs}


@pytest.mark.parametrize("options", [{}, {"flip": True, "max_neighbors": 2}, {"radius": 0.0}])
def test_what_is_written_is_read(tmp_path, options):
    built = graph(options=options)
    path = write_graph(tmp_path, built)
    assert path == graph_path(tmp_path, built.event) == tmp_path / "event000000001.npz"
    same(read_graph(path), built)
    assert read_graph(path).counts() == built.counts()
    write_tables(tmp_path, built)
    same(read_tables(tmp_path, built.event), built)
    assert not list(tmp_path.glob(".*"))


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_graph(tmp_path / folder, graph())
        write_tables(tmp_path / folder, graph())
    files = sorted((tmp_path / "one").iterdir())
    assert len(files) == 4
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_pytorch_geometric_reads_it_in_one_line(tmp_path):
    built = graph()
    path = write_graph(tmp_path, built)
    data = Data(**{name: torch.from_numpy(array) for name, array in np.load(path).items()})
    count, edges = len(built.hits), len(built.label)
    assert data.store["x"].shape == (count, 3)
    assert data.store["x"].dtype == torch.float32
    assert data.store["edge_index"].shape == (2, edges)
    assert data.store["edge_index"].dtype == torch.int64
    assert data.store["edge_attr"].shape == (edges, 1)
    assert data.store["y"].tolist() == built.label.tolist()
    for name, tensor in data.store.items():
        if tensor is not None and "index" in name:  # PyTorch Geometric adds up what is called index when it makes batches
            assert tensor.shape[0] == 2
            assert tensor.max() < count


def test_networkx_reads_it_in_one_line(tmp_path):
    networkx = pytest.importorskip("networkx")
    built = graph()
    path = write_graph(tmp_path, built)
    read = networkx.from_edgelist(np.load(path)["edge_index"].T.tolist(), networkx.DiGraph)
    assert set(read.edges) == {tuple(edge) for edge in built.edge_index.T.tolist()}
    assert networkx.is_directed_acyclic_graph(read)  # outward, so there is no way back


def test_the_metadata_reads_in_one_line(tmp_path):
    built = graph()
    told = json.loads(bytes(np.load(write_graph(tmp_path, built))["metadata"]))
    assert told["event"] == built.event
    assert (told["hits"], told["edges"], told["true_edges"]) == (len(built.hits), len(built.label), len(built.hits.true))
    assert told["pedigree"] == pedigree().as_json()


def test_whole_files_are_skipped_and_others_redone(tmp_path):
    built = graph()
    path = graph_path(tmp_path, built.event)
    assert not is_whole(path)
    write_graph(tmp_path, built)
    assert is_whole(path)
    assert is_whole(path, pedigree())
    assert not is_whole(path, pedigree(radius=0.5))
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_whole(path)

    assert not tables_are_whole(tmp_path, built.event)
    paths = write_tables(tmp_path, built)
    assert tables_are_whole(tmp_path, built.event, pedigree())
    assert not tables_are_whole(tmp_path, built.event, pedigree(radius=0.5))
    paths["truth"].unlink()
    assert not tables_are_whole(tmp_path, built.event)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.999])
def test_a_partial_file_names_itself(tmp_path, share):
    path = write_graph(tmp_path, graph())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DamagedArtifact, match=re.escape(str(path))):
        read_graph(path)


def test_no_changed_byte_gives_another_graph(tmp_path):
    """A changed byte is found, or is one that nothing depends on (a date, a comment's length), and the graph is as it was."""
    built = graph(tracks=3, noise=1)
    path = write_graph(tmp_path, built)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    messages = []
    for place in random.choice(len(whole), 400, replace=False):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        try:
            same(read_graph(path), built)
        except DamagedArtifact as error:
            messages.append(str(error))
    assert len(messages) > 300
    assert all(str(path) in message for message in messages)


def test_a_file_changed_with_its_checksums_is_found(tmp_path):
    path = write_graph(tmp_path, graph())
    arrays = dict(np.load(path))
    arrays["y"] = arrays["y"][::-1].copy()
    np.savez(path, **arrays)
    with pytest.raises(DamagedArtifact, match="its digest differs"):
        read_graph(path)
    np.savez(path, x=np.zeros(3))
    with pytest.raises(DamagedArtifact, match="metadata"):
        read_graph(path)


def test_pickles_are_not_read(tmp_path):
    path = tmp_path / "event.npz"
    np.savez(path, metadata=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DamagedArtifact, match="allow_pickle"):
        read_graph(path)


def test_a_damaged_or_foreign_table_names_itself(tmp_path):
    built = graph()
    paths = write_tables(tmp_path, built)
    content = bytearray(paths["nodes"].read_bytes())
    content[len(content) // 3] ^= 0xFF
    paths["nodes"].write_bytes(content)
    with pytest.raises(DamagedArtifact, match=re.escape(str(paths["nodes"]))):
        read_tables(tmp_path, built.event)

    other = tmp_path / "other"
    other.mkdir()
    foreign = write_tables(other, graph(1))
    paths["nodes"].write_bytes(foreign["nodes"].read_bytes())
    with pytest.raises(DamagedArtifact, match="belongs to another graph"):
        read_tables(tmp_path, built.event)


def test_tables_are_what_a_data_frame_wants(tmp_path):
    import pyarrow.parquet

    built = graph()
    paths = write_tables(tmp_path, built)
    assert paths == table_paths(tmp_path, built.event)
    names = {part: pyarrow.parquet.read_schema(path).names for part, path in paths.items()}
    assert names["edges"] == ["source", "target", "distance", "label", "weight"]
    assert names["nodes"] == ["hit_id", "particle", "r", "phi", "z", "feature_0", "feature_1", "feature_2"]
    assert names["truth"] == ["first", "second", "signal", "weight"]


@given(st.text(max_size=300), st.text(max_size=300))
def test_names_are_safe_and_tell_events_apart(one, other):
    for event in (one, other):
        assert re.fullmatch(r"[a-z0-9_][a-z0-9_.~-]{0,119}", file_name(event))
    assert (file_name(one) == file_name(other)) == (one == other)


def test_names_stay_legible():
    assert file_name("event000001000") == "event000001000"
    assert re.fullmatch(r"run-7-event-3~[0-9a-f]{16}", file_name("run 7/Event 3"))
    assert re.fullmatch(r"etc-passwd~[0-9a-f]{16}", file_name("../../etc/passwd"))
    assert re.fullmatch(r"event~[0-9a-f]{16}", file_name(""))
    assert len({file_name(name) for name in ("Event1", "event1", "event-1", "event/1", "event 1", ".event1")}) == 6
