import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from likewise.evaluation.retrieval import RetrievalTask
from likewise.evaluation.units import query_units
from likewise.types import Pairs

QUERIES, DOCUMENTS = 8, 8


@given(
    st.lists(st.tuples(st.integers(0, QUERIES - 1), st.integers(QUERIES, QUERIES + DOCUMENTS - 1)), min_size=1, max_size=14),
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=3),
)
def test_units_are_connected_components(known, near):
    classes = np.arange(QUERIES + DOCUMENTS)
    for a, b in near:
        classes[classes == classes[a]] = classes[b]
    a, b = (np.array(column, np.int64) for column in zip(*known, strict=True))
    pairs = Pairs(a, b, np.ones(len(a), np.int8), np.ones(len(a), np.float32))
    task = RetrievalTask.of(np.arange(QUERIES), np.arange(QUERIES, QUERIES + DOCUMENTS), pairs, classes)
    units = query_units(task)

    groups = [{int(classes[x]), int(classes[y])} for x, y in known]  # merged until none overlap
    merged = True
    while merged:
        merged = False
        for one in range(len(groups)):
            for two in range(one + 1, len(groups)):
                if groups[one] and groups[two] and groups[one] & groups[two]:
                    groups[one] |= groups[two]
                    groups[two] = set()
                    merged = True
    for one, first in enumerate(task.queries):
        for two, second in enumerate(task.queries):
            together = any(classes[first] in group and classes[second] in group for group in groups)
            assert (units[one] == units[two]) == together


def test_a_long_chain_is_one_unit():
    """Each query shares a document with the next."""
    count = 500
    a = np.repeat(np.random.default_rng(0).permutation(count), 2)
    b = count + np.clip(np.arange(2 * count) // 2 + np.arange(2 * count) % 2, 0, count - 1)
    pairs = Pairs(a, b, np.ones(len(a), np.int8), np.ones(len(a), np.float32))
    task = RetrievalTask.of(np.arange(count), np.arange(count, 2 * count), pairs, np.arange(2 * count))
    assert len(set(query_units(task).tolist())) == 1
