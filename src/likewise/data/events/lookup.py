"""Finding rows by key."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.types import Int64


def find_rows(keys: NDArray[Any], wanted: NDArray[Any]) -> Int64:
    """The row in `keys` [K] of each of `wanted` [W]: the first where several are equal, -1 where there is none."""
    if len(keys) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    place = np.searchsorted(keys[order], wanted)
    rows = order[np.minimum(place, len(keys) - 1)]
    return np.where(keys[rows] == wanted, rows, -1).astype(np.int64)
