import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from likewise.data.intensity import Window, looks_swapped, window_of, windowed
from likewise.errors import DataError

SHAPE = (60, 80)


def smooth(low=5000, high=9000, noise=3.0, seed=0, shape=SHAPE):
    """A warm spot on a slope, as uint16."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    scene = np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 300) + 0.3 * x / shape[1]
    scene = (scene - scene.min()) / (scene.max() - scene.min())
    return np.clip(low + scene * (high - low) + generator.normal(0, noise, shape), 0, 65535).astype(np.uint16)


def with_hot_pixels():
    """A ramp within one upper byte, and single pixels far above it."""
    frame = np.tile(np.arange(13060, 13060 + 80, dtype=np.uint16), (60, 1))
    frame.ravel()[::97] += np.random.default_rng(0).integers(3000, 9000, len(frame.ravel()[::97])).astype(np.uint16)
    return frame


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_window_of_nothing_is_refused(low, high):
    with pytest.raises(DataError, match="holds no values; give two numbers"):
        Window(low, high)


def test_the_extreme_percentiles_are_the_extreme_values():
    frame = smooth()
    assert window_of(frame, 0, 100) == Window(float(frame.min()), float(frame.max()))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_percentiles_are_interpolated_between_sorted_values(dtype):
    frame = np.random.default_rng(1).integers(0, 200, (7, 9)).astype(dtype)
    ordered = sorted(frame.ravel().tolist())

    def percentile(percent):
        place = percent / 100 * (len(ordered) - 1)
        before = int(place)
        return ordered[before] + (place - before) * (ordered[before + 1] - ordered[before])

    window = window_of(frame, 2.5, 97)
    assert [window.low, window.high] == pytest.approx([percentile(2.5), percentile(97)])


@pytest.mark.parametrize(("low", "high"), [(-1, 50), (50, 50), (60, 40), (0, 101)])
def test_percentiles_that_bound_nothing(low, high):
    with pytest.raises(DataError, match=f"The percentiles {low} and {high} bound no window"):
        window_of(smooth(), low, high)


@given(
    arrays.arrays(st.sampled_from([np.uint8, np.uint16]), arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.floats(0, 45),
    st.floats(55, 100),
    st.sampled_from([1.0, 0.5, 2.2]),
)
@settings(max_examples=200, deadline=None)
def test_against_the_definition(frame, low_percent, high_percent, gamma):
    window = window_of(frame, low_percent, high_percent)
    result, clipped = windowed(frame, window, gamma=gamma)
    expected = np.empty(frame.shape)
    outside = 0
    for place, value in np.ndenumerate(frame):
        outside += not window.low <= value <= window.high
        if window.low == window.high:
            expected[place] = 0.5 if value == window.low else float(value > window.low)
        else:
            expected[place] = min(max((float(value) - window.low) / (window.high - window.low), 0.0), 1.0) ** gamma
    assert result.dtype == np.float32
    assert result.shape == frame.shape
    np.testing.assert_allclose(result, expected, atol=1e-7)
    assert clipped == outside


@given(st.integers(0, 65535), st.integers(0, 65535), st.sampled_from([1.0, 0.45, 2.2]))
@settings(max_examples=60, deadline=None)
def test_every_16_bit_value_within_the_window_stays_different(first, second, gamma):
    low, high = sorted((first, second))
    frame = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    if low == high:
        return
    result, clipped = windowed(frame, Window(low, high), gamma=gamma)
    assert clipped == 65536 - (high - low + 1)
    assert np.all(np.diff(result.ravel()[low : high + 1]) > 0)
    assert result.ravel()[low] == 0
    assert result.ravel()[high] == 1


def test_a_gamma_that_would_merge_values_is_refused():
    frame = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    with pytest.raises(DataError, match=r"with gamma = 0\.001 would make \d+ of 65536 different values equal.*nearer to 1\.$"):
        windowed(frame, Window(0, 65535), gamma=0.001)
    with pytest.raises(DataError, match="A gamma of 0 is not a power"):
        windowed(frame, Window(0, 65535), gamma=0)


@pytest.mark.parametrize("outlier", [1e9, -1e9])
def test_floats_far_from_an_outlier_are_not_merged_in_silence(outlier):
    frame = np.random.default_rng(2).uniform(280, 310, SHAPE).astype(np.float32)
    frame[0, 0] = outlier
    with pytest.raises(DataError, match=r"would make \d+ of \d+ different values equal to another; give a narrower window"):
        windowed(frame, window_of(frame, 0, 100))
    result, clipped = windowed(frame, window_of(frame, 0.1, 99.9))
    assert clipped == 10
    assert len(np.unique(result)) > 0.99 * frame.size


def test_floats_that_float32_has_no_room_for_between_0_and_1_are_kept_but_for_those():
    frame = np.random.default_rng(3).normal(0, 1, (300, 300)).astype(np.float32)
    result, clipped = windowed(frame, window_of(frame, 0, 100))
    assert clipped == 0
    order = np.argsort(frame, axis=None)
    assert np.all(np.diff(result.ravel()[order]) >= 0)
    assert len(np.unique(result)) > 0.95 * len(np.unique(frame))


def test_integers_of_32_bits_keep_all_values_or_are_refused():
    frame = np.arange(1 << 30, (1 << 30) + 300, dtype=np.int64).reshape(15, 20)
    result, _ = windowed(frame, window_of(frame, 0, 100))
    assert len(np.unique(result)) == 300
    frame[0, 0] = 0
    with pytest.raises(DataError, match=r"would make \d+ of 300 different values equal"):
        windowed(frame, window_of(frame, 0, 100))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("clahe", [None, 2.0])
def test_a_constant_frame_is_the_middle(dtype, clahe):
    frame = np.full((9, 11), 77, dtype)
    result, clipped = windowed(frame, window_of(frame, 0, 100), clahe=clahe)
    assert clipped == 0
    assert np.all(result == 0.5)


def test_pixels_outside_are_counted():
    frame = np.array([[0, 5, 10, 15, 20]], np.uint16)
    result, clipped = windowed(frame, Window(5, 15))
    assert result.tolist() == [[0, 0, 0.5, 1, 1]]
    assert clipped == 2


def test_8_bits_in_their_own_range_are_themselves():
    frame = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(windowed(frame, Window(0, 255))[0], (frame / 255).astype(np.float32))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("low", "high"), [(5000, 9000), (0, 65535), (16000, 16900), (300, 900), (20000, 21000), (12990, 13400)])
def test_swapped_bytes_are_told_and_right_ones_are_not(low, high, seed):
    frame = smooth(low, high, noise=(high - low) / 400, seed=seed)
    assert not looks_swapped(frame)
    assert looks_swapped(frame.byteswap())


@pytest.mark.parametrize(
    "frame",
    [
        np.full(SHAPE, 513, np.uint16),
        np.zeros((1, 50), np.uint16),
        smooth().astype(np.float32),
        (smooth() >> 6).astype(np.uint8),
        (smooth() >> 6) & 255,  # 8 bits in 16
        ((smooth() >> 6) & 255) << 8,  # 8 bits as the upper ones
        smooth() << 2,  # 14 bits as the upper ones
        with_hot_pixels(),
        np.random.default_rng(0).integers(0, 65536, SHAPE).astype(np.uint16),
    ],
)
def test_frames_that_cannot_tell_do_not_look_swapped(frame):
    assert not looks_swapped(frame)
