from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.events.small_events import assert_equal_events, small_event
from likewise.data.events.event import HIT_COLUMNS, make_event
from likewise.data.events.generate import generate
from likewise.data.events.options import GeneratorOptions
from likewise.data.events.parquet import read_event, write_event
from likewise.errors import DataError


def test_an_event_is_read_back_equal(tmp_path: Path) -> None:
    event = generate(GeneratorOptions(particles=20), 3, 0)
    write_event(event, tmp_path / "any.parquet")
    assert_equal_events(read_event(tmp_path / "any.parquet"), event)


def test_cells_and_unknown_values_are_kept(tmp_path: Path) -> None:
    plain = small_event([1, 0, 2**62], production_radius=[np.nan, 0, 1], charge=[-1, 0, 1])
    columns = {name: getattr(plain, name) for name in HIT_COLUMNS}
    event = make_event("a", columns, file="by hand", cells=np.arange(6.0).reshape(3, 2), cell_names=("cell_b", "cell_a"))
    write_event(event, tmp_path / "a.parquet")
    assert_equal_events(read_event(tmp_path / "a.parquet"), event)


def test_the_same_event_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_event(generate(GeneratorOptions(particles=20), 3, 0), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_another_table_of_hits_is_an_event_named_by_its_file(tmp_path: Path) -> None:
    columns = {"hit_id": [4, 5], "x": [1.0, 2.0], "y": [0.0, 0.0], "z": [3.0, 3.0], "color": ["red", "blue"]}
    pq.write_table(pa.table(columns), tmp_path / "mine.parquet")
    event = read_event(tmp_path / "mine.parquet")
    assert event.name == "mine"
    assert event.particle.tolist() == [0, 0]


def test_hits_weigh_what_a_column_says(tmp_path: Path) -> None:
    columns = {"hit_id": [4, 5], "x": [1.0, 2.0], "y": [0.0, 0.0], "z": [3.0, 3.0], "weight": [1.0, 2.0], "mine": [3.0, 0.0]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert read_event(tmp_path / "a.parquet").weight.tolist() == [1, 2]
    assert read_event(tmp_path / "a.parquet", "mine").weight.tolist() == [3, 0]
    with pytest.raises(DataError, match="no column yours"):
        read_event(tmp_path / "a.parquet", "yours")


def test_what_is_wrong_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "event.parquet"
    write_event(small_event([1, 1]), path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-10], whole.replace(b"PAR1", b"PAR2")):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"event\.parquet cannot be read"):
            read_event(path)
    pq.write_table(pa.table({"hit_id": [1], "x": [1.0]}), path)
    with pytest.raises(DataError, match=r"event\.parquet has no column y, z"):
        read_event(path)
    pq.write_table(pa.table({name: [1.0, None] for name in ("hit_id", "x", "y", "z")}), path)
    with pytest.raises(DataError, match=r"event\.parquet has rows without hit_id"):
        read_event(path)
