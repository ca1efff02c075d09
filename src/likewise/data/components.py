"""Connected components: what hangs together through any chain of pairs."""

from __future__ import annotations

import numpy as np

from likewise.types import Int64


def components(count: int, a: Int64, b: Int64) -> Int64:
    """The smallest member of each node's component [count], given edges `a` [E] to `b` [E]."""
    return join(np.arange(count, dtype=np.int64), a, b)


def join(smallest: Int64, a: Int64, b: Int64) -> Int64:
    """Components after more edges; `smallest` is what `components` or `join` gave.

    Every larger root is hooked below the smallest that it meets, then paths are shortened to their root by doubling: a number
    of passes logarithmic in the size of the largest component (Shiloach, Vishkin 1982, "An O(log n) parallel connectivity
    algorithm").
    """
    root = smallest.copy()
    while True:
        low, high = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        apart = low != high
        if not apart.any():
            return root
        a, b = a[apart], b[apart]
        np.minimum.at(root, high[apart], low[apart])
        while not np.array_equal(above := root[root], root):
            root = above
