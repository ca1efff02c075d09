"""Efficiency against a property of the particles: transverse momentum, pseudorapidity, production radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.evaluation.edges import Bool
from likewise.evaluation.verdict import NORMAL_95
from likewise.types import Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class BinnedEfficiency:
    """True edges by bin: how many there are (`total` [B] int64) and were found (`found` [B] int64). Events add up.

    `edges` [B + 1] float64 are the bins' limits; a bin holds its lower limit, the last one its upper limit, too. `outside` edges
    lie in no bin or have no value.
    """

    edges: Float64
    found: Int64
    total: Int64
    outside: int

    def __add__(self, other: BinnedEfficiency) -> BinnedEfficiency:
        if not isinstance(other, BinnedEfficiency):
            return NotImplemented
        assert np.array_equal(self.edges, other.edges), "only the same bins add up"
        return BinnedEfficiency(self.edges, self.found + other.found, self.total + other.total, self.outside + other.outside)

    @property
    def efficiency(self) -> Float64:
        """[B]: found / total; not a number in empty bins."""
        share: Float64 = np.divide(self.found, self.total, out=np.full(len(self.total), np.nan), where=self.total > 0)
        return share

    @property
    def interval_95(self) -> tuple[Float64, Float64]:
        """Wilson intervals: lower and upper limits [B]; not a number in empty bins.

        They take edges as independent. Those of one track are not quite, so they are a little too narrow.
        """
        return wilson(self.found, self.total)


def binned_efficiency(values: NDArray[np.floating], found: Bool, bins: NDArray[np.floating]) -> BinnedEfficiency:
    """Count the true edges of an event in bins of a value [T] each has; `found` [T] says which are candidates.

    Give the rows that matter only: `values[true.row][true.signal]`, `found[true.signal]` for signal efficiency.
    """
    limits = np.asarray(bins, dtype=np.float64)
    assert len(limits) >= 2, "a bin has two limits"
    assert (np.diff(limits) > 0).all(), "bins rise"
    wide = np.asarray(values, dtype=np.float64)
    assert wide.shape == found.shape, "one flag for each value"
    total = np.histogram(wide[np.isfinite(wide)], limits)[0].astype(np.int64)
    seen = np.histogram(wide[np.isfinite(wide) & found], limits)[0].astype(np.int64)
    return BinnedEfficiency(limits, seen, total, len(wide) - int(total.sum()))


def wilson(found: NDArray[np.integer], total: NDArray[np.integer]) -> tuple[Float64, Float64]:
    """The 95% score interval of found / total, element by element (Wilson, JASA 22, 1927); not a number where total is 0."""
    count = np.where(np.asarray(total) > 0, total, np.nan).astype(np.float64)
    share = found / count
    slack = NORMAL_95**2 / count
    center = (share + slack / 2) / (1 + slack)
    reach = np.sqrt(share * (1 - share) * slack + slack**2 / 4) / (1 + slack)
    return np.clip(center - reach, 0, 1), np.clip(center + reach, 0, 1)
