"""A measurement as Parquet tables, systems one below the other, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from likewise.evaluation.binned import BinnedEfficiency
from likewise.evaluation.degrees import Degrees
from likewise.evaluation.radius_scan import RadiusScan


def scan_table(scans: Mapping[str, RadiusScan]) -> pa.Table:
    """Counts and metrics at every radius."""
    tables = []
    for system, scan in scans.items():
        counts = {"edges": scan.edges, "true_found": scan.true_found, "signal_found": scan.signal_found}
        weights = {"weight_found": scan.weight_found}
        shares = {"efficiency": scan.signal_efficiency, "purity": scan.signal_purity, "neighbors": scan.neighbors}
        tables.append(_named(system, {"radius": scan.radii, **counts, **weights, **shares}))
    return pa.concat_tables(tables)


def binned_table(systems: Mapping[str, Mapping[str, BinnedEfficiency]]) -> pa.Table:
    """Efficiencies with their intervals in the bins of every property."""
    tables = []
    for system, properties in systems.items():
        for name, binned in properties.items():
            low, high = binned.interval_95
            columns = {"from": binned.edges[:-1], "to": binned.edges[1:], "found": binned.found, "total": binned.total}
            shares = {"efficiency": binned.efficiency, "low": low, "high": high}
            tables.append(_named(system, {"property": [name] * len(low), **columns, **shares}))
    return pa.concat_tables(tables)


def neighbors_table(systems: Mapping[str, Degrees]) -> pa.Table:
    """How many hits have so many neighbors; numbers that none has are left out."""
    tables = []
    for system, degrees in systems.items():
        neighbors = np.flatnonzero(degrees.hits)
        tables.append(_named(system, {"neighbors": neighbors, "hits": degrees.hits[neighbors]}))
    return pa.concat_tables(tables)


def read_scan(table: pa.Table, system: str, counts: Mapping[str, Any]) -> RadiusScan:
    """A system's scan; `counts` are those at any radius, as JSON."""
    radii, edges, true, signal, weight = _columns(table, system, "radius", "edges", "true_found", "signal_found", "weight_found")
    totals = {"hits": counts["hits"], "true": counts["true"], "signal": counts["signal"], "weight": counts["signal_weight"]}
    return RadiusScan(radii, edges, true, signal, weight, **totals)


def read_binned(table: pa.Table, system: str) -> dict[str, BinnedEfficiency]:
    """A system's efficiencies, by property."""
    found = {}
    for name in dict.fromkeys(table["property"].to_pylist()):
        low, high, seen, total = _columns(table.filter(pc.field("property") == name), system, "from", "to", "found", "total")
        found[name] = BinnedEfficiency(np.append(low, high[-1]), seen, total, outside=0)
    return found


def read_neighbors(table: pa.Table, system: str) -> Degrees:
    """A system's degrees."""
    neighbors, count = _columns(table, system, "neighbors", "hits")
    hits = np.zeros(int(neighbors.max(initial=0)) + 1, dtype=np.int64)
    hits[neighbors] = count
    return Degrees(hits)


def _named(system: str, columns: Mapping[str, Any]) -> pa.Table:
    table = pa.table(columns)
    return table.add_column(0, "system", pa.array([system] * len(table), pa.string()))


def _columns(table: pa.Table, system: str, *names: str) -> list[Any]:
    chosen = table.filter(pc.field("system") == system)
    return [chosen[name].to_numpy() for name in names]
