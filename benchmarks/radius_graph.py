"""The exact radius graph: `likewise.neighbors.radius.within` against the exact searches of other libraries.

Each side finds every pair of 100,000 points within a radius, about 5 million, and builds its own tree within the time. Ours
returns each pair once with its distance, sorted; scipy's query_pairs each pair once, unsorted and without distances, on the one
thread that it has; the others both directions, nanoflann and faiss deciding in float32. Then the nearest 100 within the radius of
each point, against scipy's capped query with two workers.

The last line is the surface in 8 dimensions against the fastest peer; every gate is printed above it.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import faiss
import numpy as np
import psutil
import pynanoflann
import torch
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

import harness
import workloads
from likewise.neighbors.radius import prepare, within
from likewise.types import Float32

CAP = 100
CAP_GOAL = 10
MEMORY_GOAL = 300  # MB beyond the result
PATIENCE = 300  # seconds to wait for the process that measures memory
TRACKS = (1000, 10_000, 100_000)  # how time grows


@dataclass(frozen=True)
class Work:
    kind: Callable[..., Float32]
    dimension: int
    goal: float

    def __str__(self) -> str:
        return f"{self.kind.__name__} points, {self.dimension} dimensions"


WORKLOADS = (Work(workloads.surface, 8, 20), Work(workloads.surface, 12, 50), Work(workloads.isotropic, 8, 25))


def scipy_pairs(points: Float32, radius: float) -> int:
    return len(cKDTree(points).query_pairs(radius, output_type="ndarray"))


def nanoflann_directed(points: Float32, radius: float, threads: int) -> int:
    tree = pynanoflann.KDTree(metric="l2", leaf_size=20)  # of 10, 20 and 50 the fastest
    tree.fit(points)
    found = tree.radius_neighbors(points, radius, return_distance=False, n_jobs=threads)
    return (sum(map(len, found)) - len(points)) // 2


def sklearn_directed(points: Float32, radius: float, threads: int) -> int:
    search = NearestNeighbors(algorithm="kd_tree", n_jobs=threads).fit(points)
    found = search.radius_neighbors(points, radius, return_distance=False)
    return (sum(map(len, found)) - len(points)) // 2


def faiss_directed(points: Float32, radius: float) -> int:
    """Float32 throughout: at the radius it may differ by some pairs."""
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points)
    limits = index.range_search(points, radius**2)[0]
    return int(limits[-1] - len(points)) // 2


def ours(points: Float32, radius: float) -> int:
    return len(within(points, radius, each_pair_once=True).query)


def compare(work: Work, tracks: int, arguments: Any) -> tuple[float, float]:
    """Print the times of all sides and return ours and the fastest exact peer's."""
    points = work.kind(work.dimension, tracks=tracks)
    radius = workloads.radius_for(points)
    prepare(work.dimension, print)
    threads = arguments.threads
    sides: dict[str, Callable[[], int]] = {
        f"likewise, {threads} threads": partial(ours, points, radius),
        "scipy query_pairs, 1 thread": partial(scipy_pairs, points, radius),
        f"pynanoflann, {threads} threads": partial(nanoflann_directed, points, radius, threads),
    }
    print(f"\n{work}: {len(points):,} points, radius {radius:.4f}")
    timed = dict(zip(sides, harness.timed(*sides.values(), repeat=arguments.repeat), strict=True))
    own = timed[next(iter(sides))]
    for name, side in timed.items():
        print(f"  {name:44} {side.seconds:8.3f} s  {side.value:,} pairs  {side.seconds / own.seconds:6.1f} x")
        assert abs(side.value - own.value) <= 1e-5 * own.value, f"{name} found {side.value} pairs, likewise {own.value}"
    slow_peers(points, radius, threads)
    peer = min(side.seconds for name, side in timed.items() if not name.startswith("likewise"))
    print(f"  ratio {peer / own.seconds:.1f}, goal {work.goal}")
    return own.seconds, peer


