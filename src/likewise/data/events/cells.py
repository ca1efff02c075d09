"""Features of a hit from the sensor cells that fired: the shape of a cluster tells the angle at which it was crossed."""

from __future__ import annotations

import numpy as np

from likewise.types import Float32, Float64, Int64

CELL_NAMES = ("cell_count", "cell_value", "cell_width0", "cell_width1")


def cell_features(hit: Int64, channels: Int64, value: Float64, count: int) -> Float32:
    """Features [count, 4] of hits, named by CELL_NAMES, from cells: `hit` [M] rows, `channels` [M, 2], `value` [M].

    How many cells, the sum of their values, and how many channels the cluster spans along the sensor's two directions.
    A hit without cells has zeros.
    """
    features = np.zeros((count, len(CELL_NAMES)))
    features[:, 0] = np.bincount(hit, minlength=count)
    features[:, 1] = np.bincount(hit, weights=value, minlength=count)
    for axis in (0, 1):
        low = np.full(count, np.iinfo(np.int64).max)
        high = np.full(count, np.iinfo(np.int64).min)
        np.minimum.at(low, hit, channels[:, axis])
        np.maximum.at(high, hit, channels[:, axis])
        features[:, 2 + axis] = np.where(features[:, 0] > 0, high.astype(np.float64) - low + 1, 0)
    return features.astype(np.float32)
