"""From the artifacts of a run on events to what the page says of their graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from likewise.artifacts.artifact import Artifact
from likewise.evaluation.binned import BinnedEfficiency
from likewise.evaluation.degrees import Degrees
from likewise.evaluation.event_sample import EDGES, HITS, PARTICLE
from likewise.evaluation.measurement_tables import read_binned, read_neighbors, read_scan
from likewise.evaluation.radius_scan import RadiusScan
from likewise.figures.event_display import DisplayEdges, DisplayHits
from likewise.report.facts import Finished, file_of
from likewise.report.graph_content import Cell, EventDisplay, GraphRow, Graphs
from likewise.report.numbers import amount

STORED = {"start": "before", "trained": "after", "raw": "raw"}  # what systems are called in the evaluation's files
METRICS = (
    ("signal_efficiency", "Signal efficiency", "signal edges found", None),
    ("efficiency", "Efficiency", "true edges found, signal or not", None),
    ("signal_purity", "Signal purity", "signal among signal and false edges", max),
    ("purity", "Purity", "true among all edges", max),
    ("neighbors", "Neighbours per hit", "edges at each hit, from both sides", min),
)


def read_graphs(finished: Finished) -> Graphs | None:
    """What was measured of candidate graphs; None in runs without them."""
    artifact = file_of(finished, "evaluate", "graphs.json")
    if artifact is None:
        return None
    found, handed_over = artifact.json("graphs.json"), str(artifact.json("verdict.json")["chosen"])
    names = [
        name for name in STORED if name != "trained" or handed_over == "trained"
    ]  # a start that is kept stands there already
    told = {name: found["systems"][STORED[name]] for name in names}
    counts = told["start"]["metrics"]["counts"]
    return Graphs(
        efficiency=float(found["efficiency"]),
        held_out=bool(found["held_out"]),
        events=int(told["start"]["metrics"]["events"]),
        hits=int(counts["hits"]),
        signal=int(counts["signal"]),
        systems=names,
        handed_over=handed_over,
        rows=tuple(_rows(told, found["at_radius"])),
        estimated=[name for name, system in told.items() if not system["exact"]],
        sampled=int(found["sampled"]),
        radius=float(told[handed_over]["radius"]),
        scans=_scans(artifact, told),
        binned=_binned(artifact, [name for name in names if name != "raw"]),
        degrees=_degrees(artifact, names),
        display=_display(artifact, handed_over),
    )


def _rows(told: Mapping[str, Mapping[str, Any]], fixed: float | None) -> Iterator[GraphRow]:
    """At the radius solved for each system, and at the fixed one if there is one."""
    purity = {name: system["metrics"]["signal_purity"]["micro"] for name, system in told.items()}
    for metric, label, note, better in METRICS:
        estimates = [system["metrics"][metric] for system in told.values()]
        values = [estimate["micro"] for estimate in estimates]
        known = [value for value in values if value is not None]
        best = values.index(better(known)) if better and known else None
        yield GraphRow(label, note, [_cell(estimate) for estimate in estimates], best)
        if metric == "signal_purity" and purity["raw"]:
            times = [Cell("–" if value is None else f"{_factor(value / purity['raw'])}×") for value in purity.values()]
            yield GraphRow("Over that of raw features", "how many times as pure, at the same efficiency", times, best)
    yield GraphRow("Radius", "solved for the efficiency", [Cell(f"{system['radius']:.4g}") for system in told.values()], None)
    if fixed is not None:
        for metric, label, _, _ in METRICS:
            cells = [_cell(system["at_radius"][metric]) for system in told.values()]
            yield GraphRow(label, f"at the radius {fixed:.4g}, the same for all", cells, None)


def _cell(estimate: Mapping[str, Any]) -> Cell:
    if estimate["micro"] is None:
        return Cell("–")
    interval = estimate["micro_interval_95"]
    return Cell(amount(estimate["micro"]), " to ".join(map(amount, interval)) if interval else "")


def _factor(value: float) -> str:
    """Two digits that count, and all of those before the point."""
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _of(table: pa.Table, system: str) -> pa.Table:
    return table.filter(pc.field("system") == STORED[system])


def _columns(table: pa.Table, *names: str) -> list[Any]:
    return [table[name].to_numpy() for name in names]


def _scans(artifact: Artifact, told: Mapping[str, Mapping[str, Any]]) -> dict[str, RadiusScan]:
    if not artifact.has("scan.parquet"):
        return {}
    table = artifact.table("scan.parquet")
    return {name: read_scan(table, STORED[name], system["metrics"]["counts"]) for name, system in told.items()}


def _binned(artifact: Artifact, names: Sequence[str]) -> dict[str, dict[str, BinnedEfficiency]]:
    """By property and system."""
    if not artifact.has("binned.parquet"):
        return {}
    table = artifact.table("binned.parquet")
    found: dict[str, dict[str, BinnedEfficiency]] = {}
    for name in names:
        for property_, binned in read_binned(table, STORED[name]).items():
            found.setdefault(property_, {})[name] = binned
    return found


def _degrees(artifact: Artifact, names: Sequence[str]) -> dict[str, Degrees]:
    if not artifact.has("neighbors.parquet"):
        return {}
    table = artifact.table("neighbors.parquet")
    return {name: read_neighbors(table, STORED[name]) for name in names}


def _display(artifact: Artifact, handed_over: str) -> EventDisplay | None:
    if not artifact.has(PARTICLE):
        return None
    particle = artifact.json(PARTICLE)
    x, y, z, place = _columns(artifact.table(HITS), "x", "y", "z", "place")
    rows = np.flatnonzero(place >= 0).astype(np.int64)
    hits = DisplayHits(x, y, z, rows[np.argsort(place[rows])])
    titles = (
        {"start": "Before training", "trained": "After training"} if handed_over == "trained" else {"start": "The start, kept"}
    )
    edges = artifact.table(EDGES)
    return EventDisplay(
        event=str(particle["event"]),
        particle=tuple(_properties(particle)),
        hits=hits,
        edges=[_edges(title, _of(edges, name)) for name, title in titles.items()],
    )


def _edges(title: str, table: pa.Table) -> DisplayEdges:
    first, second = _columns(table, "first", "second")
    return DisplayEdges(title, np.stack([first, second]), np.asarray(table["true"]).astype(np.bool_))


def _properties(particle: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "hits", f"{particle['hits']:,}"
    for name, key, unit in (("pt", "pt", "GeV"), ("η", "eta", ""), ("production radius", "production_radius", "mm")):
        if particle[key] is not None:
            yield name, f"{particle[key]:.2g} {unit}".strip().replace("-", "−")
