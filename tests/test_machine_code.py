"""Compiling where numba may keep nothing, and doing without it where it is told not to compile."""

import os
import subprocess
import sys

import numpy as np
import pytest

from likewise.machine_code import alone, available, compiled


def doubled(values):
    return values * 2


@pytest.mark.parametrize("kept", [True, False])
def test_compiled_with_and_without_a_folder_to_keep_it_in(monkeypatch, kept):
    if not kept:  # as on a read-only file system
        monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    function = compiled(doubled)
    assert (function.stats.cache_path is not None) == kept
    with alone(function, "test"):
        assert function(np.arange(3)).tolist() == [0, 2, 4]
    assert function.signatures, "it was compiled"


def test_one_process_at_a_time():
    function = compiled(doubled)
    with alone(function, "test") as lock:
        assert lock.is_locked
    assert not lock.is_locked


@pytest.mark.parametrize(("value", "expected"), [(None, True), ("0", True), ("", True), ("1", False)])
def test_numba_may_be_told_not_to_compile(monkeypatch, value, expected):
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    if value is not None:
        monkeypatch.setenv("NUMBA_DISABLE_JIT", value)
    assert available() == expected


def test_both_searches_work_without_compiling():
    code = """
import numpy as np
from likewise.data.near_hashes.groups import groups_within
from likewise.neighbors.radius import prepare, within
prepare(2)
print(groups_within(np.array([1, 3, 7 << 60], np.uint64), 2).tolist())
print(len(within(np.array([[0, 0], [0, 1], [5, 5]], np.float32), 1.5).point))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["[0, 0, 2]", "2"]
