"""The exhaustive search: the contract suite on both kinds of vectors, and what must not change the result."""

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.errors import DataError
from likewise.neighbors import array_base, oracle
from likewise.neighbors.base import Base
from likewise.neighbors.nearest import nearest
from likewise.testing.neighbors import check_nearest

DISTANCES = ["cosine", "dot", "euclidean"]
LITTLE = 200_000  # bytes: several tiles and blocks even in small cases


def on_tensors(queries, base, k, *, exclude=None, **rest):
    codes = None if exclude is None else tuple(torch.from_numpy(codes) for codes in exclude)
    found = nearest(torch.from_numpy(queries), torch.from_numpy(base), k, exclude=codes, **rest)
    assert isinstance(found.rows, torch.Tensor)
    assert isinstance(found.scores, torch.Tensor)
    return found


@pytest.mark.parametrize("ask", [nearest, on_tensors], ids=["arrays", "tensors"])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("budget", [1 << 30, LITTLE], ids=["one tile", "tiles"])
def test_contract(ask, distance, budget):
    check_nearest(partial(ask, budget=budget), distances=[distance])


@pytest.mark.parametrize("distance", DISTANCES)
def test_contract_where_everything_is_swept(distance, monkeypatch):
    monkeypatch.setattr(Base, "error", lambda self, block, score: torch.full_like(score, 1e30))  # every cut is in doubt
    check_nearest(nearest, distances=[distance])


@pytest.mark.parametrize("distance", DISTANCES)
def test_contract_where_exclusion_is_by_masks(distance, monkeypatch):
    monkeypatch.setattr(array_base, "MOST_OVERFETCHED", 0)
    check_nearest(nearest, distances=[distance])


def equal(one, other):
    return np.array_equal(one.rows, other.rows) and np.array_equal(one.scores, other.scores)


vectors = st.builds(
    lambda seed, count, dimension, values: (
        np.random.default_rng(seed).integers(-values, values + 1, (count, dimension)).astype(np.float32) / 7
    ),
    st.integers(0, 1000),
    st.integers(1, 60),
    st.just(5),
    st.sampled_from([1, 3, 1000]),
)


@settings(max_examples=30, deadline=None)
@given(queries=vectors, base=vectors, k=st.integers(1, 70), distance=st.sampled_from(DISTANCES))
def test_budget_company_and_order_of_the_base_change_no_bit(queries, base, k, distance):
    whole = nearest(queries, base, k, distance=distance)
    assert equal(whole, nearest(queries, base, k, distance=distance, budget=LITTLE))

    alone = nearest(queries[:1], base, k, distance=distance)
    assert np.array_equal(alone.rows[0], whole.rows[0])
    assert np.array_equal(alone.scores[0], whole.scores[0])

    turned = nearest(queries, base[::-1].copy(), k, distance=distance)
    assert np.array_equal(turned.scores, whole.scores)


@settings(max_examples=20, deadline=None)
@given(queries=vectors, base=vectors, k=st.integers(1, 70), distance=st.sampled_from(DISTANCES), cut=st.floats(0, 1))
def test_shards_merge_to_the_whole(queries, base, k, distance, cut):
    edge = round(cut * len(base))
    parts = [nearest(queries, part, k, distance=distance) for part in (base[:edge], base[edge:])]
    rows = np.hstack([parts[0].rows, np.where(parts[1].rows >= 0, parts[1].rows + edge, -1)])
    scores = np.hstack([part.scores for part in parts])
    order = np.lexsort((np.where(rows >= 0, rows, len(base)), -scores), axis=1)[:, :k]
    whole = nearest(queries, base, k, distance=distance)
    assert np.array_equal(np.take_along_axis(scores, order, axis=1), whole.scores)
    assert np.array_equal(np.take_along_axis(rows, order, axis=1), whole.rows)


