import importlib.util
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likewise.data.components import components
from likewise.data.near_hashes import bands
from likewise.data.near_hashes.checks import MOST_BITS
from likewise.data.near_hashes.engine import prepare
from likewise.data.near_hashes.groups import groups_within
from likewise.data.near_hashes.index import HashIndex
from likewise.data.near_hashes.kernels import CHUNK
from likewise.data.near_hashes.pairs import pairs_within
from likewise.data.near_hashes.tasks import spread
from likewise.errors import DataError

ENGINES = ["numba", "numpy"]


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request, monkeypatch):
    """Everything holds for both ways to compare."""
    if request.param == "numba":
        assert importlib.util.find_spec("numba") is not None
    else:
        monkeypatch.setattr("likewise.data.near_hashes.engine.available", lambda: False)
    return request.param


@pytest.fixture
def always_in_bands(monkeypatch):
    """Few hashes are cut into bands, and their buckets again, as many would be; and few are a task."""
    monkeypatch.setattr("likewise.data.near_hashes.bands.SMALL", 4)
    monkeypatch.setattr("likewise.data.near_hashes.bands.LARGE", 8)
    monkeypatch.setattr("likewise.data.near_hashes.tasks.TASK", 50)
    monkeypatch.setattr("likewise.data.near_hashes.by_numpy.BLOCK", 100)
    for module in ("found", "pairs"):
        monkeypatch.setattr(f"likewise.data.near_hashes.{module}.PART", 7)


def slow_pairs(hashes, bits):
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    a, b = np.nonzero(np.triu(apart <= bits, 1))
    return a, b, apart[a, b]


def check(hashes, bits, threads=2):
    a, b, apart = slow_pairs(hashes, bits)
    found = pairs_within(hashes, bits, threads=threads)
    assert [column.dtype for column in found] == [np.int64, np.int64, np.uint8]
    assert np.array_equal(found.a, a)
    assert np.array_equal(found.b, b)
    assert np.array_equal(found.distance, apart)
    groups = groups_within(hashes, bits, threads=threads)
    assert groups.dtype == np.int64
    assert np.array_equal(groups, components(len(hashes), a, b))


def random_hashes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def changed(hashes, most, seed=0):
    """With up to `most` bits of each flipped."""
    generator = np.random.default_rng(seed)
    result = hashes.copy()
    for flips in generator.integers(0, most + 1, (most, len(hashes))) > np.arange(most)[:, None]:
        result ^= np.where(flips, np.uint64(1) << generator.integers(0, 64, len(hashes), dtype=np.uint64), np.uint64(0))
    return result


def planted(count, copies, most, seed=0):
    hashes = random_hashes(count - copies, seed)
    return np.random.default_rng(seed).permutation(np.concatenate([hashes, changed(hashes[:copies], most, seed)]))


# Few base values with few bits flipped: equal ones, near ones and chains are common.
flips = st.lists(st.integers(0, 63), max_size=6)
bases = st.sampled_from([0, 2**64 - 1, 0x0123456789ABCDEF, 0xFFFFFFFF00000000])
near_one = st.builds(lambda base, places: base ^ sum(1 << place for place in set(places)), bases, flips)
values = st.lists(near_one | st.integers(0, 2**64 - 1), max_size=40)


