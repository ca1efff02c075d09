from __future__ import annotations

from pathlib import Path

import pytest

from likewise.data.events.generate import simulate
from likewise.data.events.options import GeneratorOptions
from likewise.data.events.parquet import write_event
from likewise.data.events.reading import event_files, read
from likewise.data.events.trackml_writing import write_trackml
from likewise.errors import DataError


def test_events_of_every_format_are_found_by_name(tmp_path: Path) -> None:
    options = GeneratorOptions(particles=5)
    for number in (4, 1):
        write_trackml(simulate(options, number, 0), tmp_path)
    write_event(simulate(options, 2, 0).event, tmp_path / "event000000002.parquet")
    (tmp_path / "event000000003.pyg").touch()
    (tmp_path / "event000000005.pt").touch()
    for other in ("detectors.csv.gz", "notes.txt", ".hidden.parquet"):
        (tmp_path / other).touch()
    found = event_files(tmp_path)
    assert [event.name[-1] for event in found] == ["1", "2", "3", "4", "5"]
    assert [event.format for event in found] == ["trackml", "parquet", "pyg", "trackml", "pyg"]
    assert set(found[0].files) == {"hits", "truth", "particles"}
    assert read(tmp_path, "event000000004").name == "event000000004"
    assert read(tmp_path, "event000000002").name == "event000000002"


def test_a_folder_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        event_files(tmp_path / "none")
    with pytest.raises(DataError, match="holds no event;"):
        event_files(tmp_path)
    with pytest.raises(DataError, match="holds no event event9"):
        read(tmp_path, "event9")
    (tmp_path / "a.parquet").touch()
    with pytest.raises(DataError, match="holds no event that begins with b"):
        event_files(tmp_path, "b")


def test_the_same_event_in_two_formats_is_refused(tmp_path: Path) -> None:
    simulation = simulate(GeneratorOptions(particles=5), 4, 0)
    write_trackml(simulation, tmp_path)
    write_event(simulation.event, tmp_path / "event000000004.parquet")
    with pytest.raises(DataError, match="holds the event event000000004 twice"):
        event_files(tmp_path)
