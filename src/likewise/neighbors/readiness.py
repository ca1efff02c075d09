"""Compiling the radius search, or reading it from the cache on disk, before it is used: one process at a time.

numba numbers the files of its cache without a lock: of two processes that compile at once, as the ranks of a training do, one may
later be given the other's code for its own types. So everything that may write to the cache happens here, under a lock file
beside it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock

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
    with FileLock(_cache_folder() / "likewise-radius.lock"):
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


def _cache_folder() -> Path:
    """Where numba keeps the compiled search: beside the source, or in the user's cache where that cannot be written."""
    folder = Path(partition.stats.cache_path)  # type: ignore[attr-defined]  # a compiled function has more than its Python one
    folder.mkdir(parents=True, exist_ok=True)
    return folder
