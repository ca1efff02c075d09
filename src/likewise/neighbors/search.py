"""What is asked of a radius search, in the terms of its compiled parts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from likewise.machine_code import compiled
from likewise.neighbors.guard_band import Band
from likewise.neighbors.kd_order import Leaves
from likewise.neighbors.lane_code import LANES
from likewise.neighbors.lanes import exact_square, lowest_bit
from likewise.types import Float32

ONE, NONE, ALL = np.uint64(1), np.uint64(0), ~np.uint64(0)  # compiled code must not mix signed and unsigned


class Search(NamedTuple):
    """`shared`: points ask about each other, `queries` and `points` are the same; `once`: only about those of a greater row."""

    queries: Leaves
    points: Leaves
    band: Band
    shared: bool
    once: bool


@compiled
def farther(
    doubtful: np.uint64, queries: Float32, slot: int, points: Float32, leaf: int, radius: float, dims: tuple[int, ...]
) -> np.uint64:
    """Those of the doubtful lanes of a leaf that are farther than the radius."""
    outside = NONE
    while doubtful != NONE:
        lane = lowest_bit(doubtful)
        doubtful &= doubtful - ONE
        if np.sqrt(exact_square(queries, slot, points, leaf * LANES + lane, dims)) > radius:
            outside |= ONE << np.uint64(lane)
    return outside
