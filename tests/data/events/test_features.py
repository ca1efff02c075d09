from __future__ import annotations

import numpy as np

from data.events.small_events import small_event
from likewise.data.events.event import HIT_COLUMNS, make_event
from likewise.data.events.features import hit_features


def test_features_are_cylindrical_and_may_include_cells() -> None:
    plain = small_event([1, 0], x=[0.0, 2.0], y=[3.0, 0.0], z=[5.0, -7.0])
    features, names = hit_features(plain, cells=False)
    assert names == ("r", "phi", "z")
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, [[3, np.pi / 2, 5], [2, 0, -7]], rtol=1e-6)

    columns = {name: getattr(plain, name) for name in HIT_COLUMNS}
    event = make_event("event", columns, file="by hand", cells=np.array([[1.0], [4.0]]), cell_names=("cell_count",))
    features, names = hit_features(event, cells=True)
    assert names == ("r", "phi", "z", "cell_count")
    assert features[:, 3].tolist() == [1, 4]
    assert hit_features(event, cells=False)[0].shape == (2, 3)
