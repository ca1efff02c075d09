from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.events.small_events import small_event
from likewise.data.events.edges import By, all_pairs, consecutive_edges
from likewise.data.events.event import Event
from likewise.errors import DataError

PLACES: dict[By, Callable[[Event, int], Any]] = {
    "path": lambda event, hit: event.path[hit],
    "layer": lambda event, hit: (event.volume[hit], event.layer[hit]),
    "module": lambda event, hit: (event.volume[hit], event.layer[hit], event.module[hit]),
}


def paths(event: Event) -> list[list[int]]:
    """Every particle's hits in their order, by a loop."""
    hits = sorted(range(len(event)), key=lambda hit: (event.path[hit], event.hit_id[hit]))
    return [[hit for hit in hits if event.particle[hit] == particle] for particle in sorted({*event.particle.tolist()} - {0})]


def consecutive_by_loop(event: Event, by: By) -> set[tuple[int, int]]:
    edges = set()
    for hits in paths(event):
        steps: dict[Any, list[int]] = {}
        for hit in hits:
            steps.setdefault(PLACES[by](event, hit), []).append(hit)
        for here, there in pairwise(steps.values()):
            edges |= set(product(here, there))
    return edges


@st.composite
def events(draw: st.DrawFn) -> Event:
    count = draw(st.integers(1, 25))
    numbers = lambda low, high: draw(st.lists(st.integers(low, high), min_size=count, max_size=count))  # noqa: E731
    particle = np.array([0, 5, -(2**62), 2**60 + 1, 2**60 + 2])[numbers(0, 4)]  # neighbours that a float64 cannot tell apart
    places = {"volume": numbers(0, 1), "layer": numbers(0, 2), "module": numbers(0, 2)}
    return small_event(particle, path=np.array(numbers(0, 12)) / 2, **places)


@given(events(), st.sampled_from(["path", "layer", "module"]))
def test_consecutive_edges_are_those_of_a_loop(event: Event, by: By) -> None:
    edges = consecutive_edges(event, by)
    assert edges.dtype == np.int64
    found = list(zip(*edges.tolist(), strict=True))
    assert len(found) == len(set(found))
    assert set(found) == consecutive_by_loop(event, by)


@given(events())
def test_all_pairs_are_those_of_a_loop(event: Event) -> None:
    found = list(zip(*all_pairs(event).tolist(), strict=True))
    expected = {pair for hits in paths(event) for pair in combinations(hits, 2)}
    assert len(found) == len(expected)
    assert set(found) == expected


def test_overlapping_modules_make_one_step() -> None:
    event = small_event([1, 1, 1, 1], volume=[0] * 4, layer=[1, 2, 2, 3], module=[1, 8, 9, 1])
    assert consecutive_edges(event, "path").T.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert consecutive_edges(event, "module").T.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert consecutive_edges(event, "layer").T.tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]


def test_noise_has_no_edges() -> None:
    event = small_event([0, 0, 0])
    assert consecutive_edges(event, "path").shape == all_pairs(event).shape == (2, 0)


def test_layers_that_are_not_known_cannot_be_used() -> None:
    with pytest.raises(DataError, match="does not know the layer"):
        consecutive_edges(small_event([1, 1]), "layer")
