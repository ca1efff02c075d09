from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.data import sampling
from likewise.data.sampling import draw, draw_rows

COUNTS = st.dictionaries(st.text("ab", max_size=3), st.integers(0, 40), max_size=4)


@given(COUNTS, st.integers(1, 100), st.integers(0, 3))
def test_a_draw_has_the_size_asked_for(counts: dict[str, int], size: int, seed: int) -> None:
    drawn = draw_rows(counts, size, seed)
    assert list(drawn) == list(counts)
    assert sum(len(rows) for rows in drawn.values()) == min(size, sum(counts.values()))
    for name, rows in drawn.items():
        assert np.array_equal(rows, np.unique(rows))
        assert not len(rows) or (rows[0] >= 0 and rows[-1] < counts[name])


@given(COUNTS, st.integers(1, 50))
def test_a_smaller_draw_is_part_of_a_larger_one(counts: dict[str, int], size: int) -> None:
    smaller, larger = draw_rows(counts, size, 7), draw_rows(counts, size + 9, 7)
    assert all(set(smaller[name]) <= set(larger[name]) for name in counts)


def test_chunks_do_not_change_a_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_rows({"a": 1000, "b": 300}, 100, 0)
    monkeypatch.setattr(sampling, "CHUNK_ROWS", 13)
    parts = draw_rows({"a": 1000, "b": 300}, 100, 0)
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_every_row_has_the_same_chance() -> None:
    hits = np.zeros(60)
    for seed in range(2000):
        drawn = draw_rows({"a": 40, "b": 20}, 15, seed)
        hits[drawn["a"]] += 1
        hits[drawn["b"] + 40] += 1
    expected, deviation = 500.0, np.sqrt(2000 * 0.25 * 0.75)
    assert np.abs(hits - expected).max() < 4.5 * deviation


def test_drawn_keys_keep_their_order_and_count_once() -> None:
    keys = [f"key {n % 30}" for n in range(100)]
    drawn = draw(keys, 12, 0)
    assert len(drawn) == 12
    assert drawn == [key for key in dict.fromkeys(keys) if key in set(drawn)]
    assert draw(keys[::-1], 12, 0) != drawn  # another order,
    assert set(draw(keys[::-1], 12, 0)) == set(drawn)  # the same keys
    assert set(draw(keys, 12, 1)) != set(drawn)
    assert draw(["a", "a"], 5, 0) == ["a"]
