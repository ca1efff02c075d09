"""All neighbors within a radius, exactly.

Shapes: N points, Q queries, D dimensions, E edges.
"""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Callable
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likewise.errors import DataError, MissingExtra
from likewise.machine_code import available
from likewise.neighbors.guard_band import band, largest_coordinate
from likewise.neighbors.tensor_within import tensor_within
from likewise.types import Edges, Float32

MOST_DIMENSIONS = 64  # the compiled search unrolls them
MOST_POINTS = 2**31 - 2**12  # its rows are int32


@overload
def within(
    points: Float32,
    radius: float,
    *,
    queries: Float32 | None = None,
    max_neighbors: int | None = None,
    each_pair_once: bool = False,
) -> Edges[NDArray[Any]]: ...


@overload
def within(
    points: Tensor,
    radius: float,
    *,
    queries: Tensor | None = None,
    max_neighbors: int | None = None,
    each_pair_once: bool = False,
) -> Edges[Tensor]: ...


def within(
    points: Any,
    radius: float,
    *,
    queries: Any = None,
    max_neighbors: int | None = None,
    each_pair_once: bool = False,
) -> Any:
    """Every (query, point) at most `radius` apart (Euclidean), exactly; the same kind comes out as went in.

    points [N, D] and queries [Q, D] float32, both numpy arrays or both tensors on one device. Without queries the points ask
    about each other, and a point is not its own neighbor; a duplicate of it is. max_neighbors keeps the nearest of each query.
    each_pair_once, for points alone: each pair of points one time, with query < point.

    Returns query and point [E] int64, distance [E] float32 (not squared), by query, then distance, then point; by query, then
    point if each_pair_once; `cut` counts the queries that had more than max_neighbors. Whether a pair is within the radius, and
    which of two points is nearer, is decided by distances in float64 of the float32 coordinates (`neighbors.guard_band`);
    points at the same distance stand in the order of their rows. The result is the same for any number of threads, which is
    torch's. The first search in a number of dimensions compiles for some seconds, once on a machine: see `prepare`.

    Raises DataError for shapes and types that do not fit, for values that are not finite or that are so large that squared
    distances leave float32 (naming the row), for a radius that is negative or not finite, for max_neighbors below 1, and for
    each_pair_once together with queries or max_neighbors.
    """
    _check(points, radius, queries, max_neighbors, each_pair_once)
    if _compilable(points):
        edges = _compiled(_array(points), radius, None if queries is None else _array(queries), max_neighbors, each_pair_once)
        return _as_tensors(edges) if isinstance(points, Tensor) else edges
    search = _in_triton() if isinstance(points, Tensor) and points.is_cuda and _asks_for_triton() else tensor_within
    found = search(_tensor(points), radius, None if queries is None else _tensor(queries), max_neighbors, each_pair_once)
    return found if isinstance(points, Tensor) else _as_arrays(found)


def prepare(dimension: int, say: Callable[[str], None] | None = None) -> None:
    """Compile the search for one number of dimensions ahead of time, or read it from the cache on disk.

    `say`, where given, hears a line before and a line after. Nothing to do, and nothing said, where `within` does not compile.
    Otherwise the first search compiles what it needs, and says so to the logger `likewise.neighbors.radius`, at level INFO.
    """
    if not _compilable(np.empty((0, dimension), dtype=np.float32)):
        return
    from likewise.neighbors.readiness import WAYS, ready

    if say is not None:
        say(f"Preparing the radius search in {dimension} dimensions: about 30 s the first time on a machine.")
    start = time.perf_counter()
    for way in WAYS:
        ready(dimension, way)
    if say is not None:
        say(f"The radius search is ready ({time.perf_counter() - start:.1f} s).")


def _compiled(points: Float32, radius: float, queries: Float32 | None, most: int | None, once: bool) -> Edges[NDArray[Any]]:
    """The search in machine code; numba is loaded here, so that importing this module stays light."""
    from likewise.neighbors.kd_order import leaves
    from likewise.neighbors.nearest_within import nearest_within
    from likewise.neighbors.pairs_within import pairs_within
    from likewise.neighbors.readiness import ready
    from likewise.neighbors.search import Search

    if not len(points) or (queries is not None and not len(queries)):
        rows = np.empty(0, dtype=np.int64)
        return Edges(rows, rows.copy(), np.empty(0, dtype=np.float32), 0)
    dimension = points.shape[1]
    ready(dimension, "once" if once else "all")
    threads = torch.get_num_threads()
    of_points = leaves(points, threads)
    of_queries = of_points if queries is None else leaves(queries, threads)
    search = Search(of_queries, of_points, band(radius, dimension), queries is None, once)
    found = pairs_within(search, threads, most)
    if found is None:  # too much is near
        assert most is not None
        ready(dimension, "nearest")
        found = nearest_within(search, most, threads)
    return found


