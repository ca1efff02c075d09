"""The search within a radius: the contract suite on every path, and what must not change the result."""

import os
import platform
import subprocess
import sys
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.errors import DataError
from likewise.neighbors import oracle, pairs_within, radius
from likewise.neighbors.radius import prepare, within
from likewise.testing.radius import check_within

COMPILED = [2, 8]  # dimensions: each is compiled for some seconds the first time
SLOW = [1, 3, 12, 17, 64]


@contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def on_tensors(points, r, *, queries=None, **rest):
    if not all(isinstance(side, np.ndarray) and side.dtype == np.float32 for side in (points, queries) if side is not None):
        return within(points, r, queries=queries, **rest)
    found = within(torch.from_numpy(points), r, queries=None if queries is None else torch.from_numpy(queries), **rest)
    assert all(isinstance(column, torch.Tensor) for column in (found.query, found.point, found.distance))
    return found


def same(one, other):
    columns = ("query", "point", "distance")
    return one.cut == other.cut and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in columns)


@pytest.mark.parametrize("dimension", [*COMPILED, *(pytest.param(dimension, marks=pytest.mark.slow) for dimension in SLOW)])
@pytest.mark.parametrize("count", [1, 3])
def test_contract(dimension, count):
    with threads(count):
        check_within(within, dimensions=[dimension])


@pytest.mark.parametrize("dimension", [*COMPILED, *(pytest.param(dimension, marks=pytest.mark.slow) for dimension in SLOW)])
def test_contract_where_too_much_is_near_to_be_collected(dimension, monkeypatch):
    monkeypatch.setattr(pairs_within, "MOST_RECORDS", -1)
    check_within(within, dimensions=[dimension])


@pytest.mark.parametrize("dimension", [1, 8, pytest.param(70, marks=pytest.mark.slow)])
def test_contract_without_compiling(dimension, monkeypatch):
    monkeypatch.setattr(radius, "_compilable", lambda points: False)
    check_within(within, dimensions=[dimension])


@pytest.mark.slow
def test_contract_without_compiling_in_small_tiles(monkeypatch):
    monkeypatch.setattr(radius, "_compilable", lambda points: False)
    monkeypatch.setattr("likewise.neighbors.tensor_within.TILE_BYTES", 200_000)
    check_within(within, dimensions=[3])


@pytest.mark.parametrize("dimension", [COMPILED[0]])
def test_contract_on_tensors(dimension):
    check_within(on_tensors, dimensions=[dimension])


CONTRACT_IN_3 = (
    "from likewise.neighbors.radius import within\n"
    "from likewise.testing.radius import check_within\ncheck_within(within, dimensions=[3])"
)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names an x86 processor")
def test_contract_with_the_lanes_of_an_older_processor(tmp_path):
    older = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+popcnt", "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", CONTRACT_IN_3], check=True, env=os.environ | older)


@pytest.mark.slow
def test_processes_that_compile_at_once_do_not_spoil_the_cache(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    codes = [CONTRACT_IN_3.replace("[3]", f"[{dimension}]") for dimension in (2, 3)]
    for _ in ("cold", "warm"):
        processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for code in codes]
        assert [process.wait() for process in processes] == [0] * len(codes)


lattices = st.builds(
    lambda seed, count, steps: np.random.default_rng(seed).integers(-steps, steps + 1, (count, 2)).astype(np.float32) / 8,
    st.integers(0, 1000),
    st.integers(0, 300),
    st.sampled_from([2, 10, 1000]),
)


@settings(max_examples=60, deadline=None)
@given(points=lattices, queries=st.none() | lattices, eighths=st.integers(0, 40), most=st.none() | st.integers(1, 300))
def test_equals_the_oracle(points, queries, eighths, most):
    found = within(points, eighths / 8, queries=queries, max_neighbors=most)
    expected = oracle.within(points, eighths / 8, queries=queries, max_neighbors=most)
    assert np.array_equal(found.query, expected.query)
    assert np.array_equal(found.point, expected.point)
    assert np.array_equal(found.distance, expected.distance.astype(np.float32))
    assert found.cut == expected.cut


