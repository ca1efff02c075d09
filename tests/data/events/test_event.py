from __future__ import annotations

import numpy as np
import pytest

from data.events.small_events import assert_equal_events, small_event
from likewise.data.events.event import HIT_COLUMNS, make_event
from likewise.errors import DataError


def test_cylindrical_coordinates() -> None:
    event = small_event([1, 1], x=[3.0, -1.0], y=[4.0, 0.0], z=[0.0, 2.0])
    np.testing.assert_allclose(event.r, [5, 1])
    np.testing.assert_allclose(event.phi, [np.arctan2(4, 3), np.pi], rtol=1e-6)
    theta = np.arctan2(event.r, event.z)
    np.testing.assert_allclose(event.eta, -np.log(np.tan(theta / 2)), atol=1e-6)
    assert event.r.dtype == event.phi.dtype == event.eta.dtype == np.float32


def test_columns_have_their_types_and_hits_are_counted() -> None:
    event = small_event([7, 0, 7, 9])
    assert all(getattr(event, name).dtype == kind for name, kind in HIT_COLUMNS.items())
    assert event.hits_of_particle.tolist() == [2, 0, 2, 1]
    assert event.volume.tolist() == [-1] * 4
    assert event.cells.shape == (4, 0)


def test_taking_hits_keeps_their_order_and_what_was_counted() -> None:
    event = small_event([7, 0, 7, 9])
    taken = event.take(np.array([3, 0]))
    assert taken.hit_id.tolist() == [3, 0]
    assert taken.hits_of_particle.tolist() == [1, 2]
    assert_equal_events(taken.take(np.array([1, 0])), event.take(np.array([0, 3])))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"hit_id": [5, 6, 5]}, "hit id 5 stands there more than once"),
        ({"x": [0.0, np.nan, 1.0]}, "hit 1 has no finite value of x"),
        ({"pt": [0.0, 1.0, 1e300]}, "hit 2 has no finite value of pt"),
        ({"y": [0.0, 1.0]}, "3 hits, but 2 values of y"),
        ({"production_radius": [0.0, np.inf, 1.0]}, "hit 1 has no finite value of production_radius"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(columns: dict[str, list[float]], reason: str) -> None:
    with pytest.raises(DataError, match=f"by hand.*{reason}"):
        small_event([1, 1, 2], **columns)


def test_an_empty_event_is_refused() -> None:
    with pytest.raises(DataError, match="somewhere holds no hits"):
        make_event("event", {name: np.empty(0) for name in ("hit_id", "x", "y", "z")}, file="somewhere")


def test_a_production_radius_may_be_unknown() -> None:
    assert np.isnan(small_event([1], production_radius=[np.nan]).production_radius[0])
