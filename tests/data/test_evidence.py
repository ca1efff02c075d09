import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data.evidence import GroupEvidence, PairEvidence, Together
from likewise.testing.evidence import check_evidence
from likewise.types import Pairs

WEIGHTS = (0.0, 0.5, 1.0, 2.0)


def pairs_of(rows):
    a, b, label, weight = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    return Pairs(np.array(a, np.int64), np.array(b, np.int64), np.array(label, np.int8), np.array(weight, np.float32))


def slow_pair_label(rows, classes, a, b):
    """The definition, in loops: gather every word about the two classes."""
    said = [(label, weight) for x, y, label, weight in rows if {classes[x], classes[y]} == {classes[a], classes[b]}]
    if classes[a] == classes[b]:
        said_labels = {1} | {label for label, _ in said}
        weights = [weight for _, weight in said] or [1.0]
    elif not said:
        return -1, 0.0
    else:
        said_labels = {label for label, _ in said}
        weights = [weight for _, weight in said]
    if len(said_labels) > 1 or 0.0 in weights:
        return 1, 0.0
    return said_labels.pop(), max(weights)


@st.composite
def pair_cases(draw):
    items = draw(st.integers(1, 9))
    row = st.integers(0, items - 1)
    rows = draw(st.lists(st.tuples(row, row, st.sampled_from([0, 1]), st.sampled_from(WEIGHTS)), max_size=20))
    classes = np.array(draw(st.lists(st.integers(0, 12), min_size=items, max_size=items)), np.int64)
    return items, rows, classes


@given(pair_cases())
@settings(max_examples=150, deadline=None)
def test_pairs_equal_their_definition(case):
    items, rows, classes = case
    evidence = PairEvidence(pairs_of(rows), items, classes)
    check_evidence(evidence, items)
    for a in range(items):
        label, weight = evidence.label(np.full(items, a), np.arange(items))
        assert list(zip(label.tolist(), weight.tolist(), strict=True)) == [
            slow_pair_label(rows, classes, a, b) for b in range(items)
        ]


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 2)), min_size=1, max_size=12), st.booleans())
@settings(max_examples=100, deadline=None)
def test_groups_equal_their_definition(rows, by_shard):
    codes, shards = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    evidence = GroupEvidence(codes, "shard", shards) if by_shard else GroupEvidence(codes)
    check_evidence(evidence, len(rows))
    for a in range(len(rows)):
        for b in range(len(rows)):
            comparable = codes[a] >= 0 and codes[b] >= 0 and (not by_shard or shards[a] == shards[b])
            expected = 1 if a == b else int(codes[a] == codes[b]) if comparable else -1
            assert evidence.label(np.array([a]), np.array([b]))[0].tolist() == [expected]


@given(pair_cases(), st.data())
@settings(max_examples=80, deadline=None)
def test_together_knows_what_any_part_knows_and_masks_what_parts_dispute(case, data):
    items, rows, classes = case
    codes = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=items, max_size=items)), np.int64)
    parts = PairEvidence(pairs_of(rows), items, classes), GroupEvidence(codes)
    together = Together(*parts)
    check_evidence(together, items)
    every = np.arange(items)
    (first, its_weight), (second, other_weight) = (part.label(every[:, None], every[None, :]) for part in parts)
    label, weight = together.label(every[:, None], every[None, :])
    for a in range(items):
        for b in range(items):
            said = [(x, w) for x, w in ((first[a, b], its_weight[a, b]), (second[a, b], other_weight[a, b])) if x >= 0]
            disputed = len({x for x, _ in said}) > 1 or any(w == 0 for _, w in said)
            assert label[a, b] == max((x for x, _ in said), default=-1)
            assert weight[a, b] == (0 if disputed else max((w for _, w in said), default=0))


def test_near_duplicates_share_what_is_known_of_one():
    classes = np.array([0, 1, 1, 3, 3])
    evidence = PairEvidence(pairs_of([(0, 1, 1, 2.0), (0, 3, 0, 1.0)]), 5, classes)
    label, weight = evidence.label(np.array([0, 0, 1, 2, 1]), np.array([2, 4, 2, 3, 0]))
    assert label.tolist() == [1, 0, 1, -1, 1]
    assert weight.tolist() == [2.0, 1.0, 1.0, 0.0, 2.0]


def test_positives_reach_through_classes_and_leave_the_row_itself_out():
    evidence = PairEvidence(pairs_of([(0, 2, 1, 1.0)]), 5, np.array([0, 0, 2, 2, 4]))
    found = evidence.positives(np.array([3, 0, 3]))
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [(0, 1), (0, 2), (0, 3), (3, 0), (3, 1), (3, 2)]


def test_scope_of_a_composition_is_the_widest():
    shard = GroupEvidence(np.array([0, 0]), "shard", np.array([0, 1]))
    assert Together(shard, shard).scope == "shard"
    assert Together(shard, PairEvidence(pairs_of([]), 2)).scope == "corpus"


def test_scope_shard_needs_shards():
    with pytest.raises(AssertionError, match="shards"):
        GroupEvidence(np.array([0, 0]), "shard")


def test_tables_are_copied_to_a_device_once():
    evidence = PairEvidence(pairs_of([(0, 1, 1, 1.0)]), 3)
    rows = torch.tensor([0, 1])
    assert evidence._tables.beside(rows)[0] is evidence._tables.beside(rows)[0]


def test_no_items_at_all():
    assert len(PairEvidence(pairs_of([]), 0).positives(np.array([], np.int64))) == 0
    assert len(GroupEvidence(np.array([], np.int64)).positives(np.array([], np.int64))) == 0


def test_the_contract_suite_notices_evidence_that_breaks_it():
    class OneWay(PairEvidence):
        def label(self, a, b):
            label, weight = super().label(a, b)
            return label * (a <= b), weight

    with pytest.raises(AssertionError):
        check_evidence(OneWay(pairs_of([(0, 1, 1, 1.0)]), 3), 3)
