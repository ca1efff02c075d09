import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data.evidence import PairEvidence, evidence_of
from likewise.data.groups import GroupPairs
from likewise.errors import DataError
from likewise.losses.options import CosineOptions
from likewise.testing.batches import assert_equal, check_batches
from likewise.training.batches import PairBatches
from likewise.training.options import TrainOptions
from likewise.types import Negatives, Pairs


def pairs_of(rows):
    a, b, label, weight = (list(column) for column in zip(*rows, strict=True))
    return Pairs(np.array(a, np.int64), np.array(b, np.int64), np.array(label, np.int8), np.array(weight, np.float32))


def negatives_of(rows):
    anchor, item = (np.array(column, np.int64) for column in zip(*sorted(rows), strict=True))
    return Negatives(anchor, item, np.zeros(len(anchor), np.float32), np.arange(len(anchor), dtype=np.int64))


def listed(batch):
    """{(query item, document item): (label, weight)} of everything a batch lists."""
    pairs = batch.pairs
    keys = zip(batch.rows[pairs.a].tolist(), batch.columns[pairs.b].tolist(), strict=True)
    return dict(zip(keys, zip(pairs.label.tolist(), pairs.weight.tolist(), strict=True), strict=True))


def batches_of(rows, items=None, *, classes=None, negatives=None, seed=0, **options):
    pairs = pairs_of(rows)
    items = items or int(max(pairs.a.max(), pairs.b.max())) + 1
    classes = np.arange(items) if classes is None else np.array(classes)
    evidence = PairEvidence(pairs, items, classes)
    return PairBatches(pairs, classes, evidence, TrainOptions(**options), negatives=negatives, seed=seed)


def plain(count):
    """`count` queries 0 …, each with one document count …"""
    return [(n, count + n, 1, 1.0) for n in range(count)]


@st.composite
def cases(draw):
    queries, documents = draw(st.integers(2, 8)), draw(st.integers(2, 8))
    items = queries + documents
    row = st.tuples(
        st.integers(0, queries - 1),
        st.integers(queries, items - 1),
        st.sampled_from([1, 1, 1, 0]),
        st.sampled_from([1.0, 1.0, 0.5, 0.0]),
    )
    rows = draw(st.lists(row, min_size=1, max_size=20, unique_by=lambda pair: pair[:2]))
    classes = draw(st.lists(st.integers(0, items + 10), min_size=items, max_size=items))
    mined = draw(
        st.lists(st.tuples(st.integers(0, queries - 1), st.integers(queries, items - 1)), min_size=1, max_size=20, unique=True)
    )
    return rows, items, np.array(classes), negatives_of(mined)


@given(cases(), st.booleans(), st.sampled_from([None, 0, 1, 2]), st.integers(2, 5))
@settings(max_examples=120, deadline=None)
def test_contract(case, hard_positives, negatives_per_pair, batch_size):
    rows, items, classes, negatives = case
    pairs = pairs_of(rows)
    evidence = PairEvidence(pairs, items, classes)
    options = TrainOptions(batch_size=batch_size, epochs=2, hard_positives=hard_positives, negatives_per_pair=negatives_per_pair)

    def make():
        return PairBatches(pairs, classes, evidence, options, negatives=negatives, seed=4)

    try:
        made = make()
    except DataError:
        return
    check_batches(make, evidence)
    for batch in made:
        check_texts(batch, classes)
        check_listed(batch, evidence, rows, classes, hard_positives)


def check_texts(batch, classes):
    """No query class twice, no document class twice."""
    assert len(set(classes[batch.rows])) == len(batch.rows)
    assert len(set(classes[batch.columns])) == len(batch.columns)


def check_listed(batch, evidence, rows, classes, hard_positives):
    """Brute force: a listed pair is the planned one, or alike (trained or masked), or a negative."""
    given_pairs = {(a, b): weight for a, b, label, weight in rows if label == 1}
    for position, (query, own) in enumerate(zip(batch.rows, batch.columns[: len(batch.rows)], strict=True)):
        assert (query, own) in given_pairs, "column i is the document of row i"
        for document in batch.columns:
            entry = listed(batch).get((query, document))
            label, weight = (part[0] for part in evidence.label(np.array([query]), np.array([document])))
            if document == own:
                assert entry == (1, given_pairs[query, own])
            elif classes[query] == classes[document]:
                assert entry == (1, 0.0)
            elif label == 1:
                assert entry == (1, weight if hard_positives else 0.0)
            else:
                assert entry in (None, (0, 1.0))
        assert position < len(batch.rows)


