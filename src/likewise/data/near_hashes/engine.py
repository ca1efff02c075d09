"""How hashes are compared: by `kernels` in machine code, or by numpy where numba cannot be used."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import NamedTuple

import numpy as np

from likewise.data.near_hashes import by_numpy, kernels
from likewise.data.near_hashes.bands import all_pairs
from likewise.data.near_hashes.kernels import Work
from likewise.data.perceptual import UInt64
from likewise.machine_code import alone, available, compiled
from likewise.types import Int64

PREPARING = "Preparing the search among hashes: some seconds the first time on a machine."
log = logging.getLogger("likewise.data.near_hashes")
compiling = Lock()  # for threads that ask for the first time at once


class Engine(NamedTuple):
    """How queries first to last are compared."""

    list_near: Callable[[Work, int, int], UInt64]  # the keys of the near pairs
    join_near: Callable[[Work, int, int, Int64], None]  # near pairs get one root in the forest: a parent for each name


def engine() -> Engine:
    """Compiled on the first call."""
    if not available():
        return Engine(by_numpy.list_near, by_numpy.join_near)
    with compiling:
        return _compiled()


def prepare(say: Callable[[str], None] | None = None) -> None:
    """Compile the search ahead of time, or read it from the cache on disk; the first search does it otherwise.

    `say`, where given, hears a line before and a line after. Nothing to do, and nothing said, where numba cannot be used.
    """
    if not available():
        return
    if say is not None:
        say(PREPARING)
    start = time.perf_counter()
    engine()
    if say is not None:
        say(f"The search among hashes is ready ({time.perf_counter() - start:.1f} s).")


@cache
def _compiled() -> Engine:
    """In machine code."""
    from numba.extending import register_jitable

    log.info(PREPARING)
    for function in (kernels.bits_set, kernels.near_in_tile, kernels.root_of, kernels.of_one_root):
        register_jitable(function)  # so that what follows may call them
    list_near, join_near = compiled(kernels.list_near), compiled(kernels.join_near)
    nothing = all_pairs(np.zeros(2, np.uint64), np.arange(2), np.full(2, 2), [], 0)
    with alone(list_near, "hashes"):
        list_near(nothing, 0, 2)
        join_near(nothing, 0, 2, np.arange(2))
    return Engine(list_near, join_near)
