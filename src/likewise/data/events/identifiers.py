"""Identifiers that hold several numbers in their bits."""

from __future__ import annotations

import numpy as np

from likewise.types import Int64


def bits(identifiers: Int64, first: int, count: int) -> Int64:
    """The number in `count` bits from bit `first` of each 64-bit identifier [n], whose sign bit is a bit like the others."""
    numbers = (identifiers.view(np.uint64) >> np.uint64(first)) & np.uint64(2**count - 1)
    return numbers.astype(np.int64)