def test_every_pair_once_per_epoch():
    loader = batches_of(plain(10), batch_size=4, epochs=3)
    assert loader.epoch_lengths == (3, 3, 3)
    assert loader.epoch_ends == (3, 6, 9)
    batches = list(loader)
    for epoch in range(3):
        rows = np.concatenate([batch.rows for batch in batches[3 * epoch : 3 * epoch + 3]])
        assert sorted(rows.tolist()) == list(range(10))
    assert not np.array_equal(batches[0].rows, batches[3].rows)


def test_another_positive_in_the_batch_is_trained_or_masked():
    rows = [(0, 2, 1, 1.0), (0, 3, 1, 0.5), (1, 3, 1, 1.0)]
    for hard_positives, expected in ((True, (1, 0.5)), (False, (1, 0.0))):
        loader = batches_of(rows, batch_size=2, epochs=20, hard_positives=hard_positives)
        found = [listed(batch) for batch in loader]
        together = [entries for entries in found if (0, 2) in entries and (1, 3) in entries]
        assert together
        assert all(entries[0, 3] == expected for entries in together)


def test_a_near_duplicate_of_the_positive_is_masked_for_all_who_know_it():
    # document 4 is a near-duplicate of document 3, mined as a negative of query 1; query 0 knows 3
    rows = [(0, 3, 1, 1.0), (1, 2, 1, 1.0)]
    loader = batches_of(
        rows,
        6,
        classes=[0, 1, 2, 3, 3, 5],
        negatives=negatives_of([(1, 4), (1, 5)]),
        batch_size=2,
        epochs=1,
        hard_positives=False,
    )
    (batch,) = loader
    assert 4 not in batch.columns, "one column per class"
    entries = listed(batch)
    assert entries[1, 3] == (0, 1.0), "the negative stands for its class"
    assert entries[1, 5] == (0, 1.0)
    assert (0, 5) not in entries, "another's negative is simply a column"


def test_copies_of_a_query_are_masked():
    rows = [(0, 2, 1, 1.0), (1, 3, 1, 1.0)]
    loader = batches_of(rows, 5, classes=[0, 1, 2, 3, 0], negatives=negatives_of([(1, 4)]), batch_size=2, epochs=1)
    (batch,) = loader
    assert listed(batch)[0, 4] == (1, 0.0)
    assert listed(batch)[1, 4] == (0, 1.0)


def test_mined_negatives_that_became_positives_are_not_drawn():
    rows = [(0, 2, 1, 1.0), (1, 3, 1, 1.0), (0, 4, 1, 1.0)]
    loader = batches_of(rows, 6, negatives=negatives_of([(0, 4), (0, 5)]), batch_size=2, epochs=1)
    assert all(listed(batch).get((0, 4)) != (0, 1.0) for batch in loader)


def test_negatives_are_drawn_anew_in_each_epoch():
    negatives = negatives_of([(query, item) for query in range(4) for item in range(8, 28)])
    loader = batches_of(plain(4), 28, negatives=negatives, batch_size=4, epochs=30, negatives_per_pair=2)
    seen = set()
    for batch in loader:
        drawn = {document for (query, document), (label, _) in listed(batch).items() if query == 0 and label == 0}
        assert len(drawn) >= 2
        assert sum(label == 0 for label, _ in listed(batch).values()) == 8
        seen |= drawn
    assert seen == set(range(8, 28))


def test_all_negatives_without_a_limit_and_none_with_zero():
    negatives = negatives_of([(0, 4), (0, 5), (1, 5)])
    (everything,) = batches_of(plain(2), 6, negatives=negatives, batch_size=2, epochs=1)
    assert everything.columns.tolist()[2:] in ([4, 5], [5, 4])
    (nothing,) = batches_of(plain(2), 6, negatives=negatives, batch_size=2, epochs=1, negatives_per_pair=0)
    assert len(nothing.columns) == 2


def test_known_negatives_join_the_mined():
    rows = [*plain(2), (0, 4, 0, 1.0)]
    (batch,) = batches_of(rows, 5, batch_size=2, epochs=1)
    assert listed(batch)[0, 4] == (0, 1.0)


def test_a_loss_over_listed_pairs_is_given_both_labels():
    rows = [(n, 10 + n, n % 2, 1.0) for n in range(10)]
    batches = list(batches_of(rows, 20, batch_size=5, epochs=1, loss=CosineOptions()))
    entries = {key: value for batch in batches for key, value in listed(batch).items()}
    assert entries == {(n, 10 + n): (n % 2, 1.0) for n in range(10)}


def test_an_unknown_metric_is_refused_when_the_recipe_is_read():
    for name in ("metric", "guard"):
        with pytest.raises(ValueError, match='"ndgc@10" is not a metric'):
            TrainOptions(**{name: "ndgc@10"})


