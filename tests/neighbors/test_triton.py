"""The search in Triton, by Triton's interpreter: the same kernels without a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from likewise.errors import MissingExtra
from likewise.neighbors import oracle, radius
from likewise.testing.radius import cases, check_within

pytest.importorskip("triton", reason="Triton is not installed: pip install 'likewise[triton]'")
from likewise.neighbors import triton_within

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in subtract")  # padding against padding


def search(points: Any, distance: float, *, queries: Any = None, max_neighbors: Any = None, each_pair_once: bool = False) -> Any:
    """`within` in Triton, for numpy arrays."""
    radius._check(points, distance, queries, max_neighbors, each_pair_once)
    ours, theirs = (None if given is None else torch.from_numpy(np.array(given)) for given in (points, queries))
    return triton_within.triton_within(ours, distance, theirs, max_neighbors, each_pair_once)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("dimension", [1, 3, 8, 12])
def test_the_contract(dimension: int) -> None:
    check_within(search, dimensions=(dimension,))


@pytest.mark.parametrize("dimension", [2, 5])
def test_a_few_of_its_cases(dimension: int) -> None:
    wanted = ("random queries", "65 points", "lattice, other", "no queries")
    for case in cases(dimension, np.random.default_rng(0)):
        if not case.name.startswith(wanted):
            continue
        for most in (None, 7):
            found = search(case.points, case.radius, queries=case.queries, max_neighbors=most)
            expected = oracle.within(case.points, case.radius, queries=case.queries, max_neighbors=most)
            np.testing.assert_array_equal(found.query, expected.query)
            np.testing.assert_array_equal(found.point, expected.point)
            assert found.cut == expected.cut


def test_work_in_small_portions_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(1).normal(size=(400, 4)).astype(np.float32)
    whole = search(points, 1.0, max_neighbors=9)
    monkeypatch.setattr(triton_within, "PAIRS", 1000)
    monkeypatch.setattr(triton_within, "BOXES", 20)
    parts = search(points, 1.0, max_neighbors=9)
    for name in ("query", "point", "distance"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))
    assert whole.cut == parts.cut


def test_leaves_are_small_and_hold_each_point_once() -> None:
    leaves = triton_within.Leaves.of(torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)))
    assert sorted(leaves.rows.tolist()) == list(range(len(leaves) * 64))
    side = (leaves.high - leaves.low)[torch.isfinite(leaves.low).all(dim=1)].prod(dim=1)
    assert float(side.median()) < 20, "a sixteenth of the points fills a small part of the box around all, which is above 200"


def test_without_triton_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radius.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"likewise\[triton\]"):
        radius._in_triton()
