"""Small events by hand, and a comparison of two."""

from __future__ import annotations

from typing import Any

import numpy as np

from likewise.data.events.event import HIT_COLUMNS, Event, make_event


def small_event(particle: Any, **columns: Any) -> Event:
    """An event of hits with the given particles, one after the other along their paths where nothing else is said."""
    particle = np.asarray(particle)
    count = len(particle)
    defaults = {
        "hit_id": np.arange(count),
        "x": np.arange(count) + 1.0,
        "y": np.zeros(count),
        "z": np.arange(count) * -2.0,
        "path": np.where(particle == 0, 0, np.arange(count)),
        "pt": np.where(particle == 0, 0, 1.5),
    }
    given = {name: np.asarray(values) for name, values in columns.items()}
    return make_event("event000000001", {**defaults, "particle": particle, **given}, file="by hand")


def assert_equal_events(got: Event, expected: Event) -> None:
    assert got.name == expected.name
    assert got.cell_names == expected.cell_names
    for name in (*HIT_COLUMNS, "cells"):
        ours, theirs = getattr(got, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype, name
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
