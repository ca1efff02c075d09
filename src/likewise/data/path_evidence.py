"""Which hits of one event are alike: those that follow each other on a particle's path.

Shapes: n hits, E true edges, P asked pairs. All on the device of what is asked; integer keys, no round trip over the CPU.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likewise.types import Float32, Int64, Pairs, Scope


class PathEvidence:
    """True edges of a shard, by position among its items; the world is closed: what is no edge is not alike.

    `edges` hold positions below n with label 1; weight 0 masks (below the signal cut). `groups` [n] int64 are particles, 0 for
    none: two hits of one particle that do not follow each other are masked, neither trained as alike nor pushed apart.
    """

    scope: Scope = "shard"

    def __init__(self, edges: Pairs[Int64], groups: Int64) -> None:
        a, b, weight, self._groups = (torch.from_numpy(np.array(part)) for part in (edges.a, edges.b, edges.weight, groups))
        self._count = len(groups)
        keys = torch.minimum(a, b) * self._count + torch.maximum(a, b)
        self._keys, order = keys.sort(stable=True)
        self._weights = weight[order]

    @property
    def count(self) -> int:
        """n."""
        return self._count

    @property
    def edges(self) -> tuple[Tensor, Tensor]:
        """The true edges that are not masked: positions a < b [E]."""
        keys = self._keys[self._weights > 0]
        return keys // max(1, self._count), keys % max(1, self._count)

    @property
    def signal(self) -> Tensor:
        """Positions on an edge that is not masked, ascending."""
        positions: Tensor = torch.unique(torch.cat(self.edges))
        return positions

    @property
    def noise(self) -> Tensor:
        """Positions of hits that belong to no particle, ascending."""
        return torch.nonzero(self._groups == 0)[:, 0]

    def to(self, device: torch.device) -> PathEvidence:
        """The same evidence with its tables on a device."""
        moved = object.__new__(PathEvidence)
        moved._count = self._count
        moved._groups, moved._keys, moved._weights = (part.to(device) for part in (self._groups, self._keys, self._weights))
        return moved

    @overload
    def label(self, a: Int64, b: Int64) -> tuple[NDArray[np.int8], Float32]: ...
    @overload
    def label(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]: ...
    def label(self, a: Any, b: Any) -> tuple[Any, Any]:
        """For each pair [P] of positions: 1 alike or masked (weight 0), 0 not alike (weight 1); never unknown."""
        if not isinstance(a, Tensor):
            label, weight = self.label(torch.as_tensor(a), torch.as_tensor(b))
            return label.numpy(), weight.numpy()
        edge, weight = self.edge(a, b)
        together = (a == b) | ((self._groups[a] == self._groups[b]) & (self._groups[a] > 0))
        alike = edge | together
        weight = torch.where(edge, weight, torch.where(together, torch.zeros_like(weight), torch.ones_like(weight)))
        return alike.to(torch.int8), weight

    def edge(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each pair [P] is a true edge, and its weight (0: masked)."""
        wanted = torch.minimum(a, b) * self._count + torch.maximum(a, b)
        if not len(self._keys):
            return torch.zeros_like(wanted, dtype=torch.bool), torch.zeros(wanted.shape, device=wanted.device)
        place = torch.searchsorted(self._keys, wanted).clamp(max=len(self._keys) - 1)
        return self._keys[place] == wanted, self._weights[place]

    def positives(self, rows: Int64) -> Pairs[Int64]:
        """Every other item that `label` calls alike with one of `rows` (`a`), as `b`, sorted; masked ones have weight 0."""
        rows = np.unique(rows)
        groups = self._groups.numpy()
        low, high = (self._keys // max(1, self._count)).numpy(), (self._keys % max(1, self._count)).numpy()
        found = [(low, high), (high, low)]
        for row in rows[groups[rows] > 0].tolist():
            others = np.flatnonzero(groups == groups[row])
            found.append((np.full(len(others), row), others))
        a, b = (np.concatenate(side).astype(np.int64) for side in zip(*found, strict=True))
        kept = np.isin(a, rows) & (a != b)
        key = np.unique(a[kept] * max(1, self._count) + b[kept])
        a, b = key // max(1, self._count), key % max(1, self._count)
        return Pairs(a, b, *self.label(a, b))
