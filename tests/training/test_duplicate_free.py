import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.training.duplicate_free import duplicate_free


def partition_of(a, b, size, seed=0):
    return duplicate_free(np.array(a, np.int64), np.array(b, np.int64), size, np.random.default_rng(seed))


def check(a, b, size, partition):
    """Every pair once; batches of 2 to `size` pairs; no code twice in a batch, in whichever column."""
    everything = np.concatenate([partition.order, partition.left_out])
    assert np.array_equal(np.sort(everything), np.arange(len(a)))
    assert partition.start[-1] == len(partition.order)
    for number in range(len(partition)):
        pairs = partition.batch(number).tolist()
        assert 2 <= len(pairs) <= size
        codes = [code for pair in pairs for code in {int(a[pair]), int(b[pair])}]
        assert len(set(codes)) == len(codes)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(8, 20)), max_size=60),
    st.integers(2, 9),
    st.integers(0, 5),
)
@settings(max_examples=300, deadline=None)
def test_any_pairs_are_partitioned_without_repeats(pairs, size, seed):
    a, b = (np.array([pair[column] for pair in pairs], np.int64) for column in (0, 1))
    check(a, b, size, partition_of(a, b, size, seed))


@given(st.integers(2, 300), st.integers(2, 40))
@settings(max_examples=50, deadline=None)
def test_without_repeats_all_batches_but_one_are_full(count, size):
    partition = partition_of(np.arange(count), 1000 + np.arange(count), size)
    sizes = np.sort(np.diff(partition.start))
    full, rest = divmod(count, size)
    assert sizes.tolist() == ([rest] if rest >= 2 else []) + [size] * full
    assert len(partition.left_out) == (rest if rest == 1 else 0)


CASES = {
    "repeated queries and documents": lambda g: (g.integers(0, 2800, 4000), 10_000 + g.integers(0, 2400, 4000)),
    "40 documents in all": lambda g: (np.arange(4000), 10_000 + g.permutation(np.arange(4000) % 40)),
    "one text in both columns": lambda g: (g.integers(0, 3000, 4000), g.integers(0, 3000, 4000)),
    "200 queries, 200 documents": lambda g: (g.permutation(np.arange(4000) % 200), 1000 + np.arange(4000) // 20),
}


@pytest.mark.parametrize("case", CASES)
def test_batches_are_full_where_they_can_be(case):
    a, b = CASES[case](np.random.default_rng(3))
    partition = partition_of(a, b, 32)
    check(a, b, 32, partition)
    sizes = np.diff(partition.start)
    assert (sizes == 32).mean() >= 0.98
    assert len(partition.left_out) <= 1


def test_large_batches_with_many_repeats():
    generator = np.random.default_rng(5)
    a, b = generator.integers(0, 14_000, 20_000), 20_000 + generator.integers(0, 12_000, 20_000)
    partition = partition_of(a, b, 1024)
    check(a, b, 1024, partition)
    assert len(partition) <= 21


def test_fewer_documents_than_the_size_give_batches_of_that_many():
    a, b = np.arange(200), 1000 + np.arange(200) % 20
    partition = partition_of(a, b, 32)
    check(a, b, 32, partition)
    assert set(np.diff(partition.start)) == {20}


def test_a_document_of_most_pairs_leaves_out_only_what_would_stand_alone():
    a, b = np.arange(100), np.where(np.arange(100) < 80, 1000, 2000 + np.arange(100))
    partition = partition_of(a, b, 8)
    check(a, b, 8, partition)
    assert set(b[partition.left_out]) <= {1000}
    assert (np.isin(np.arange(80, 100), partition.order)).all()


def test_a_star_cannot_be_batched():
    partition = partition_of([7] * 5, [1, 2, 3, 4, 5], 4)
    assert len(partition) == 0
    assert len(partition.left_out) == 5


def test_a_pair_of_one_text_does_not_repeat_itself():
    partition = partition_of([1, 2], [1, 2], 2)
    assert len(partition) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pairs(count):
    partition = partition_of(np.arange(count), np.arange(count), 2)
    assert len(partition) == 0
    assert len(partition.left_out) == count


def test_seeds_decide_and_only_seeds():
    a, b = np.arange(100), 100 + np.arange(100)
    first, again, other = (partition_of(a, b, 8, seed).order for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pairs_meet_all_others():
    """Dealing must not keep some pairs apart: over many epochs any two of 24 pairs share a batch about equally often."""
    met = np.zeros((24, 24))
    for seed in range(600):
        partition = partition_of(np.arange(24), 100 + np.arange(24), 6, seed)
        for number in range(len(partition)):
            batch = partition.batch(number)
            met[np.ix_(batch, batch)] += 1
    apart = met[~np.eye(24, dtype=bool)]
    expected = 600 * 5 / 23
    assert abs(apart - expected).max() < 6 * np.sqrt(expected)
