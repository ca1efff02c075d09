import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data import near_duplicates
from likewise.data.components import components
from likewise.data.near_duplicates import Sets, jaccard, join_similar


def sets_of(members):
    """Sets of small integers, hashed so that their first bits differ."""
    flat = [sorted(int(n) * 0x9E3779B97F4A7C15 % 2**64 for n in set(values)) for values in members]
    start = np.concatenate([[0], np.cumsum([len(values) for values in flat])]).astype(np.int64)
    return Sets(np.array([n for values in flat for n in values], np.uint64), start)


def similarity(x, y):
    return len(set(x) & set(y)) / len(set(x) | set(y)) if x or y else 0.0


def slow_classes(members, threshold, edges=()):
    pairs = [
        (i, j)
        for i in range(len(members))
        for j in range(i)
        if members[i] and similarity(members[i], members[j]) >= threshold - 1e-12
    ]
    pairs += list(edges)
    a, b = (np.array([pair[column] for pair in pairs], np.int64) for column in (0, 1))
    return components(len(members), a, b)


collections = st.lists(st.lists(st.integers(0, 11), max_size=10), max_size=14)


@given(collections, st.sampled_from([0.3, 0.5, 0.75, 0.8, 0.9, 1.0]))
@settings(max_examples=250, deadline=None)
def test_no_pair_is_missed(members, threshold):
    found = join_similar(sets_of(members), np.arange(len(members)), threshold)
    assert found.classes.tolist() == slow_classes(members, threshold).tolist()
    assert found.not_compared == 0


@given(collections.filter(bool), st.data())
@settings(max_examples=60, deadline=None)
def test_similarity(members, data):
    place = st.integers(0, len(members) - 1)
    pairs = data.draw(st.lists(st.tuples(place, place), max_size=10))
    a, b = (np.array([pair[column] for pair in pairs], np.int64) for column in (0, 1))
    assert jaccard(sets_of(members), a, b).tolist() == [similarity(members[i], members[j]) for i, j in pairs]


def edited_copies(generator, count, size, edits):
    base = generator.integers(0, 10_000, (count // 2, size))
    copies = base.copy()
    for row in copies:
        row[generator.choice(size, edits, replace=False)] = generator.integers(20_000, 90_000, edits)
    return [row.tolist() for row in np.concatenate([base, copies])]


@pytest.mark.parametrize("edits", [1, 4, 6])
def test_larger_sets_against_brute_force(edits):
    members = edited_copies(np.random.default_rng(edits), 120, 60, edits)
    assert join_similar(sets_of(members), np.arange(120), 0.85).classes.tolist() == slow_classes(members, 0.85).tolist()


def test_slices_of_any_size_give_the_same(monkeypatch):
    members = edited_copies(np.random.default_rng(7), 60, 20, 1)
    whole = join_similar(sets_of(members), np.arange(60), 0.8).classes
    monkeypatch.setattr(near_duplicates, "AT_ONCE", 50)
    assert np.array_equal(join_similar(sets_of(members), np.arange(60), 0.8).classes, whole)


def test_only_the_first_of_a_class_is_compared():
    members = [[1, 2, 3], [7, 8, 9], [7, 8, 9]]
    found = join_similar(sets_of(members), np.array([0, 0, 2]), 0.9)
    assert found.classes.tolist() == [0, 0, 2]


def test_a_boilerplate_is_joined_in_a_few_steps(monkeypatch):
    """3000 sets that share 60 elements and have one of their own: their pairs would be 4.5 million."""
    compared = []
    monkeypatch.setattr(near_duplicates, "jaccard", lambda sets, a, b: compared.append(len(a)) or jaccard(sets, a, b))
    members = [[*range(60), 100 + n] for n in range(3000)]
    assert not join_similar(sets_of(members), np.arange(3000), 0.9).classes.any()
    assert sum(compared) < 4 * 3000


def test_templates_with_other_values_are_told_apart_without_comparing_them(monkeypatch):
    """2000 sets of 21 common elements and three values of 20, of 3 elements each: 150,000 pairs share a value."""
    compared = []
    monkeypatch.setattr(near_duplicates, "jaccard", lambda sets, a, b: compared.append(len(a)) or jaccard(sets, a, b))
    values = np.random.default_rng(8).permutation(20**3)[:2000]
    members = [
        [*range(21), *(1000 + 60 * field + 3 * (value // 20**field % 20) + n for field in range(3) for n in range(3))]
        for value in values.tolist()
    ]
    assert np.array_equal(join_similar(sets_of(members), np.arange(2000), 0.9).classes, np.arange(2000))
    assert sum(compared) < 2000


def test_what_the_last_step_joins_was_compared(monkeypatch):
    monkeypatch.setattr(near_duplicates, "FARTHEST", 1)
    found = join_similar(sets_of([[*range(20), 100 + n] for n in range(3)]), np.arange(3), 0.9)
    assert found.classes.tolist() == [0, 0, 0]
    assert found.not_compared == 0


def test_too_many_unlike_sets_around_one_element_are_counted(monkeypatch):
    monkeypatch.setattr(near_duplicates, "FARTHEST", 5)
    members = [[0, 1, *range(100 + 10 * n, 104 + 10 * n)] for n in range(50)]
    found = join_similar(sets_of(members), np.arange(50), 0.25)
    assert found.not_compared > 0