def _asks_for_triton() -> bool:
    """Whether the environment asks for the search in Triton, which was not measured on a GPU yet."""
    return os.environ.get("LIKEWISE_TRITON") == "1"


def _in_triton() -> Callable[..., Edges[Tensor]]:
    """The search in Triton; MissingExtra where Triton is not installed."""
    if importlib.util.find_spec("triton") is None:
        raise MissingExtra("triton", "LIKEWISE_TRITON=1")
    from likewise.neighbors.triton_within import triton_within

    return triton_within


def _compilable(points: Any) -> bool:
    """Whether the compiled search takes these points: numba can be used, and they are on the CPU, not too many, nor too wide."""
    on_processor = not isinstance(points, Tensor) or points.device.type == "cpu"
    count, dimension = points.shape
    return on_processor and 1 <= dimension <= MOST_DIMENSIONS and count <= MOST_POINTS and available()


def _check(points: Any, radius: float, queries: Any, most: int | None, once: bool) -> None:
    _check_points(points, "points")
    if queries is not None:
        _check_points(queries, "queries")
        if isinstance(points, Tensor) != isinstance(queries, Tensor):
            raise DataError("The points and the queries must both be numpy arrays or both tensors; convert one of them.")
        if points.shape[1] != queries.shape[1]:
            raise DataError(
                f"The points have dimension {points.shape[1]} and the queries {queries.shape[1]}; they must be the same."
            )
        if isinstance(points, Tensor) and points.device != queries.device:
            raise DataError(f"The points are on {points.device} and the queries on {queries.device}; move one of them.")
    if not (math.isfinite(radius) and radius >= 0):
        raise DataError(f"The radius is {radius}; it must be a number from 0 on.")
    if most is not None and most < 1:
        raise DataError(f"max_neighbors = {most}; it must be at least 1, or None for all.")
    if once and (queries is not None or most is not None):
        raise DataError("each_pair_once is for points among each other; leave out queries and max_neighbors.")


def _check_points(vectors: Any, name: str) -> None:
    if vectors.ndim != 2 or vectors.shape[1] < 1:
        raise DataError(f"The {name} have shape {tuple(vectors.shape)}; give them as [count, dimension], dimension at least 1.")
    if vectors.dtype not in (np.float32, torch.float32):
        raise DataError(f"The {name} are {vectors.dtype}; convert them to float32.")
    if not len(vectors):
        return
    values = vectors.detach() if isinstance(vectors, Tensor) else vectors
    most = largest_coordinate(vectors.shape[1])
    if -most <= float(values.min()) and float(values.max()) <= most:  # both are nan where any value is
        return
    tensor = _tensor(values)
    row = int(torch.nonzero(~(tensor.abs() <= most).all(dim=1))[0])
    if not bool(torch.isfinite(tensor[row]).all()):
        raise DataError(f"Row {row} of the {name} has a value that is not finite; mend or leave out that item.")
    raise DataError(f"Row {row} of the {name} has a value above {most:.2g}, whose square float32 cannot hold; scale the vectors.")


def _array(vectors: Any) -> Float32:
    """As a C-contiguous array that may be written to: the only kind that is compiled for. No copy if it is one."""
    array = vectors.detach().numpy() if isinstance(vectors, Tensor) else vectors
    return np.require(array, np.float32, ["C", "W"])


def _tensor(vectors: Any) -> Tensor:
    return vectors if isinstance(vectors, Tensor) else torch.from_numpy(_array(vectors))


def _as_arrays(edges: Edges[Tensor]) -> Edges[NDArray[Any]]:
    return Edges(edges.query.numpy(), edges.point.numpy(), edges.distance.numpy(), edges.cut)


def _as_tensors(edges: Edges[NDArray[Any]]) -> Edges[Tensor]:
    return Edges(torch.from_numpy(edges.query), torch.from_numpy(edges.point), torch.from_numpy(edges.distance), edges.cut)
