"""Threads that nobody waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any


@contextmanager
def daemon_threads(count: int, name: str) -> Iterator[Callable[..., Future[Any]]]:
    """What has work done by so many threads: `submit(function, *arguments)`; what has not begun at the end is dropped.

    Nobody waits for them, not even the interpreter at its end, as an executor would: reading a picture may hang.
    """
    tasks: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()

    def work() -> None:
        while (task := tasks.get()) is not None:
            future, function, arguments = task
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        tasks.put((future, function, arguments))
        return future

    for number in range(count):
        threading.Thread(target=work, name=f"{name}-{number}", daemon=True).start()
    try:
        yield submit
    finally:
        with suppress(Empty):
            while True:
                tasks.get_nowait()
        for _ in range(count):
            tasks.put(None)
