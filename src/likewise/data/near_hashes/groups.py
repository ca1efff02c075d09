"""What hangs together through hashes that differ in at most so many bits, without listing the pairs.

Shapes: N hashes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from likewise.data.components import join
from likewise.data.near_hashes.bands import comparisons
from likewise.data.near_hashes.checks import check, thread_count
from likewise.data.near_hashes.distinct import Distinct
from likewise.data.near_hashes.engine import engine
from likewise.data.near_hashes.kernels import Work
from likewise.data.near_hashes.tasks import spread
from likewise.data.perceptual import UInt64
from likewise.types import Int64


def groups_within(hashes: UInt64, bits: int, *, threads: int | None = None) -> Int64:
    """The smallest row of each hash's group [N]: what differs in at most `bits` bits (0 to 16) is in one group, and so on
    through chains.

    The pairs are not listed: memory is about 200 bytes a hash and 16 more for each thread, whatever is alike. `threads` and
    errors as for `pairs_within`, which gives the same groups through `components`.
    """
    check(hashes, bits)
    distinct = Distinct.of(hashes)
    count = len(distinct.values)
    forests = [np.arange(count, dtype=np.int64) for _ in range(thread_count(threads))]  # one of each thread: they need no lock
    if bits:
        join_near = engine().join_near
        spread(comparisons(distinct.values, bits), [partial(_join_task, join_near, forest) for forest in forests])
    classes = np.arange(count, dtype=np.int64)
    for forest in forests:
        joined = np.flatnonzero(forest != np.arange(count))
        classes = join(classes, joined, forest[joined])
    smallest = np.full(count, len(hashes), dtype=np.int64)
    np.minimum.at(smallest, classes, distinct.rows[distinct.starts[:-1]])
    groups = np.empty(len(hashes), dtype=np.int64)
    groups[distinct.rows] = np.repeat(smallest[classes], distinct.sizes)
    return groups


def _join_task(join_near: Callable[..., None], forest: Int64, task: tuple[Work, int, int]) -> None:
    join_near(*task, forest)
