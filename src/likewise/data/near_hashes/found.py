"""The pairs found so far, each as one 64-bit key: the first name in its upper half, the second in its lower."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

import numpy as np

from likewise.data.near_hashes.kernels import HALF, SHIFT
from likewise.data.perceptual import UInt64
from likewise.errors import DataError
from likewise.types import Int64

MOST_PAIRS = 1 << 26  # listed at most: 1.1 GB, and as much again while they are put together
PART = 1 << 20  # pairs at a time where a result is put together


class Found:
    """Keys from several threads; DataError, with the `remedy`, for more than MOST_PAIRS."""

    def __init__(self, bits: int, remedy: str) -> None:
        self._bits = bits
        self._remedy = remedy
        self._pieces = [np.empty(0, dtype=np.uint64)]
        self._count = 0
        self._lock = Lock()

    def add(self, keys: UInt64) -> None:
        """Keep these too."""
        with self._lock:
            self._pieces.append(keys)
            self._count += len(keys)
            self.limit(self._count)

    def limit(self, count: int) -> None:
        """DataError if so many are too many."""
        if count > MOST_PAIRS:
            raise DataError(f"More than {MOST_PAIRS} pairs are within bits = {self._bits}, too many to list; {self._remedy}.")

    def keys(self) -> UInt64:
        """All of them, in no order."""
        return np.concatenate(self._pieces)

    def slices(self) -> Iterator[tuple[Int64, Int64]]:
        """The firsts and the seconds, at most PART at a time."""
        for piece in self._pieces:
            for start in range(0, len(piece), PART):
                yield unpacked(piece[start : start + PART])


def packed(first: Int64, second: Int64) -> UInt64:
    """As keys, which sort by the first, then by the second."""
    keys: UInt64 = first.astype(np.uint64) << SHIFT | second.astype(np.uint64)
    return keys


def unpacked(keys: UInt64) -> tuple[Int64, Int64]:
    """The firsts and the seconds."""
    return (keys >> SHIFT).astype(np.int64), (keys & HALF).astype(np.int64)
