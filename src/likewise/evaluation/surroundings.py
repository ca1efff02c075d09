"""How many pairs of points lie within each of many radii, however many that are: counted around all points or a sample.

Shapes: n points, D dimensions, R radii, m points whose surroundings are counted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from likewise.types import Float64

CELLS = 1 << 22  # distances held at once: 16 MB


def pairs_within_radii(vectors: Tensor, radii: Float64, *, sampled: int, seed: int) -> tuple[Float64, bool]:
    """[R] float64: unordered pairs of the vectors [n, D] at most each of `radii`, ascending, apart; and whether that is exact.

    With more than `sampled` points it is an unbiased estimate from the surroundings of so many, drawn by `seed`. Distances are
    float32, by differences.
    """
    count = len(vectors)
    chosen = torch.arange(count)
    if count > sampled:
        chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:sampled]
    limits = torch.from_numpy(radii).float().to(vectors.device)
    histogram = torch.zeros(len(radii) + 1, dtype=torch.int64, device=vectors.device)
    for queries in torch.split(chosen.to(vectors.device), max(1, CELLS // max(1, count))):
        apart = torch.cdist(vectors[queries], vectors, compute_mode="donot_use_mm_for_euclid_dist")
        histogram += torch.bincount(torch.bucketize(apart, limits).ravel(), minlength=len(histogram))
    histogram[0] -= len(chosen)  # each point is within any radius of itself
    pairs: Float64 = histogram.cumsum(0)[:-1].double().cpu().numpy() * (count / max(1, len(chosen)) / 2)
    return pairs, count <= sampled
