"""What is searched for and among: the limits, and the sentences for what is beyond them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.data.perceptual import HASH_BITS, UInt64
from likewise.errors import DataError
from likewise.processors import processors

MOST_BITS = 16  # unlike pictures differ in 32 bits, give or take 4
MOST_HASHES = (1 << 31) - 1  # two rows make one 64-bit key


def check(hashes: UInt64, bits: int) -> None:
    """DataError for hashes that are not uint64 [N], or too many, and for bits out of range."""
    check_hashes(hashes)
    if not 0 <= bits <= MOST_BITS:
        raise DataError(f"bits = {bits}; it must be from 0 to {MOST_BITS}, for unlike pictures differ in about {HASH_BITS // 2}.")


def check_hashes(hashes: NDArray[Any], before: int = 0) -> None:
    """DataError for anything but uint64 [n], and where there are too many with those `before`."""
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint64 or hashes.ndim != 1:
        given = f"{hashes.dtype} {list(hashes.shape)}" if isinstance(hashes, np.ndarray) else type(hashes).__name__
        raise DataError(f"The hashes are {given}; give them as one row of uint64.")
    if before + len(hashes) > MOST_HASHES:
        raise DataError(f"There are {before + len(hashes)} hashes; search at most {MOST_HASHES} at once.")


def thread_count(threads: int | None) -> int:
    """How many threads to start: all processors that this process may use, if None; DataError for less than 1."""
    if threads is None:
        return processors()
    if threads < 1:
        raise DataError(f"threads = {threads}; it must be at least 1, or None for all processors.")
    return threads
