"""Groups as evidence: every pair, how many, and pairs drawn for training, against loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.data.evidence import evidence_of
from likewise.data.groups import GroupPairs, Groups, listed, partners
from likewise.testing.corpora import grouped_corpus, small_corpus
from likewise.testing.evidence import check_evidence
from likewise.types import Pairs

NOTHING = Pairs(*(np.empty(0, dtype) for dtype in (np.int64, np.int64, np.int8, np.float32)))


@st.composite
def cases(draw):
    """Groups (some none), near-duplicate classes, rows that ask and what is allowed."""
    count = draw(st.integers(1, 14))
    numbers = st.lists(st.integers(-1, 3), min_size=count, max_size=count)
    classes = st.lists(st.integers(0, count - 1), min_size=count, max_size=count)
    chosen = st.lists(st.booleans(), min_size=count, max_size=count)
    return (
        np.array(draw(numbers), np.int64),
        np.array(draw(classes), np.int64),
        np.flatnonzero(draw(chosen)).astype(np.int64),
        np.array(draw(chosen), np.bool_),
    )


def slowly(groups, classes, rows, among):
    return [
        (int(a), b)
        for a in rows
        for b in range(len(groups))
        if groups[a] >= 0 and groups[a] == groups[b] and classes[a] != classes[b] and among[b]
    ]


@given(cases())
def test_pairs_and_their_number_are_those_of_a_loop(case):
    expected = slowly(*case)
    found = listed(*case)
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == expected
    assert (found.label == 1).all()
    assert (found.weight == 1).all()
    assert partners(*case).tolist() == [sum(a == row for a, _ in expected) for row in case[2].tolist()]


@given(cases(), st.integers(0, 5), st.integers(0, 3))
def test_drawn_pairs_have_each_row_once_with_another_of_its_group(case, seed, epoch):
    groups, classes, rows, _ = case
    among = np.isin(np.arange(len(groups)), rows)
    allowed = slowly(groups, classes, rows, among)
    drawn = GroupPairs(groups, classes, rows, seed)
    found = drawn.of(epoch)
    assert found.a.tolist() == sorted({a for a, _ in allowed})
    assert len(drawn) == len(found.a)
    assert set(zip(found.a.tolist(), found.b.tolist(), strict=True)) <= set(allowed)
    again = GroupPairs(groups, classes, rows, seed).of(epoch)
    np.testing.assert_array_equal(again.b, found.b)


def test_every_partner_is_drawn_equally_often():
    groups, classes = np.zeros(6, np.int64), np.array([0, 0, 2, 3, 4, 5])
    drawn = GroupPairs(groups, classes, np.arange(6), seed=1)
    counts = np.zeros((6, 6), np.int64)
    for epoch in range(4000):
        pairs = drawn.of(epoch)
        np.add.at(counts, (pairs.a, pairs.b), 1)
    assert counts[0, 1] == counts[1, 0] == 0, "the copy of a picture is no partner"
    np.testing.assert_allclose(counts[0, 2:], 1000, rtol=0.1)
    np.testing.assert_allclose(counts[2, [0, 1, 3, 4, 5]], 800, rtol=0.12)


def test_groups_of_a_column():
    found = Groups.of(["b", None, "a", 3, "b"])
    assert found is not None
    assert found.names == ("3", "a", "b")
    assert found.codes.tolist() == [2, -1, 1, 0, 2]
    assert found.rows.tolist() == [0, 2, 3, 4]
    assert Groups.of([None, None]) is None


def test_only_a_source_that_says_so_has_groups(tmp_path):
    corpus = grouped_corpus(tmp_path / "one", ["a", None, "a"])
    assert corpus.groups is not None
    assert corpus.groups.codes.tolist() == [0, -1, 0]
    assert corpus.asking.tolist() == [0, 2]
    pairs = small_corpus(tmp_path / "two", [("q", "d")])
    assert pairs.groups is None
    assert pairs.asking.tolist() == [0]


@pytest.mark.parametrize("groups", [[0, 0, 1, 1, -1, -1, 2], [0, 0, 0, 1, 1, 2, 2]])
def test_evidence_joins_groups_and_near_duplicates(groups):
    classes = np.array([0, 1, 2, 3, 0, 5, 2])  # 4 copies 0, 6 copies 2
    evidence = evidence_of(NOTHING, classes, np.array(groups, np.int64))
    check_evidence(evidence, len(groups))

    def told(a, b):
        label, weight = evidence.label(np.array([a]), np.array([b]))
        return int(label[0]), float(weight[0])

    assert told(0, 1) == (1, 1)
    assert told(1, 3) == (0, 1)
    if groups[4] == -1:
        assert told(4, 1) == (1, 1), "an item without a group has that of its near-duplicate"
        assert told(5, 1) == (-1, 0)
        assert told(2, 6) == (1, 0), "near-duplicates of two groups contradict each other and are masked"
