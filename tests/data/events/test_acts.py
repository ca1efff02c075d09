from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from likewise.data.events.reading import event_files, read
from likewise.errors import DataError

SENSOR = (200 << 56) | (6 << 36) | (9 << 8)  # the volume uses the sign bit of a signed integer
PRIMARY = (3000 << 52) | (1 << 24)
DECAYED = PRIMARY | (1 << 40)

FILES = {
    "detectors": "geometry_id,cx,cy,cz,rot_xu,rot_xv,rot_xw,rot_yu,rot_yv,rot_yw,rot_zu,rot_zv,rot_zw,bounds_type\n"
    f"{SENSOR},10,20,30,0,0,1,1,0,0,0,1,0,6\n{SENSOR + 256},10,20,30,0,0,1,1,0,0,0,1,0,1\n",
    "measurements": "measurement_id,geometry_id,local_key,local0,local1,phi,theta,time\n"
    f"0,{SENSOR},,1,2,0,0,0\n1,{SENSOR},,-1,0,0,0,0\n2,{SENSOR},,0,0,0,0,0\n",
    "measurement-simhit-map": "measurement_id,hit_id\n0,2\n1,1\n1,0\n",
    "hits": "particle_id,geometry_id,tx,ty,tz,tt,index\n"
    f"{PRIMARY},{SENSOR},10,19.1,30,4,3\n{DECAYED},{SENSOR},10,19,30,9,5\n{PRIMARY},{SENSOR},10,21.1,32,5,4\n",
    "particles_initial": "particle_id,particle_type,process,vx,vy,vz,vt,px,py,pz,m,q\n"
    f"{PRIMARY},13,0,0,0,0,0,3,4,0,0.1,-1\n{DECAYED},13,0,6,8,0,0,0,1,0,0.1,1\n",
    "cells": f"geometry_id,measurement_id,channel0,channel1,timestamp,value\n{SENSOR},1,5,6,0,0.5\n{SENSOR},1,6,8,0,0.25\n",
}


def write(folder: Path, prefix: str = "", leave_out: tuple[str, ...] = (), **changed: str) -> Path:
    for kind, text in FILES.items():
        if kind not in leave_out:
            name = "detectors.csv" if kind == "detectors" else f"{prefix}event000000002-{kind}.csv"
            (folder / name).write_text(changed.get(kind, text))
    return folder


@pytest.mark.parametrize("prefix", ["", "geometric_"])
def test_measurements_are_placed_by_their_sensors(tmp_path: Path, prefix: str) -> None:
    (files,) = event_files(write(tmp_path, prefix))
    assert (files.name, files.format) == (f"{prefix}event000000002", "acts")
    event = read(tmp_path, files.name)
    # u is the y axis, v the z axis
    np.testing.assert_allclose(np.stack([event.x, event.y, event.z], axis=1), [[10, 21, 32], [10, 19, 30], [10, 20, 30]])
    assert event.volume.tolist() == [200] * 3
    assert event.layer.tolist() == [6] * 3
    assert event.module.tolist() == [9] * 3


def test_measurements_weigh_what_a_column_says(tmp_path: Path) -> None:
    event = read(write(tmp_path), "event000000002", weight="local1")
    assert event.weight.tolist() == [2, 0, 0]
    with pytest.raises(DataError, match=r"measurements\.csv have no column mine"):
        read(tmp_path, "event000000002", weight="mine")


def test_truth_is_that_of_the_first_simulated_hit(tmp_path: Path) -> None:
    event = read(write(tmp_path), "event000000002")
    assert event.particle.view(np.uint64).tolist() == [PRIMARY, DECAYED, 0]
    np.testing.assert_allclose(event.pt, [5, 1, 0])
    np.testing.assert_allclose(event.production_radius, [0, 10, 0])
    assert event.primary.tolist() == [True, False, False]
    assert event.charge.tolist() == [-1, 1, 0]
    assert event.path.tolist() == [4, 5, 0]
    assert event.cells.tolist() == [[0] * 4, [2, 0.75, 2, 3], [0] * 4]


def test_exact_positions_are_the_simulated_ones_and_truth_serves_both(tmp_path: Path) -> None:
    three = "measurement_id,hit_id\n0,2\n1,1\n2,0\n"
    write(tmp_path, "exact_", leave_out=("detectors",), **{"measurement-simhit-map": three})
    write(tmp_path, "geometric_", leave_out=("hits", "particles_initial"))
    exact, geometric = (read(tmp_path, f"{prefix}event000000002") for prefix in ("exact_", "geometric_"))
    np.testing.assert_allclose(exact.y, [21.1, 19, 19.1], rtol=1e-6)
    assert geometric.particle[:2].tolist() == exact.particle[:2].tolist()


def test_one_event_digitised_twice_is_not_two_events(tmp_path: Path) -> None:
    write(tmp_path, "exact_")
    write(tmp_path, "geometric_")
    with pytest.raises(DataError, match="one event digitised twice"):
        event_files(tmp_path)
    assert [event.name for event in event_files(tmp_path, "exact_")] == ["exact_event000000002"]


def test_particles_of_other_versions_and_cells_of_older_ones(tmp_path: Path) -> None:
    write(tmp_path, cells=FILES["cells"].replace("measurement_id", "hit_id"), leave_out=("particles_initial",))
    (tmp_path / "event000000002-particles.csv").write_text(FILES["particles_initial"])
    event = read(tmp_path, "event000000002")
    assert event.cells[1].tolist() == [2, 0.75, 2, 3]


@pytest.mark.parametrize(
    ("changed", "leave_out", "reason"),
    [
        ({}, ("detectors",), "measurements.csv stands without the event's detectors file"),
        ({}, ("hits",), "stands without the event's hits file"),
        ({"measurement-simhit-map": "measurement_id,hit_id\n0,3\n"}, (), "simhit-map.csv names hit 3, but .*hits.csv has 3"),
        ({"measurements": FILES["measurements"].replace(f"2,{SENSOR}", f"2,{SENSOR + 1}")}, (), f"flat sensor {SENSOR + 1};"),
        ({"measurements": FILES["measurements"].replace(f"2,{SENSOR}", f"2,{SENSOR + 256}")}, (), f"flat sensor {SENSOR + 256};"),
        ({"cells": FILES["cells"].replace(",1,", ",8,")}, (), "cells.csv has a cell of measurement 8"),
        ({"hits": FILES["hits"].replace(",tt,index", ",a,b")}, (), "hits.csv has neither a column index"),
        ({"hits": "particle_id,tx,ty,tz,tt\n"}, (), "hits.csv holds no hits"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changed: dict[str, str], leave_out: tuple[str, ...], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read(write(tmp_path, leave_out=leave_out, **changed), "event000000002")


def test_a_real_event() -> None:
    folder = Path(os.environ.get("LIKEWISE_DATA", "../shared/data")) / "tracks/acts_muon_gun"
    if not folder.is_dir():
        pytest.skip("needs the real ACTS event: set LIKEWISE_DATA")
    exact, geometric = (read(folder, f"{prefix}event000000000") for prefix in ("exact_", "geometric_"))
    assert (len(exact), len(geometric)) == (11862, 10907)
    assert exact.primary.all()
    # the same hits, measured: a particle's hit on a module is nowhere farther than a strip is long
    where = {key: row for row, key in enumerate(zip(exact.particle, exact.volume, exact.layer, exact.module, strict=True))}
    rows = [where[key] for key in zip(geometric.particle, geometric.volume, geometric.layer, geometric.module, strict=True)]
    assert max(np.abs(getattr(exact, axis)[rows] - getattr(geometric, axis)).max() for axis in "xyz") < 0.75
