"""Tasks of about one size, handed out to threads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import pairwise
from threading import Lock
from typing import TypeVar

import numpy as np

from likewise.data.near_hashes.kernels import Work
from likewise.types import Int64

Task = TypeVar("Task")

TASK = 1 << 24  # comparisons that a thread takes on at a time: some milliseconds


def cut(work: Work) -> Generator[tuple[Work, int, int], None, None]:
    """Tasks of about TASK comparisons: queries first to last of the work."""
    for first, last in slices(work.end - work.begin, TASK):
        yield work, first, last


def slices(sizes: Int64, most: int) -> Iterator[tuple[int, int]]:
    """(first, last) of slices of a list whose sizes sum to about `most`; none where all are zero."""
    done = np.cumsum(sizes)
    total = int(done[-1]) if len(done) else 0
    if total:
        inner = np.searchsorted(done, np.arange(most, total, most), side="right")
        yield from pairwise(np.unique(np.concatenate([[0], inner, [len(done)]])).tolist())


def spread(tasks: Generator[Task, None, None], workers: Sequence[Callable[[Task], None]]) -> None:
    """Hand out the tasks, to each worker in a thread of its own; after an error no more are handed out, and it is raised."""
    lock = Lock()

    def serve(worker: Callable[[Task], None]) -> None:
        while True:
            with lock:
                task = next(tasks, None)
            if task is None:
                return
            worker(task)

    if len(workers) == 1:
        serve(workers[0])
        return
    with ThreadPoolExecutor(len(workers), thread_name_prefix="likewise-hashes") as pool:
        served = [pool.submit(serve, worker) for worker in workers]
        try:
            wait(served, return_when=FIRST_EXCEPTION)
        finally:  # after an error here or there, an interrupt among them
            with lock:
                tasks.close()
        for each in served:
            each.result()
