"""Compiling by numba: whether it can be done here, and by one process at a time.

What is compiled is kept on disk: beside the source, or in the user's cache where that cannot be written, or not at all where
neither can. numba numbers the files of its cache without a lock: of two processes that compile at once, as the ranks of a
training do, one may later be given the other's code for its own types. So what may write to the cache is done within `alone`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

Function = TypeVar("Function", bound=Callable[..., Any])


def available() -> bool:
    """Whether numba is installed, and not told to leave code as it is (its variable NUMBA_DISABLE_JIT)."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0") and importlib.util.find_spec("numba") is not None


def compiled(function: Function) -> Function:
    """Machine code on the first call with each combination of types; its type is the Python function's.

    It releases the interpreter's lock, so that Python's own threads run it side by side.
    """
    from numba import njit

    made: Function
    try:
        made = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no folder for its cache that it may write to
        made = njit(nogil=True)(function)
    return made


def alone(function: Any, name: str) -> AbstractContextManager[Any]:
    """While other processes wait that compile what goes by the same name; `function` was compiled, and tells where it is kept."""
    kept = function.stats.cache_path
    if kept is None:
        return nullcontext()
    folder = Path(kept)
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"likewise-{name}.lock")
