"""What the page says of candidate graphs. Systems are called by their keys: "start", "trained" and "raw"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from likewise.evaluation.binned import BinnedEfficiency
from likewise.evaluation.degrees import Degrees
from likewise.evaluation.radius_scan import RadiusScan
from likewise.figures.event_display import DisplayEdges, DisplayHits


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in words and its 95% interval; both are empty where there is none."""

    text: str
    interval: str = ""


@dataclass(frozen=True, slots=True)
class GraphRow:
    """One metric of every system, in the order of `Graphs.systems`; `best` is the place of the best, None where none is."""

    label: str
    note: str
    cells: Sequence[Cell]
    best: int | None


@dataclass(frozen=True, slots=True, eq=False)
class EventDisplay:
    """One event with one particle: its properties in words, its hits, its edges before and after."""

    event: str
    particle: Sequence[tuple[str, str]]
    hits: DisplayHits
    edges: Sequence[DisplayEdges]


@dataclass(frozen=True, slots=True, eq=False)
class Graphs:
    """The graphs of some events, at radii that find the same share of the signal edges.

    `handed_over` is the system whose model the run hands over. `estimated` are the systems whose edges were too many to be
    counted, from the surroundings of `sampled` hits of each event.
    """

    efficiency: float
    held_out: bool
    events: int
    hits: int
    signal: int
    systems: Sequence[str]
    handed_over: str
    rows: Sequence[GraphRow]
    estimated: Sequence[str]
    sampled: int
    radius: float
    scans: Mapping[str, RadiusScan]
    binned: Mapping[str, Mapping[str, BinnedEfficiency]]
    degrees: Mapping[str, Degrees]
    display: EventDisplay | None
