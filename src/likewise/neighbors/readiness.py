"""Compiling the radius search, or reading it from the cache on disk, before it is used: one process at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np

from likewise.machine_code import alone
from likewise.neighbors.guard_band import band
from likewise.neighbors.kd_order import leaves, partition
from likewise.neighbors.nearest_within import nearest_within
from likewise.neighbors.pairs_within import pairs_within
from likewise.neighbors.search import Search

Way = Literal["once", "all", "nearest"]  # which pairs are asked for
WAYS: tuple[Way, ...] = ("once", "all", "nearest")

NOTICED = 1.0  # seconds; reading from the cache takes less
log = logging.getLogger("likewise.neighbors.radius")


@cache
def ready(dimension: int, way: Way) -> None:
    """Make one way to search in so many dimensions ready; the log has a line before and, if it took time, one after."""
    log.info("Preparing the radius search in %d dimensions: about 10 s the first time on a machine.", dimension)
    start = time.perf_counter()
    with alone(partition, "radius"):
        points = np.zeros((2, dimension), dtype=np.float32)
        order = leaves(points, 1)
        search = Search(order, order, band(1.0, dimension), True, way == "once")
        ask: dict[Way, Callable[[], object]] = {
            "once": lambda: pairs_within(search, 1),
            "all": lambda: pairs_within(search, 1),
            "nearest": lambda: nearest_within(search, 1, 1),
        }
        ask[way]()
    if time.perf_counter() - start > NOTICED:
        log.info("The radius search in %d dimensions is ready (%.1f s).", dimension, time.perf_counter() - start)