def test_contradicted_pairs_are_neither_trained_nor_drawn():
    # documents 2 and 3 are near-duplicates; query 0 is said to belong to one and not to the other
    rows = [(0, 2, 1, 1.0), (0, 3, 0, 1.0), (1, 4, 1, 1.0), (5, 6, 1, 1.0)]
    loader = batches_of(rows, 7, classes=[0, 1, 2, 2, 4, 5, 6], batch_size=2, epochs=1)
    assert loader.contradicted == 2
    (batch,) = loader
    assert sorted(batch.rows.tolist()) == [1, 5]


def test_gradient_caching_merges_the_batches_of_a_step():
    options = {"batch_size": 2, "accumulate": 3, "epochs": 1}
    assert len(batches_of(plain(12), **options)) == 6
    assert len(batches_of(plain(12), gradient_cache=2, **options)) == 2


def test_new_negatives_from_the_next_batch_on_and_after_a_resume():
    first, second = negatives_of([(query, 8) for query in range(4)]), negatives_of([(query, 9) for query in range(4)])

    def make():
        return batches_of(plain(4), 10, negatives=first, batch_size=2, epochs=2)

    loader = make()
    iterator = iter(loader)
    before = [next(iterator), next(iterator)]
    loader.replace_negatives(second, "negatives-001.parquet")
    state = loader.state_dict()
    after = list(iterator)
    assert all(batch.columns[-1] == 8 for batch in before)
    assert all(batch.columns[-1] == 9 for batch in after)
    assert state["negatives"] == "negatives-001.parquet"
    resumed = make()
    resumed.load_state_dict(state)
    with pytest.raises(AssertionError, match="bring back"):
        next(iter(resumed))
    resumed.replace_negatives(second, "negatives-001.parquet")
    for one, other in zip(resumed, after, strict=True):
        assert_equal(one, other)


def test_a_place_in_other_batches_is_refused():
    state = batches_of(plain(6), batch_size=2).state_dict()
    with pytest.raises(AssertionError, match="other batches"):
        batches_of(plain(6), batch_size=3).load_state_dict(state)


def test_seeds_decide():
    one, other = (next(iter(batches_of(plain(30), batch_size=4, seed=seed))).rows for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_pairs_that_all_share_a_text_are_refused_with_a_remedy():
    with pytest.raises(DataError, match="share"):
        batches_of([(n, 9, 1, 1.0) for n in range(5)])


def test_no_epochs_no_batches():
    loader = batches_of(plain(3), epochs=0)
    assert len(loader) == 0
    assert list(loader) == []


# Pairs drawn from groups


def of_groups(groups, classes=None, **options):
    groups = np.array(groups, np.int64)
    classes = np.arange(len(groups)) if classes is None else np.array(classes, np.int64)
    nothing = Pairs(*(np.empty(0, dtype) for dtype in (np.int64, np.int64, np.int8, np.float32)))
    evidence = evidence_of(nothing, classes, groups)
    drawn = GroupPairs(groups, classes, np.arange(len(groups)), 0)
    return PairBatches(drawn, classes, evidence, TrainOptions(**options)), evidence


def test_groups_keep_the_contract_of_batches():
    groups = [row % 7 if row % 9 else -1 for row in range(60)]
    classes = [0 if row == 7 else row for row in range(60)]
    evidence = of_groups(groups, classes)[1]
    check_batches(lambda: of_groups(groups, classes, epochs=3, batch_size=8)[0], evidence)


def test_each_epoch_has_other_partners_and_every_item_asks_once():
    batches, _ = of_groups([row % 5 for row in range(50)], epochs=2, batch_size=10)
    first, second = [], []
    for batch in batches:
        place = first if batches.epoch == 0 else second
        pairs = batch.columns[: len(batch.rows)]
        place += list(zip(batch.rows.tolist(), pairs.tolist(), strict=True))
        assert batches.epoch_ends[-1] == sum(batches.epoch_lengths), "looking ahead must not change what comes"
    assert len(first) > 40
    assert sorted(a for a, _ in first) == sorted({a for a, _ in first})
    assert set(first) != set(second)


def test_others_of_the_group_in_a_batch_are_positives_or_masked():
    groups = [row % 3 for row in range(30)]
    for hard in (True, False):
        batches, _ = of_groups(groups, epochs=1, batch_size=10, hard_positives=hard)
        batch = next(iter(batches))
        told = listed(batch)
        own = dict(zip(batch.rows.tolist(), batch.columns.tolist(), strict=False))
        others = 0
        for row in batch.rows.tolist():
            for column in batch.columns.tolist():
                if groups[row] == groups[column] and own[row] != column and row != column:
                    others += 1
                    assert told[row, column] == (1, 1.0 if hard else 0.0)
        assert others > 10