@given(values, st.integers(0, MOST_BITS), st.integers(1, 3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_pair_is_missed_and_none_found_twice(hashes, bits, threads):
    check(np.array(hashes, np.uint64), bits, threads)


@given(st.integers(5, 200), st.integers(0, MOST_BITS), st.integers(0, 2**32), st.integers(1, 3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nor_where_all_goes_through_bands(always_in_bands, count, bits, seed, threads):
    check(planted(count, count // 2, max(bits, 1), seed), bits, threads)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("bits", [0, MOST_BITS])
def test_hardly_any(count, bits):
    check(np.arange(count, dtype=np.uint64), bits)


@pytest.mark.parametrize("bits", [0, 1, 3, 4, 8, MOST_BITS])
def test_planted_among_random_ones(bits):
    check(planted(5000, 800, max(bits, 1), bits), bits)


@pytest.mark.parametrize("bits", [0, 4, MOST_BITS])
def test_all_equal(bits):
    check(np.full(700, 12345, np.uint64), bits)


@pytest.mark.parametrize("bits", [1, 4, 9])
@pytest.mark.parametrize("kept", [0x000000000000FFFF, 0xFFFFFFFF00000000, 0x0F0F0F0F0F0F0F0F], ids=hex)
def test_all_in_one_bucket_of_some_bands(always_in_bands, kept, bits):
    check(planted(600, 300, bits, bits) & np.uint64(kept), bits)


def test_all_in_one_bucket_at_full_size(monkeypatch):
    monkeypatch.setattr("likewise.data.near_hashes.bands.LARGE", 3000)
    check(planted(4500, 700, 3) & np.uint64(0xFFFFFFFFFF) | np.uint64(0xAB << 56), 3)


@pytest.mark.parametrize("bits", [2, 5])
def test_hashes_of_few_bits_set(always_in_bands, bits):
    """As dhash gives for pictures on a white ground: banding sorts most of them into one bucket."""
    generator = np.random.default_rng(3)
    bit = generator.random((800, 64)) < 0.06
    check(np.bitwise_or.reduce(bit.astype(np.uint64) << np.arange(64, dtype=np.uint64), axis=1), bits)


def test_a_dense_cloud():
    """Every number of 12 bits, twice over, somewhere in the middle of the word."""
    check(np.random.default_rng(5).permutation(np.repeat(np.arange(2**12, dtype=np.uint64), 2)) << np.uint64(26), 2)


def test_a_chain_is_one_group():
    """Each link is one bit from the next; the ends are 64 bits apart."""
    chain = np.array([(1 << length) - 1 for length in range(65)], np.uint64)
    order = np.random.default_rng(6).permutation(65)
    assert not groups_within(chain[order], 1).any()
    assert np.array_equal(groups_within(chain[order], 0), np.arange(65))


def test_the_number_of_threads_changes_nothing(monkeypatch):
    monkeypatch.setattr("likewise.data.near_hashes.tasks.TASK", 5000)
    hashes = planted(6000, 2000, 4)
    pairs, groups = pairs_within(hashes, 4, threads=1), groups_within(hashes, 4, threads=1)
    assert len(pairs.a) >= 2000
    for threads in (2, 5):
        for one, other in zip(pairs, pairs_within(hashes, 4, threads=threads), strict=True):
            assert np.array_equal(one, other)
        assert np.array_equal(groups, groups_within(hashes, 4, threads=threads))


def compared(hashes, bits):
    return sum(int((work.end - work.begin)[first:last].sum()) for work, first, last in bands.comparisons(hashes, bits))


def test_far_fewer_are_compared_than_all_with_all():
    hashes = np.unique(random_hashes(100_000))
    assert compared(hashes, 4) < len(hashes) ** 2 / 2 / 1000
    assert compared(hashes, 8) < len(hashes) ** 2 / 2 / 10
    low = np.unique(hashes & np.uint64(0xFFFFFFFFFF) | np.where(hashes < 2**56, hashes, 0))  # all but a few agree in 24 bits
    assert compared(low, 4) < len(low) ** 2 / 2 / 40


def test_where_bands_do_not_help_all_are_compared_once():
    hashes = np.unique(random_hashes(5000))
    assert compared(hashes, MOST_BITS) == len(hashes) * (len(hashes) - 1) // 2


@given(
    st.lists(near_one | st.integers(0, 2**64 - 1), min_size=2, max_size=20),
    st.integers(0, 2**64 - 1),
    st.integers(1, MOST_BITS + 1),
)
@settings(deadline=None)
def test_bands_are_apart_and_hold_up_to_sixteen_of_the_bits(hashes, free, count):
    known = np.array(hashes, np.uint64)
    masks = [int(mask) for mask in bands._bands(known, np.uint64(free), count)]
    varying = free & int(np.bitwise_or.reduce(known) ^ np.bitwise_and.reduce(known))
    if varying.bit_count() < count:
        assert masks == []
        return
    sizes = [mask.bit_count() for mask in masks]
    assert len(masks) == count
    assert min(sizes) >= 1
    assert max(sizes) <= 16
    assert sum(sizes) == sum(masks).bit_count() == (sum(masks) & varying).bit_count()
    if max(sizes) < 16:
        assert sum(masks) == varying


def test_bands_tell_as_much_as_each_other():
    """Half of the bits are set in one value of a hundred: they make a wide band."""
    hashes = random_hashes(20_000)
    rare = np.random.default_rng(1).random(20_000) < 0.01
    hashes[~rare] &= np.uint64(0xFFFFFFFF)
    masks = [int(mask) for mask in bands._bands(hashes, bands.ALL_BITS, 4)]
    assert [(mask & 0xFFFFFFFF).bit_count() for mask in masks] == [8, 8, 8, 8]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=5), st.sets(st.integers(0, 63), max_size=16))
def test_keys_hold_the_bits_under_the_mask(hashes, places):
    found = bands._key(np.array(hashes, np.uint64), np.uint64(sum(1 << place for place in places)))
    assert found.tolist() == [sum((value >> place & 1) << n for n, place in enumerate(sorted(places))) for value in hashes]


# Many that are alike


def test_too_many_pairs_are_not_listed_but_grouped(monkeypatch):
    monkeypatch.setattr("likewise.data.near_hashes.found.MOST_PAIRS", 1000)
    for hashes in (np.zeros(46, np.uint64), np.arange(64, dtype=np.uint64), np.repeat(np.arange(8, dtype=np.uint64), 8)):
        with pytest.raises(DataError, match=r"More than 1000 pairs are within bits = 6.*groups_within"):
            pairs_within(hashes, 6)
        assert not groups_within(hashes, 6).any()
    assert len(pairs_within(np.zeros(45, np.uint64), 6).a) == 990
    index = HashIndex()
    index.add(np.zeros(501, np.uint64))
    with pytest.raises(DataError, match=r"More than 1000 pairs are within bits = 6.*fewer hashes at a time"):
        index.near(np.zeros(2, np.uint64), 6)


def test_a_large_group_of_equal_hashes_costs_nothing():
    """20,000 equal hashes are 200 million pairs, and one value."""
    hashes = planted(3000, 500, 4)
    many = np.concatenate([np.full(20_000, hashes[7]), hashes])
    a, b, _ = slow_pairs(hashes, 4)
    expected = components(
        len(many), np.concatenate([np.arange(20_000), a + 20_000]), np.concatenate([np.full(20_000, 20_007), b + 20_000])
    )
    assert np.array_equal(groups_within(many, 4), expected)


def test_a_large_cloud_is_joined_without_listing():
    """Every number of 15 bits: 32 million pairs within 4 bits, one group."""
    cloud = np.arange(1 << 15, dtype=np.uint64) << np.uint64(30)
    assert not groups_within(cloud, 4).any()


# The index


@given(values, values, st.integers(0, MOST_BITS))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_index_finds_what_is_near(hashes, queries, bits):
    index = HashIndex()
    known, asked = np.array(hashes, np.uint64), np.array(queries, np.uint64)
    index.add(known)
    found = index.near(asked, bits, threads=2)
    apart = np.bitwise_count(asked[:, None] ^ known[None]).reshape(len(asked), len(known))
    expected = sorted((query, int(apart[query, row]), row) for query, row in zip(*np.nonzero(apart <= bits), strict=True))
    assert [*zip(found.query.tolist(), found.distance.tolist(), found.row.tolist(), strict=True)] == expected
    assert [column.dtype for column in found] == [np.int64, np.int64, np.uint8]


def test_an_index_grows():
    hashes = planted(3000, 1000, 3)
    index = HashIndex()
    whole = HashIndex()
    whole.add(hashes)
    for start in range(0, 3000, 7):
        assert len(index) == start
        index.add(hashes[start : start + 7])
        assert len(index._hashes) >= len(index) + CHUNK  # compiled code reads so far
    expected = whole.near(hashes[:200], 3)
    assert len(expected.row) >= 200
    assert len(index) == 3000
    for column, wanted in zip(index.near(hashes[:200], 3), expected, strict=True):
        assert np.array_equal(column, wanted)


def test_one_query_in_any_form():
    index = HashIndex()
    assert index.near(0, MOST_BITS).row.tolist() == []  # nor the room at the end, which is zero
    index.add(np.array([0b111, 0, 2**64 - 1, 0b1], np.uint64))
    readonly = np.zeros(1, np.uint64)
    readonly.flags.writeable = False
    for query in (0, np.uint64(0), np.zeros(1, np.uint64), readonly, np.zeros(4, np.uint64)[::4]):
        found = index.near(query, 3)
        assert found.row.tolist() == [1, 3, 0]
        assert found.distance.tolist() == [0, 1, 3]
    assert index.near(2**64 - 1, 0).row.tolist() == [2]


def test_many_queries_are_shared_among_threads(monkeypatch):
    for module in ("index", "tasks"):
        monkeypatch.setattr(f"likewise.data.near_hashes.{module}.TASK", 1000)
    hashes = planted(2000, 600, 4)
    index = HashIndex()
    index.add(hashes)
    for one, other in zip(index.near(hashes, 4, threads=1), index.near(hashes, 4, threads=3), strict=True):
        assert np.array_equal(one, other)


# The edges


def test_hashes_in_any_memory():
    hashes = planted(400, 100, 2)
    wide = np.stack([hashes, hashes], axis=1)[:, 0]
    wide.flags.writeable = False
    check(wide, 2)


def test_what_is_no_row_of_hashes_is_refused():
    index = HashIndex()
    for wrong in (np.zeros(3, np.int64), np.zeros((2, 2), np.uint64), [1, 2]):
        for ask in (lambda wrong=wrong: pairs_within(wrong, 1), lambda wrong=wrong: groups_within(wrong, 1)):
            with pytest.raises(DataError, match="give them as one row of uint64"):
                ask()
        with pytest.raises(DataError, match="give them as one row of uint64"):
            index.add(wrong)
        with pytest.raises(DataError, match="give them as one row of uint64"):
            index.near(wrong, 1)
    for hash_ in (-1, 2**64):
        with pytest.raises(DataError, match="does not fit into 64 bits"):
            index.near(hash_, 1)


@pytest.mark.parametrize("bits", [-1, MOST_BITS + 1])
def test_bits_out_of_range_are_refused(bits):
    index = HashIndex()
    hashes = np.zeros(2, np.uint64)
    for ask in (lambda: pairs_within(hashes, bits), lambda: groups_within(hashes, bits), lambda: index.near(0, bits)):
        with pytest.raises(DataError, match=rf"bits = {bits}; it must be from 0 to 16"):
            ask()


def test_threads_below_one_are_refused():
    hashes = np.zeros(2, np.uint64)
    for ask in (pairs_within, groups_within, HashIndex().near):
        for bits in (0, 1):
            with pytest.raises(DataError, match="threads = 0"):
                ask(hashes, bits, threads=0)


def test_more_hashes_than_keys_can_name_are_refused(monkeypatch):
    monkeypatch.setattr("likewise.data.near_hashes.checks.MOST_HASHES", 3)
    index = HashIndex()
    index.add(np.zeros(3, np.uint64))
    for ask in (lambda: index.add(np.zeros(1, np.uint64)), lambda: pairs_within(np.zeros(4, np.uint64), 1)):
        with pytest.raises(DataError, match="There are 4 hashes; search at most 3"):
            ask()


@pytest.mark.parametrize("others", [0, 1, 2])
def test_after_an_error_no_more_work_is_handed_out(others):
    handed = []

    def tasks():
        for number in range(1000):
            handed.append(number)
            yield number

    def fail(_):
        raise DataError("Enough.")

    def work(_):
        time.sleep(0.005)

    with pytest.raises(DataError, match="Enough"):
        spread(tasks(), [*[work] * others, fail])
    assert len(handed) < 500


def test_preparing_is_told(engine):
    said = []
    prepare(said.append)
    assert len(said) == (2 if engine == "numba" else 0)
