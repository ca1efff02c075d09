"""The events of a folder: which there are, in which format, and reading one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from likewise.data.events import acts, trackml
from likewise.data.events.event import Event
from likewise.data.events.parquet import read_event
from likewise.data.events.pyg import MomentumUnit, read_pyg
from likewise.errors import DataError

Format = Literal["trackml", "acts", "parquet", "pyg"]

_CSV = re.compile(r"(?P<name>.+?)-(?P<kind>[a-z_-]+)\.csv(\.gz)?")
_WHOLE: Mapping[str, Format] = {".parquet": "parquet", ".pt": "pyg", ".pyg": "pyg"}
_DETECTORS = ("detectors.csv.gz", "detectors.csv")


@dataclass(frozen=True, slots=True)
class EventFiles:
    """The files of one event: by kind where an event has several, else one under the name of the format."""

    name: str
    format: Format
    files: Mapping[str, Path]


def event_files(folder: Path, prefix: str = "") -> list[EventFiles]:
    """The events of a folder whose names begin with `prefix`, by name; the format is told by the files' names.

    TrackML: NAME-hits.csv. ACTS: NAME-measurements.csv. Either may end in .gz. Parquet: NAME.parquet. PyG: NAME.pt or
    NAME.pyg. DataError if the folder holds no event, the same event in two formats, or in two digitisations: exact_NAME
    and geometric_NAME are the same particles, which must not stand on two sides of a split; `prefix` chooses.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name the folder that holds the events.")
    found = [*_csv_events(folder), *_whole_events(folder)]
    events = sorted((event for event in found if event.name.startswith(prefix)), key=lambda event: event.name)
    if not events:
        beginning = f" that begins with {prefix}" if prefix else ""
        raise DataError(
            f"{folder} holds no event{beginning}; put TrackML or ACTS .csv files, .parquet, .pt or .pyg files there, "
            "or name another folder."
        )
    _refuse_twins(folder, events)
    return events


def read(folder: Path, name: str, *, momentum_unit: MomentumUnit = "MeV", weight: str | None = None) -> Event:
    """The event `name` of a folder; `momentum_unit` is of PyG files only. DataError if it is not there, or damaged.

    `weight` names the column of the hits' weights.
    """
    found = next((event for event in (*_csv_events(folder), *_whole_events(folder)) if event.name == name), None)
    if found is None:
        raise DataError(f"{folder} holds no event {name}; `event_files` lists those it has.")
    return read_files(found, momentum_unit=momentum_unit, weight=weight)


def read_files(event: EventFiles, *, momentum_unit: MomentumUnit = "MeV", weight: str | None = None) -> Event:
    """The event of the given files; `weight` names the column of the hits' weights."""
    if event.format == "trackml":
        return trackml.read_trackml(event.name, event.files, weight)
    if event.format == "acts":
        return acts.read_acts(event.name, event.files, weight)
    if event.format == "parquet":
        return read_event(event.files["parquet"], weight or "weight")
    return read_pyg(event.files["pyg"], momentum_unit, weight)


def _csv_events(folder: Path) -> list[EventFiles]:
    """TrackML and ACTS events. In a folder of ACTS events, hits without measurements are the truth of others."""
    kinds: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir(), reverse=True):  # of NAME.csv and NAME.csv.gz, the plain one
        if match := _CSV.fullmatch(path.name):
            kinds.setdefault(match["name"], {})[match["kind"]] = path
    measured = [name for name, files in kinds.items() if "measurements" in files]
    if measured:
        return [EventFiles(name, "acts", _acts_files(folder, name, kinds)) for name in measured]
    events = [(name, files) for name, files in kinds.items() if "hits" in files]
    return [EventFiles(name, "trackml", {kind: files[kind] for kind in trackml.KINDS if kind in files}) for name, files in events]


def _acts_files(folder: Path, name: str, kinds: Mapping[str, Mapping[str, Path]]) -> dict[str, Path]:
    """The files of an ACTS event. Its truth may stand without its prefix, or under "exact_": it is the same simulation."""
    files = {kind: kinds[name][kind] for kind in acts.KINDS if kind in kinds[name]}
    plain = name[name.find("event") :] if "event" in name else name
    for other in (name, plain, f"exact_{plain}"):
        beside = kinds.get(other, {})
        if "hits" in beside:
            files.setdefault("hits", beside["hits"])
        particles = next((beside[kind] for kind in acts.PARTICLE_FILES if kind in beside), None)
        if particles:
            files.setdefault("particles", particles)
    detectors = next((folder / file for file in _DETECTORS if (folder / file).exists()), None)
    return {**files, "detectors": detectors} if detectors else files


def _whole_events(folder: Path) -> list[EventFiles]:
    paths = [path for path in folder.iterdir() if path.suffix in _WHOLE and not path.name.startswith(".")]
    return [EventFiles(path.stem, _WHOLE[path.suffix], {_WHOLE[path.suffix]: path}) for path in paths]


def _refuse_twins(folder: Path, events: list[EventFiles]) -> None:
    seen: dict[str, str] = {}
    for event in events:
        plain = event.name.removeprefix("exact_").removeprefix("geometric_") if event.format == "acts" else event.name
        if plain in seen and seen[plain] == event.name:
            raise DataError(f"{folder} holds the event {event.name} twice, in different formats; take one away.")
        if plain in seen:
            raise DataError(
                f"{folder} holds {seen[plain]} and {event.name}, which are one event digitised twice; choose one by its prefix."
            )
        seen[plain] = event.name
