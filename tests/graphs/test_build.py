import dataclasses

import numpy as np
import pytest

from graphs.events import backwards, event, graph, pedigree, same, within
from likewise.errors import DataError
from likewise.evaluation.edges import each_pair_once
from likewise.evaluation.graphs import count_event
from likewise.graphs.build import build_graph, outward


def test_every_pair_within_the_radius_is_there_once_with_its_distance():
    hits, vectors = event()
    built = build_graph(hits, vectors, pedigree(), within)
    distances = np.linalg.norm(vectors[:, None].astype(float) - vectors[None], axis=2)
    wanted = {(a, b) for a in range(len(hits)) for b in range(a + 1, len(hits)) if distances[a, b] <= 0.4}
    got = [(min(a, b), max(a, b)) for a, b in built.edge_index.T.tolist()]
    assert got == sorted(wanted)
    np.testing.assert_allclose(built.distance, [distances[pair] for pair in got], rtol=1e-6)
    assert built.cut == 0


def test_labels_and_weights_follow_the_true_edges():
    built = graph()
    true = built.hits.true
    known = {tuple(pair): at for at, pair in enumerate(true.pairs.T)}
    for (a, b), label, weight in zip(built.edge_index.T.tolist(), built.label, built.weight, strict=True):
        at = known.get((min(a, b), max(a, b)))
        assert label == (0 if at is None else 1 if true.signal[at] else -1)
        assert weight == (1 if at is None else true.weight[at] if true.signal[at] else 0)
    assert set(built.label.tolist()) == {-1, 0, 1}


def test_edges_point_outward_and_ties_go_by_hit_id():
    built = graph()
    source, target = built.edge_index
    r, hit_id = built.hits.r, built.hits.hit_id
    assert (r[source] <= r[target]).all()
    tied = r[source] == r[target]
    assert tied.any()
    assert (hit_id[source] < hit_id[target])[tied].all()


def test_radii_that_are_equal_in_the_file_are_equal():
    close = np.array([100.0, 100.0 + 1e-9])  # one float32
    index = outward(np.array([[0], [1]]), close, np.array([9, 3]))
    assert index.ravel().tolist() == [1, 0]


def test_half_of_the_edges_are_flipped_the_same_half_each_time():
    straight, flip = graph(), graph(options={"flip": True})
    turned = (straight.edge_index != flip.edge_index).any(axis=0)
    np.testing.assert_array_equal(straight.edge_index[:, turned], flip.edge_index[::-1, turned])
    count = len(turned)
    assert abs(turned.sum() - count / 2) < 4 * np.sqrt(count) / 2
    np.testing.assert_array_equal(straight.label, flip.label)
    same(flip, graph(options={"flip": True}))
    for other in (graph(options={"flip": True, "seed": 1}), graph(name="event000000002", options={"flip": True})):
        assert (other.edge_index != flip.edge_index).any()


@pytest.mark.parametrize("options", [{}, {"max_neighbors": 3}, {"flip": True}])
def test_the_order_of_the_search_does_not_matter(options):
    same(graph(options=options), graph(options=options, search=backwards))


def test_a_cap_keeps_what_either_hit_keeps_and_counts_the_cut():
    hits, vectors = event()
    built = build_graph(hits, vectors, pedigree(max_neighbors=2), within)
    near = within(vectors, 0.4, max_neighbors=2)
    wanted = sorted({(min(a, b), max(a, b)) for a, b in zip(near.query.tolist(), near.point.tolist(), strict=True)})
    assert [(min(a, b), max(a, b)) for a, b in built.edge_index.T.tolist()] == wanted
    assert built.cut == near.cut > 0


def test_the_graph_counts_itself():
    hits, vectors = event()
    built = build_graph(hits, vectors, pedigree(flip=True), within)
    assert built.counts() == count_event(each_pair_once(within(vectors, 0.4), len(hits)), hits.true)


def test_an_event_without_edges_is_a_graph():
    built = graph(options={"radius": 0.0})
    assert built.edge_index.shape == (2, 0)
    assert built.arrays()["edge_attr"].shape == (0, 1)


def test_hits_that_contradict_each_other_are_refused():
    hits, vectors = event()
    with pytest.raises(DataError, match="has 66 hits, but 65 vectors"):
        build_graph(hits, vectors[1:], pedigree(), within)
    for change, words in (
        ({"z": hits.z[1:]}, "differ in length"),
        ({"hit_id": np.zeros(len(hits), np.int64)}, "hit 0 is there twice"),
        ({"r": np.full(len(hits), np.nan, np.float32)}, "has the radius nan"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            build_graph(dataclasses.replace(hits, **change), vectors, pedigree(), within)
        assert "event000000001" in str(caught.value)
