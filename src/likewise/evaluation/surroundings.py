"""How many pairs of points lie within each of many radii, however many that are: counted around all points or a sample.

Shapes: n points, D dimensions, R radii, m points whose surroundings are counted.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from likewise.types import Float64

CELLS = 1 << 22  # distances held at once: 16 MB


def surroundings(vectors: Tensor, *, sampled: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows [q], distances [q, n]) of all points, or of `sampled` of them drawn by `seed`, in blocks; float32, by differences."""
    count = len(vectors)
    chosen = torch.arange(count)
    if count > sampled:
        chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:sampled]
    for rows in torch.split(chosen.to(vectors.device), max(1, CELLS // max(1, count))):
        yield rows, torch.cdist(vectors[rows], vectors, compute_mode="donot_use_mm_for_euclid_dist")


def pairs_within_radii(vectors: Tensor, radii: Float64, *, sampled: int, seed: int) -> tuple[Float64, bool]:
    """[R] float64: unordered pairs of the vectors [n, D] at most each of `radii`, ascending, apart; and whether that is exact.

    With more than `sampled` points it is an unbiased estimate from the surroundings of so many, drawn by `seed`. Distances are
    float32, by differences.
    """
    count, asked = len(vectors), min(len(vectors), sampled)
    limits = torch.from_numpy(radii).float().to(vectors.device)
    histogram = torch.zeros(len(radii) + 1, dtype=torch.int64, device=vectors.device)
    for _, apart in surroundings(vectors, sampled=sampled, seed=seed):
        histogram += torch.bincount(torch.bucketize(apart, limits).ravel(), minlength=len(histogram))
    histogram[0] -= asked  # each point is within any radius of itself
    pairs: Float64 = histogram.cumsum(0)[:-1].double().cpu().numpy() * (count / max(1, asked) / 2)
    return pairs, count <= sampled
