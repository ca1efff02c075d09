"""How the compiled radius search is spread over threads.

Compiled functions release the interpreter's lock, so Python's own threads run them side by side; each takes the next piece of
work from a shared counter. (numba's threading layers do not survive a fork, which data loaders do.) `fastmath` stays off: the
padding relies on infinities, the guard band on the order of operations.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from likewise.types import Int64

Result = TypeVar("Result")


def tickets() -> Int64:
    """A counter for `lanes.next_ticket`."""
    return np.zeros(1, dtype=np.int64)


def in_threads(work: Callable[[int], Result], threads: int) -> list[Result]:
    """`[work(0), …, work(threads - 1)]`, each in its own thread, the first in this one; the first error is raised here."""
    results: list[Any] = [None] * threads
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            results[number] = work(number)
        except BaseException as error:  # raised again below, in the thread that asked
            errors.append(error)

    others = [threading.Thread(target=run, args=(number,)) for number in range(1, threads)]
    for thread in others:
        thread.start()
    run(0)
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]
    return results
