"""Equal hashes as one value: only distinct values are compared.

Shapes: N hashes, V distinct values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from likewise.data.perceptual import UInt64
from likewise.types import Int64


class Distinct(NamedTuple):
    """The distinct values, ascending [V]; those of value v are `rows[starts[v]:starts[v + 1]]`, ascending."""

    values: UInt64
    rows: Int64  # [N]
    starts: Int64  # [V + 1]

    @classmethod
    def of(cls, hashes: UInt64) -> Distinct:
        """Of hashes [N]."""
        rows = np.argsort(hashes, kind="stable")
        ordered = hashes[rows]
        first = np.flatnonzero(np.concatenate([np.ones(min(1, len(rows)), np.bool_), ordered[1:] != ordered[:-1]]))
        return cls(ordered[first], rows, np.append(first, len(rows)))

    @property
    def sizes(self) -> Int64:
        """How many rows each value has [V]."""
        return np.diff(self.starts)