@pytest.mark.parametrize("ask", [{"each_pair_once": True}, {}, {"max_neighbors": 20}], ids=["once", "all", "nearest"])
@pytest.mark.parametrize("collected", [32, -1], ids=["collected", "pruned"])
def test_threads_change_no_bit(ask, collected, rng, monkeypatch):
    monkeypatch.setattr(pairs_within, "MOST_RECORDS", collected)
    points = rng.standard_normal((5000, 8)).astype(np.float32)
    points[1000:1100] = points[0]
    answers = []
    for count in (1, 2, 5):
        with threads(count):
            answers.append(within(points, 1.5, **ask))
    assert len(answers[0].query) > 10_000
    assert all(same(answers[0], answer) for answer in answers[1:])


def test_the_two_ways_to_the_nearest_agree(rng, monkeypatch):
    centres = rng.standard_normal((60, 8)) * 2
    points = (centres[rng.integers(0, 60, 6000)] + rng.normal(0, 0.2, (6000, 8))).astype(np.float32)
    collected = within(points, 0.8, max_neighbors=30)
    monkeypatch.setattr(pairs_within, "MOST_RECORDS", -1)
    assert same(collected, within(points, 0.8, max_neighbors=30))
    assert collected.cut > 1000


def test_each_pair_once_is_half_of_all(rng):
    points = rng.standard_normal((3000, 8)).astype(np.float32)
    every, once = within(points, 1.5), within(points, 1.5, each_pair_once=True)
    half = every.query < every.point
    order = np.lexsort((every.point[half], every.query[half]))
    assert np.array_equal(once.query, every.query[half][order])
    assert np.array_equal(once.point, every.point[half][order])
    assert np.array_equal(once.distance, every.distance[half][order])


def test_the_compiled_and_the_plain_search_agree(rng, monkeypatch):
    points, queries = (rng.standard_normal((count, 8)).astype(np.float32) for count in (2000, 300))
    asks = ({}, {"queries": queries, "max_neighbors": 9}, {"each_pair_once": True})
    compiled = [within(points, 1.8, **ask) for ask in asks]
    monkeypatch.setattr(radius, "_compilable", lambda points: False)
    plain = [within(points, 1.8, **ask) for ask in asks]
    for one, other in zip(compiled, plain, strict=True):
        assert np.array_equal(one.query, other.query)
        assert np.array_equal(one.point, other.point)
        assert one.cut == other.cut
        assert np.allclose(one.distance, other.distance, rtol=1e-7, atol=0)


def test_read_only_strided_and_gradient_carrying_points(rng):
    points = rng.standard_normal((200, 2)).astype(np.float32)
    expected = within(points, 0.5)
    fixed = points.copy()
    fixed.setflags(write=False)
    assert same(within(fixed, 0.5), expected)
    assert same(within(np.asfortranarray(points), 0.5), expected)
    carrying = torch.from_numpy(points).requires_grad_()
    found = within(carrying, 0.5)
    assert not found.distance.requires_grad
    assert np.array_equal(found.point.numpy(), expected.point)


def test_arrays_and_tensors_do_not_mix(rng):
    points = rng.standard_normal((5, 2)).astype(np.float32)
    with pytest.raises(DataError, match="both"):
        within(points, 1.0, queries=torch.from_numpy(points))


def test_prepare_says_what_it_does():
    said = []
    prepare(COMPILED[0], said.append)
    assert len(said) == 2
    assert "2 dimensions" in said[0]
    assert "ready" in said[1]
    prepare(70, partial(pytest.fail, "nothing to compile for so many dimensions:"))


def test_numba_is_loaded_by_the_first_search_only():
    code = (
        "import sys\nfrom likewise.neighbors import radius\nassert 'numba' not in sys.modules\n"
        "import numpy as np\nradius.within(np.zeros((3, 2), np.float32), 1.0)\nassert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
