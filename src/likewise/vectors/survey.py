"""A first look at all items: what each costs, and which are the same, so that batches can be planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.encoders.base import Encoder
from likewise.types import ROLES, Int64
from likewise.vectors.cache import item_digest

SLICE = 8192
"""Items looked at together; of each only its length and its digest are kept."""

Fetch = Callable[[Int64], Sequence[Any]]
"""Positions → payloads, in their order."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Of N items: `lengths` [N] int64, `digests` of their payloads, and the `first` position [N] of an equal item of one role."""

    lengths: Int64
    digests: Sequence[bytes]
    first: Int64

    def unique(self) -> Int64:
        """The positions that must be computed, ascending."""
        return np.flatnonzero(self.first == np.arange(len(self.first))).astype(np.int64)


def survey(encoder: Encoder, fetch: Fetch, roles: NDArray[np.int8]) -> Survey:
    """Look at every item once, in order; `roles` [N] are places in `types.ROLES`."""
    lengths = np.zeros(len(roles), dtype=np.int64)
    first = np.zeros(len(roles), dtype=np.int64)
    digests: list[bytes] = []
    seen: dict[tuple[int, bytes], int] = {}
    for start in range(0, len(roles), SLICE):
        positions = np.arange(start, min(start + SLICE, len(roles)))
        payload = fetch(positions)
        digests.extend(item_digest(item) for item in payload)
        for role in np.unique(roles[positions]).tolist():
            members = np.flatnonzero(roles[positions] == role).tolist()
            lengths[positions[members]] = encoder.lengths([payload[member] for member in members], ROLES[role])
        for position in positions.tolist():
            first[position] = seen.setdefault((int(roles[position]), digests[position]), position)
    return Survey(lengths, digests, first)
