"""Ranges of different lengths, without a loop."""

from __future__ import annotations

import numpy as np

from likewise.types import Int64


def within_runs(lengths: Int64) -> Int64:
    """0 … length - 1 for each of `lengths`, one after the other."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum()), dtype=np.int64) - np.repeat(starts, lengths)