@settings(max_examples=20, deadline=None)
@given(
    queries=vectors,
    base=vectors,
    k=st.integers(1, 20),
    distance=st.sampled_from(DISTANCES),
    groups=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_exclusion_equals_a_search_without_the_group(queries, base, k, distance, groups, seed):
    rng = np.random.default_rng(seed)
    asked, codes = rng.integers(-1, groups, len(queries)), rng.integers(-1, groups, len(base))
    found = nearest(queries, base, k, distance=distance, exclude=(asked, codes))
    for query, code in enumerate(asked):
        allowed = np.flatnonzero((codes != code) | (code < 0))
        alone = nearest(queries[query : query + 1], base[allowed], k, distance=distance)
        rows = [allowed[row] if row >= 0 else -1 for row in alone.rows[0]]
        assert found.rows[query].tolist() == rows
        assert np.array_equal(found.scores[query], alone.scores[0])


@pytest.mark.parametrize("distance", DISTANCES)
def test_groups_too_large_to_be_overfetched(distance, rng):
    base = rng.standard_normal((4000, 8)).astype(np.float32)
    codes = np.sort(rng.integers(0, 3, 4000))
    codes[:5] = 9
    queries, asked = base[::40], codes[::40]
    found = nearest(queries, base, 12, distance=distance, exclude=(asked, codes), budget=2 * LITTLE)
    _, scores = oracle.nearest(queries, base, 12, distance=distance, exclude=(asked, codes))
    assert np.abs(found.scores - scores).max() <= found.tolerance
    assert (codes[found.rows] != asked[:, None]).all()


def test_memory_mapped_read_only_and_strided_vectors(tmp_path, rng):
    base = rng.standard_normal((500, 6)).astype(np.float32)
    queries = base[:20].copy()
    expected = nearest(queries, base, 5)
    np.save(tmp_path / "vectors.npy", base)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert equal(nearest(mapped[:20], mapped, 5), expected)
    strided = np.asfortranarray(base)
    assert equal(nearest(strided[:20], strided, 5), expected)


def test_zero_vectors_have_cosine_zero_with_everything(rng):
    base = np.vstack([-np.eye(3), np.zeros((2, 3)), np.eye(3)]).astype(np.float32)
    found = nearest(np.array([[0, 0, 0], [1, 0, 0]], dtype=np.float32), base, 8)
    assert found.rows[0].tolist() == list(range(8))
    assert (found.scores[0] == 0).all()
    assert found.rows[1].tolist() == [5, 1, 2, 3, 4, 6, 7, 0]


def test_lengths_do_not_matter_to_cosines(rng):
    queries, base = (rng.standard_normal((count, 16)).astype(np.float32) for count in (20, 300))
    powers = (2.0 ** rng.integers(-30, 30, (300, 1))).astype(np.float32)  # scaling by powers of two is exact
    assert np.array_equal(nearest(queries, base, 5).rows, nearest(queries, base * powers, 5).rows)


@pytest.mark.parametrize(("allowed", "autocast"), [("medium", False), ("highest", True), ("medium", True)])
def test_reduced_precision_of_the_caller_has_no_effect(allowed, autocast, rng):
    base = torch.from_numpy(rng.standard_normal((400, 64)).astype(np.float32))
    expected = nearest(base[:50], base, 5)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(allowed)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            found = nearest(base[:50], base, 5)
        assert torch.get_float32_matmul_precision() == allowed
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found.rows, expected.rows)
    assert torch.equal(found.scores, expected.scores)


def test_tensors_that_need_gradients_give_plain_results():
    base = torch.eye(4, requires_grad=True)
    found = nearest(base, base, 2)
    assert not found.scores.requires_grad
    assert found.rows[:, 0].tolist() == [0, 1, 2, 3]


GOOD = np.ones((4, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("queries", "base", "rest", "message"),
    [
        (GOOD.astype(np.float64), GOOD, {}, "queries must be float32, not float64"),
        (GOOD, GOOD.astype(np.float16), {}, "base must be float32, not float16"),
        (GOOD[0], GOOD, {}, r"queries must be a matrix .* not \(3,\)"),
        (GOOD, GOOD.tolist(), {}, "base must be a matrix .* not list"),
        (GOOD, np.empty((4, 0), np.float32), {}, "base must be a matrix"),
        (GOOD, GOOD[:, :2], {}, "queries have 3 dimensions and the base 2"),
        (GOOD, torch.from_numpy(GOOD), {}, "both be numpy arrays, or tensors on one device"),
        (GOOD, GOOD, {"k": 0}, "k = 0"),
        (GOOD, GOOD, {"distance": "manhattan"}, '"manhattan" is not known; use one of cosine, dot, euclidean'),
        (GOOD, GOOD, {"exclude": (np.zeros(4), np.zeros(3))}, "4 and 3 codes for 4 queries and 4 base items"),
        (GOOD, GOOD, {"exclude": (np.zeros(4), np.zeros(4))}, "exclude has codes of float64"),
        (GOOD, GOOD, {"budget": 1000}, "budget = 1000 bytes is too small .* at least"),
        (GOOD, GOOD * np.float32(1e19), {}, "Row 0 of the base has length 1.73e[+]19"),
        (GOOD * np.float32(1e-20), GOOD, {}, "Row 0 of the queries has length 1.73e-20"),
    ],
)
def test_refusals(queries, base, rest, message):
    with pytest.raises(DataError, match=message):
        nearest(queries, base, **{"k": 1, **rest})


def test_the_budget_named_in_the_error_is_enough():
    with pytest.raises(DataError) as caught:
        nearest(GOOD, GOOD, 2, budget=1)
    enough = int(str(caught.value).rsplit(" ", 1)[1].rstrip("."))
    assert equal(nearest(GOOD, GOOD, 2, budget=enough), nearest(GOOD, GOOD, 2))


MEMORY = """
import resource, sys
import numpy as np, torch
from likewise.neighbors.nearest import nearest

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

rng = np.random.default_rng(0)
base = rng.standard_normal((60_000, 16), dtype=np.float32)
queries = base[:1500].copy()
if sys.argv[1] == "tensors":
    queries, base = torch.from_numpy(queries), torch.from_numpy(base)
nearest(queries[:10], base[:100], 10)  # libraries take their memory
before = peak()
nearest(queries, base, 10, distance=sys.argv[2], budget=32 << 20)
print(peak() - before)
"""


@pytest.mark.parametrize(("kind", "distance"), [("arrays", "euclidean"), ("tensors", "cosine")])
def test_memory_keeps_to_the_budget(kind, distance):
    # All scores at once would take 360 MB. Each thread of the libraries brings some megabytes of its own.
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, kind, distance]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) < (32 << 20) + (64 << 20)
