"""How many pairs of points lie within each of many radii, however many that are: counted around all points or a sample.

Shapes: n points, D dimensions, R radii, m points whose surroundings are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from likewise.types import Float64, Int64

CELLS = 1 << 22  # distances held at once: 16 MB


def surroundings(vectors: Tensor, *, sampled: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows [q], distances [q, n]) of all points, or of `sampled` of them drawn by `seed`, in blocks; float32, by differences."""
    count = len(vectors)
    chosen = torch.arange(count)
    if count > sampled:
        chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:sampled]
    for rows in torch.split(chosen.to(vectors.device), max(1, CELLS // max(1, count))):
        yield rows, torch.cdist(vectors[rows], vectors, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """`pairs` [R] float64: unordered pairs at most each radius apart, an estimate unless `exact`; `neighbors` [m] int64: of each
    counted point, the others within one of the radii."""

    pairs: Float64
    neighbors: Int64
    exact: bool


def count_surroundings(vectors: Tensor, radii: Float64, place: int, *, sampled: int, seed: int) -> Surroundings:
    """Count pairs of vectors [n, D] within each of `radii` [R], ascending, and the neighbors within `radii[place]`.

    With more than `sampled` points the pairs are an unbiased estimate from the surroundings of so many, drawn by `seed`.
    Distances are float32, by differences.
    """
    count, asked = len(vectors), min(len(vectors), sampled)
    limits = torch.from_numpy(radii).float().to(vectors.device)
    histogram = torch.zeros(len(radii) + 1, dtype=torch.int64, device=vectors.device)
    neighbors = [torch.zeros(0, dtype=torch.int64)]
    for _, apart in surroundings(vectors, sampled=sampled, seed=seed):
        reached = torch.bucketize(apart, limits)
        histogram += torch.bincount(reached.ravel(), minlength=len(histogram))
        neighbors.append((reached <= place).sum(dim=1).cpu() - 1)  # each point is within any radius of itself
    histogram[0] -= asked
    pairs: Float64 = histogram.cumsum(0)[:-1].double().cpu().numpy() * (count / max(1, asked) / 2)
    return Surroundings(pairs, torch.cat(neighbors).numpy(), count <= sampled)
