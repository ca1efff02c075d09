import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data.components import components, join

edges = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=25)


def slow_components(count, pairs):
    smallest = list(range(count))
    for _ in range(count):
        for a, b in pairs:
            smallest[a] = smallest[b] = min(smallest[a], smallest[b])
    return smallest


def arrays(pairs):
    return (np.array([pair[column] for pair in pairs], np.int64) for column in (0, 1))


@given(edges, edges)
@settings(max_examples=150, deadline=None)
def test_equal_spreading_the_smallest_by_hand(first, second):
    once = components(15, *arrays(first + second))
    assert once.tolist() == slow_components(15, first + second)
    assert np.array_equal(join(components(15, *arrays(first)), *arrays(second)), once)


def test_a_long_chain():
    nodes = np.random.default_rng(0).permutation(20_000)
    assert not components(20_000, nodes[1:], nodes[:-1]).any()


def test_nothing():
    assert components(0, *arrays([])).tolist() == []
    assert components(3, *arrays([])).tolist() == [0, 1, 2]