def slow_peers(points: Float32, radius: float, threads: int) -> None:
    """Once each; scikit-learn for a fifth of the points only."""
    fifth = np.ascontiguousarray(points[::5])
    sides: dict[str, Callable[[], int]] = {
        f"faiss Flat range, {threads} threads": partial(faiss_directed, points, radius),
        f"scikit-learn, {threads} threads, {len(fifth):,} points": partial(sklearn_directed, fifth, radius, threads),
    }
    for name, side in sides.items():
        start = time.perf_counter()
        pairs = side()
        print(f"  {name:44} {time.perf_counter() - start:8.3f} s  {pairs:,} pairs")


def compare_capped(work: Work, tracks: int, arguments: Any) -> float:
    """The ratio for the nearest 100 within the radius."""
    points = work.kind(work.dimension, tracks=tracks)
    radius = workloads.radius_for(points)
    own, peer = harness.timed(
        lambda: within(points, radius, max_neighbors=CAP),
        lambda: cKDTree(points).query(points, CAP + 1, distance_upper_bound=radius, workers=2),
        repeat=arguments.repeat,
    )
    found = int((np.isfinite(peer.value[0])).sum()) - len(points)
    assert abs(found - len(own.value.query)) <= found * 1e-4, "the two sides differ"
    ratio = peer.seconds / own.seconds
    print(
        f"{work}: nearest {CAP} within the radius: likewise ({arguments.threads} threads) {own.seconds:.3f} s, "
        f"scipy query (2 workers) {peer.seconds:.3f} s, ratio {ratio:.1f}, goal {CAP_GOAL}; {own.value.cut:,} queries cut"
    )
    return ratio


def _memory(queue: Any, points: Float32, radius: float, threads: int) -> None:
    torch.set_num_threads(threads)
    within(points[:2000], radius, each_pair_once=True)  # compiled before the measurement
    before = psutil.Process().memory_info().rss
    edges = within(points, radius, each_pair_once=True)
    result = sum(column.nbytes for column in (edges.query, edges.point, edges.distance))
    queue.put((harness.peak_memory() - before - result) / 1e6)


def memory(work: Work, tracks: int, threads: int) -> float:
    """MB at the peak beyond what was there before and the result, in a process of its own."""
    points = work.kind(work.dimension, tracks=tracks)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_memory, args=(queue, points, workloads.radius_for(points), threads))
    process.start()
    beyond: float = queue.get(timeout=PATIENCE)
    process.join()
    return beyond


def growth(work: Work, sizes: tuple[int, ...]) -> None:
    """Time against the number of points, the radius solved again for each."""
    print(f"\n{work}, mean {workloads.MEAN_NEIGHBORS} neighbors:")
    for tracks in sizes:
        points = work.kind(work.dimension, tracks=tracks)
        radius = workloads.radius_for(points)
        (own,) = harness.timed(lambda points=points, radius=radius: ours(points, radius), repeat=2)
        each = 1e6 * own.seconds / len(points)
        print(f"  {len(points):>9,} points: {own.seconds:7.3f} s, {each:.2f} µs each, {own.value:,} pairs")


def main() -> None:
    arguments = harness.arguments(__doc__)
    torch.set_num_threads(arguments.threads)
    faiss.omp_set_num_threads(arguments.threads)
    print(harness.machine())
    tracks = 1000 if arguments.quick else workloads.TRACKS
    beyond = memory(WORKLOADS[0], tracks, arguments.threads)  # first: a new process inherits the peak of the one that starts it
    print(f"memory beyond the result: {beyond:.0f} MB, goal below {MEMORY_GOAL}")
    seconds = [compare(work, tracks, arguments) for work in WORKLOADS]
    print()
    capped = [compare_capped(work, tracks, arguments) for work in WORKLOADS]
    growth(WORKLOADS[0], TRACKS[:2] if arguments.quick else TRACKS)
    met = [peer / own >= work.goal for work, (own, peer) in zip(WORKLOADS, seconds, strict=True)]
    met += [ratio >= CAP_GOAL for ratio in capped] + [beyond < MEMORY_GOAL]
    print(f"gates met: {sum(met)} of {len(met)}; the last line is the surface in 8 dimensions, in seconds")
    harness.result("radius_graph", *seconds[0], WORKLOADS[0].goal, higher_is_better=False, gated=not arguments.quick)


if __name__ == "__main__":
    main()
