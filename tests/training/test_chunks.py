from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.training.chunks import OVERHEAD, chunks_of_like_length

LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=60)


def cost(chunks: list[np.ndarray], lengths: np.ndarray) -> int:
    return sum(len(chunk) * int(lengths[chunk].max()) + OVERHEAD for chunk in chunks)


@given(LENGTHS, st.one_of(st.none(), st.integers(1, 9)))
def test_every_item_once_ascending_and_none_too_large(values: list[int], largest: int | None) -> None:
    lengths = np.array(values, dtype=np.int64)
    chunks = chunks_of_like_length(lengths, largest)
    joined = np.concatenate(chunks)
    assert sorted(joined.tolist()) == list(range(len(values)))
    assert (np.diff(lengths[joined]) >= 0).all()
    assert all(len(chunk) > 0 for chunk in chunks)
    assert largest is None or max(map(len, chunks)) <= largest


@given(st.lists(st.integers(1, 400), min_size=1, max_size=9))
def test_no_cut_of_the_sorted_lengths_is_cheaper(values: list[int]) -> None:
    lengths = np.array(values, dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    places = range(1, len(values))
    every = (np.split(order, list(cuts)) for count in range(len(values)) for cuts in combinations(places, count))
    assert cost(chunks_of_like_length(lengths), lengths) == min(cost(chunks, lengths) for chunks in every)


@pytest.mark.parametrize(("lengths", "sizes"), [([20] * 32 + [128] * 32, [32, 32]), ([100] * 32 + [101] * 32, [64]), ([7], [1])])
def test_cuts_pay(lengths: list[int], sizes: list[int]) -> None:
    assert [len(chunk) for chunk in chunks_of_like_length(np.array(lengths))] == sizes
