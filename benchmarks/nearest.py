"""k nearest neighbors, exhaustively: `likewise.neighbors.nearest` against faiss Flat, searched directly.

The peer has its vectors prepared beforehand (unit length, added to an IndexFlatIP) and only searches; ours is given the matrix as
it lies in memory and checks it, too. Both use the same threads. The limit is the machine's own matrix product, measured here.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import faiss
import numpy as np
import torch

import harness
from likewise.neighbors.nearest import nearest

GOAL = 0.95
K = 10


@dataclass(frozen=True)
class Size:
    items: int
    dimension: int
    queries: int

    @property
    def gigaflops(self) -> float:
        """Of one search: a multiplication and an addition for each query, item and dimension."""
        return 2 * self.queries * self.items * self.dimension / 1e9

    def __str__(self) -> str:
        return f"{self.queries:,} queries in {self.items:,} x {self.dimension}"


SIZES = (Size(100_000, 384, 4000), Size(1_000_000, 128, 1000))
QUICK = (Size(20_000, 384, 1000), Size(50_000, 128, 1000))


def unit_vectors(count: int, dimension: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def matmul_peak(repeat: int) -> float:
    """GFLOP/s of the best large float32 matrix product of torch or numpy."""
    side = 3072
    left, right = unit_vectors(side, side, 1), unit_vectors(side, side, 2)
    a, b = torch.from_numpy(left), torch.from_numpy(right)
    sides = harness.timed(lambda: a @ b, lambda: left @ right, repeat=repeat)
    return 2 * side**3 / 1e9 / min(side.seconds for side in sides)


def compare(size: Size, peak: float, repeat: int) -> tuple[float, float]:
    """Print both sides' rates and return them in GFLOP/s, ours first."""
    base, queries = unit_vectors(size.items, size.dimension, 3), unit_vectors(size.queries, size.dimension, 4)
    index = faiss.IndexFlatIP(size.dimension)
    index.add(base)
    ours, peer = harness.timed(lambda: nearest(queries, base, K), lambda: index.search(queries, K), repeat=repeat)
    agreed = float((ours.value.rows == peer.value[1]).mean())
    assert agreed > 0.999, f"the two sides agree on {agreed:.4f} of the neighbors only"
    for name, side in (("likewise nearest", ours), ("faiss IndexFlatIP", peer)):
        rate = size.gigaflops / side.seconds
        print(f"{size}: {name:18} {side.seconds:7.3f} s  {rate:6.0f} GFLOP/s  {rate / peak:4.0%} of the matrix product")
    print(f"{size}: ratio {peer.seconds / ours.seconds:.3f}, goal {GOAL}; same neighbors {agreed:.4%}")
    return size.gigaflops / ours.seconds, size.gigaflops / peer.seconds


def main() -> None:
    arguments: argparse.Namespace = harness.arguments(__doc__)
    faiss.omp_set_num_threads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    print(harness.machine())
    peak = matmul_peak(arguments.repeat)
    print(f"best matrix product: {peak:.0f} GFLOP/s with {arguments.threads} threads")
    rates = [compare(size, peak, arguments.repeat) for size in (QUICK if arguments.quick else SIZES)]
    print(f"peak memory {harness.peak_memory() / 2**30:.1f} GiB")
    ours, peer = min(rates, key=lambda rate: rate[0] / rate[1])
    print("the last line is the size with the lower ratio, in GFLOP/s")
    harness.result("nearest", ours, peer, GOAL, higher_is_better=True, gated=not arguments.quick)


if __name__ == "__main__":
    main()
