import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from likewise.vectors.plan import PlannedBatch, parts, plan_batches, sample

LENGTHS = st.lists(st.integers(0, 40), max_size=60)


def plan(lengths, tokens=64, items=7):
    positions = np.arange(len(lengths), dtype=np.int64) * 2 + 1  # not every position need be computed
    return plan_batches(positions, np.array(lengths, dtype=np.int64), "document", tokens=tokens, items=items)


@given(LENGTHS, st.integers(1, 100), st.integers(1, 9))
def test_every_item_is_planned_once_within_the_budgets(lengths, tokens, items):
    batches = plan(lengths, tokens, items)
    found = [position for batch in batches for position in batch.positions.tolist()]
    assert sorted(found) == [2 * place + 1 for place in range(len(lengths))]
    for batch in batches:
        longest = max(lengths[(position - 1) // 2] for position in batch.positions)
        assert 1 <= len(batch) <= items
        assert len(batch) == 1 or len(batch) * longest <= tokens


@given(LENGTHS)
def test_longest_come_first_and_ties_by_position(lengths):
    order = [(position - 1) // 2 for batch in plan(lengths) for position in batch.positions.tolist()]
    assert order == sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))


def test_batches_are_filled():
    assert [len(batch) for batch in plan([10] * 13, tokens=64, items=100)] == [6, 6, 1]
    assert [len(batch) for batch in plan([100, 1, 1], tokens=64, items=100)] == [1, 2]
    assert plan([]) == []


@given(LENGTHS, st.integers(1, 30))
def test_parts_are_the_batches_in_order(lengths, size):
    batches = plan(lengths)
    cut = list(parts(batches, size))
    assert [batch for part in cut for batch in part] == batches
    assert all(sum(len(batch) for batch in part) >= size for part in cut[:-1])
    assert all(sum(len(batch) for batch in part[:-1]) < size for part in cut)


def test_sample_takes_all_lengths_of_one_role():
    lengths = np.arange(100, 0, -1)
    batches = plan_batches(np.arange(100), lengths, "query", tokens=300, items=50)
    batches += plan_batches(np.arange(100, 200), lengths, "document", tokens=300, items=50)
    tried = sample(batches, 8)
    assert tried.role == "query"
    assert tried.positions.tolist() == [0, 14, 28, 42, 57, 71, 85, 99]
    assert sample([PlannedBatch(np.array([3, 5]), "document")], 8).positions.tolist() == [3, 5]
