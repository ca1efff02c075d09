import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.errors import DataError
from likewise.evaluation.edges import TrueEdges, each_pair_once, edge_keys, found_edges, key_pairs, label_edges
from likewise.neighbors import oracle
from likewise.types import Edges

HITS = 12
PAIRS = st.tuples(st.integers(0, HITS - 1), st.integers(0, HITS - 1)).filter(lambda pair: pair[0] != pair[1])


def directed(pairs, distance=None):
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Edges(array[0], array[1], np.zeros(len(pairs), np.float32) if distance is None else np.asarray(distance), 3)


@given(st.lists(PAIRS, max_size=40))
def test_keys_name_unordered_pairs(pairs):
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    keys = edge_keys(array[0], array[1], HITS)
    assert keys.dtype == np.int64
    assert [tuple(pair) for pair in key_pairs(keys, HITS).T] == [(min(pair), max(pair)) for pair in pairs]
    np.testing.assert_array_equal(keys, edge_keys(array[1], array[0], HITS))


def test_keys_hold_for_the_largest_events():
    most = 3_000_000_000
    np.testing.assert_array_equal(
        key_pairs(edge_keys(np.array([most - 1]), np.array([most - 2]), most), most).T, [[most - 2, most - 1]]
    )


@given(st.lists(st.tuples(PAIRS, st.floats(0, 1, width=32)), max_size=40))
def test_each_pair_once_is_the_union_of_both_directions(drawn):
    nearest = {}
    for (a, b), distance in drawn:
        key = (min(a, b), max(a, b))
        nearest[key] = min(distance, nearest.get(key, np.inf))
    once = each_pair_once(directed([pair for pair, _ in drawn], np.array([d for _, d in drawn], np.float32)), HITS)
    assert list(zip(once.query.tolist(), once.point.tolist(), strict=True)) == sorted(nearest)
    assert once.distance.tolist() == [nearest[key] for key in sorted(nearest)]
    assert once.cut == 3


def test_a_search_of_all_hits_is_halved():
    points = np.random.default_rng(0).random((60, 3))
    both = oracle.within(points, 0.4)
    once = each_pair_once(both, 60)
    assert 2 * len(once.query) == len(both.query)
    again = each_pair_once(once, 60)
    assert again.distance is once.distance  # nothing to do


@given(st.lists(st.tuples(PAIRS, st.booleans(), st.floats(0, 4, width=32)), max_size=30), st.lists(PAIRS, max_size=40))
def test_labels_are_membership(true_rows, candidates):
    known = {}
    for (a, b), signal, weight in true_rows:
        key = (min(a, b), max(a, b))
        before = known.get(key, (False, 0.0))
        known[key] = (before[0] or signal, max(before[1], weight))
    pairs, signals, weights = zip(*true_rows, strict=True) if true_rows else ([], [], [])
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    true = TrueEdges.of(array, hits=HITS, signal=np.array(signals, bool), weight=np.array(weights, np.float32))

    assert [tuple(pair) for pair in true.pairs.T] == sorted(known)
    assert list(zip(true.signal.tolist(), true.weight.tolist(), strict=True)) == [known[key] for key in sorted(known)]
    np.testing.assert_array_equal(np.sort(array[:, true.row], axis=0), true.pairs)

    label, place = label_edges(directed(candidates), true)
    told = [(1 if known[key][0] else -1) if key in known else 0 for key in ((min(p), max(p)) for p in candidates)]
    assert label.dtype == np.int8
    assert label.tolist() == told
    asked = {(min(p), max(p)) for p in candidates}
    assert found_edges(place, true).tolist() == [key in asked for key in sorted(known)]


def test_true_edges_that_cannot_be_are_refused():
    with pytest.raises(DataError, match=r"True edge 1 joins rows 2 and 5 of 5 hits"):
        TrueEdges.of(np.array([[0, 2], [1, 5]]), hits=5)
    with pytest.raises(DataError, match=r"True edge 0 joins row 3 to itself"):
        TrueEdges.of(np.array([[3], [3]]), hits=5)
    with pytest.raises(DataError, match=r"True edge 0 weighs nan"):
        TrueEdges.of(np.array([[3], [2]]), hits=5, weight=np.array([np.nan]))
