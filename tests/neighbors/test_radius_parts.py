"""The parts of the compiled radius search."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.neighbors.guard_band import band, largest_coordinate
from likewise.neighbors.kd_order import leaves, partition
from likewise.neighbors.lane_code import LANES
from likewise.neighbors.sorting import order_by_distance, radix_sort, scratch
from likewise.neighbors.threads import in_threads


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32), dimension=st.integers(1, 64), exponent=st.integers(-80, 40), offset=st.sampled_from([0, 1, 1000])
)
def test_the_guard_band_holds_every_wrong_float32_distance(seed, dimension, exponent, offset):
    rng = np.random.default_rng(seed)
    one, other = (((rng.standard_normal((50, dimension)) + offset) * 2.0**exponent).astype(np.float32) for _ in range(2))
    exact = np.sqrt(((one.astype(np.float64) - other) ** 2).sum(axis=1))
    single = np.zeros(50, dtype=np.float32)
    for difference in (one - other).T:
        single += difference * difference  # two roundings where the search has one
    for place in range(50):
        for radius in (exact[place], np.nextafter(exact[place], 0), np.nextafter(exact[place], np.inf)):
            bounds = band(radius, dimension)
            assert bounds.low <= single[place] <= bounds.high, "decided in float32 although at the radius"
        wide = band(float(exact[place]), dimension)
        assert (single > wide.high)[exact <= exact[place]].sum() == 0
        assert (single < wide.low)[exact > exact[place]].sum() == 0


@pytest.mark.parametrize("radius", [0.0, 1e-30, 1.0, 1e18, 1e30])
def test_the_guard_band_is_narrow_and_finite(radius):
    bounds = band(radius, 8)
    assert 0 <= bounds.low <= bounds.high < np.inf
    if 1e-10 < radius < 1e15:
        assert bounds.high / bounds.low < 1 + 2e-6


def test_the_largest_coordinate_leaves_squared_distances_finite():
    for dimension in (1, 8, 64, 1000):
        most = np.float32(largest_coordinate(dimension))
        assert np.isfinite(np.float32(dimension) * (2 * most) ** 2)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000, 5000])
@pytest.mark.parametrize("threads", [1, 4])
def test_leaves_hold_every_point_once_inside_their_boxes(count, threads, rng):
    points = rng.standard_normal((count, 8)).astype(np.float32)
    made = leaves(points, threads)
    assert sorted(made.rows[:count]) == list(range(count))
    assert len(made.tiles) == math.ceil(count / LANES)
    assert np.array_equal(made.slots[:count], points[made.rows[:count]])
    by_slot = made.tiles.transpose(0, 2, 1).reshape(-1, 8)
    assert np.array_equal(by_slot[:count], made.slots[:count])
    assert np.isinf(by_slot[count:]).all()
    for leaf in range(len(made.tiles)):
        own = made.slots[leaf * LANES : min(count, (leaf + 1) * LANES)]
        assert np.array_equal(made.low[leaf], own.min(axis=0))
        assert np.array_equal(made.high[leaf], own.max(axis=0))
        assert np.array_equal(made.low_tiles[leaf // LANES, :, leaf % LANES], made.low[leaf])


def test_leaves_are_compact(rng):
    points = rng.uniform(0, 1, (64 * 64, 2)).astype(np.float32)
    made = leaves(points, 1)
    assert (made.high - made.low).mean() < 0.2  # 64 leaves of a square: 1/8 wide if all were squares


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 300), values=st.sampled_from([1, 3, 1000]))
def test_partition(seed, count, values):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, values, count).astype(np.float32)
    rows = np.arange(count, dtype=np.int32)
    middle = int(rng.integers(0, count))
    moved = keys.copy()
    partition(moved, rows, 0, count, middle)
    assert np.array_equal(moved, keys[rows])
    assert moved[:middle].max(initial=-1) <= moved[middle:].min()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(0, 2000), bits=st.integers(1, 31))
def test_radix_sort(seed, count, bits):
    high = np.random.default_rng(seed).integers(0, 2**bits, count).astype(np.uint64)
    words = high << np.uint64(32) | np.arange(count, dtype=np.uint64)
    assert np.array_equal(radix_sort(words.copy(), bits), np.sort(words))


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(0, 400),
    values=st.sampled_from([1, 5, 100, 10**9]),
    scale=st.sampled_from([1e-40, 1, 1e18]),
)
def test_order_by_distance(seed, count, values, scale):
    rng = np.random.default_rng(seed)
    work = scratch(400)
    work.exact[:count] = np.sqrt(rng.integers(0, values, count)) * scale
    work.rows[:count] = rng.permutation(count)
    order_by_distance(count, work)
    assert np.array_equal(work.order[:count], np.lexsort((work.rows[:count], work.exact[:count])))


def test_an_error_in_a_thread_is_raised():
    def fail_in_the_second(number):
        if number == 1:
            raise ValueError("in the second")
        return number

    with pytest.raises(ValueError, match="in the second"):
        in_threads(fail_in_the_second, 3)
    assert in_threads(lambda number: number, 3) == [0, 1, 2]
