import numpy as np
import pytest

from likewise.data import contrast
from likewise.data.contrast import BINS, equalized


def slow_clipped(counts, limit):
    """One pixel's worth at a time: what is above the limit is handed to the least full bins that were not cut, evenly."""
    total = sum(counts)
    shares = [count / total for count in counts]
    clipped = [min(share, limit) for share in shares]
    for _ in range(2000):
        excess = 1 - sum(clipped)
        room = [place for place, share in enumerate(clipped) if share < limit - 1e-15]
        if excess < 1e-13 or not room:
            break
        for place in room:
            clipped[place] = min(limit, clipped[place] + excess / len(room))
    return clipped


def slow(frame, clip_limit):
    """The definition, pixel by pixel."""
    height, width = frame.shape
    rows, columns = min(8, height), min(8, width)
    maps = {}
    for row in range(rows):
        for column in range(columns):
            tile = [
                frame[y, x]
                for y in range(height)
                for x in range(width)
                if (y * rows // height, x * columns // width) == (row, column)
            ]
            counts = [0] * BINS
            for value in tile:
                counts[min(int(value * BINS), BINS - 1)] += 1
            maps[row, column] = slow_clipped(counts, max(clip_limit, 1) / BINS)

    def mapped(tile, value):
        place = min(int(value * BINS), BINS - 1)
        return sum(maps[tile][:place]) + (value * BINS - place) * maps[tile][place]

    result = np.empty(frame.shape)
    for y in range(height):
        for x in range(width):
            down, across = (y + 0.5) * rows / height - 0.5, (x + 0.5) * columns / width - 0.5
            total = 0.0
            for row, by_row in ((int(np.floor(down)), 1 - down % 1), (int(np.floor(down)) + 1, down % 1)):
                for column, by_column in ((int(np.floor(across)), 1 - across % 1), (int(np.floor(across)) + 1, across % 1)):
                    tile = min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
                    total += by_row * by_column * mapped(tile, float(frame[y, x]))
            result[y, x] = total
    return result


@pytest.mark.parametrize("shape", [(16, 24), (19, 33), (5, 40), (1, 1)])
@pytest.mark.parametrize("clip_limit", [1.5, 2.0, 10.0, 300.0])
def test_against_the_definition(shape, clip_limit):
    frame = (np.random.default_rng(4).random(shape) ** 3).astype(np.float32)
    result = equalized(frame, clip_limit)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, slow(frame, clip_limit), atol=1e-6)


@pytest.mark.parametrize("clip_limit", [0.5, 1.0])
def test_without_contrast_nothing_changes(clip_limit):
    frame = np.random.default_rng(5).random((20, 20), dtype=np.float32)
    assert np.array_equal(equalized(frame, clip_limit), frame)
    np.testing.assert_allclose(slow(frame, clip_limit), frame, atol=1e-6)


def test_a_greater_value_stays_a_greater_one_within_a_tile(monkeypatch):
    monkeypatch.setattr(contrast, "TILES", 1)
    frame = (np.random.default_rng(6).random((80, 80)) ** 4).astype(np.float32)
    result = equalized(frame, 3.0)
    order = np.argsort(frame, axis=None)
    rising = np.diff(frame.ravel()[order]) > 2e-6  # as far apart as float32 can show after the mapping
    assert rising.sum() > 3000
    assert np.all(np.diff(result.ravel()[order])[rising] > 0)


def test_a_faint_pattern_gains_contrast_and_a_greater_limit_gains_more():
    y, x = np.mgrid[:64, :64]
    frame = (0.5 + 0.02 * np.sin(x / 2) * np.sin(y / 3)).astype(np.float32)
    spreads = [float(np.ptp(equalized(frame, limit)[16:48, 16:48])) for limit in (1, 2, 5, 40)]
    assert spreads == sorted(spreads)
    assert spreads[-1] > 5 * spreads[0]


def test_the_result_is_between_0_and_1():
    for seed in range(5):
        frame = np.round(np.random.default_rng(seed).random((30, 41), dtype=np.float32))
        result = equalized(frame, 4.0)
        assert result.min() >= 0
        assert result.max() <= 1
