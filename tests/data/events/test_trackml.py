from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from likewise.data.events.reading import event_files, read
from likewise.data.events.trackml import made_in_collision, read_trackml
from likewise.errors import DataError

PRIMARY = (1 << 52) | (7 << 36)
SECONDARY = PRIMARY | (1 << 24) | (2 << 12) | 1

FILES = {
    "hits": "hit_id,x,y,z,volume_id,layer_id,module_id\n10,3,4,0.5,8,2,1\n20,-6,8,1,8,4,3\n30,0,1,2,7,2,1\n40,9,0,5,8,2,9\n",
    "truth": (
        "hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight\n"
        f"20,{PRIMARY},-6,8,1,0,2,2,0.5\n10,{PRIMARY},3,4,1,0,2.5,2,0.5\n"
        f"40,{SECONDARY},9,0,5,0.3,0.4,0,0\n30,0,0,1,2,0,0,0,0\n"
    ),
    "particles": (
        "particle_id,particle_type,vx,vy,vz,px,py,pz,q,nhits\n"
        f"{PRIMARY},211,0,0,1,0,3,4,1,2\n{SECONDARY},-211,3,4,5,0.3,0.4,0,-1,1\n5,211,0,0,0,1,0,0,1,0\n"
    ),
    "cells": "hit_id,ch0,ch1,value\n20,3,7,0.5\n20,5,7,0.25\n10,1,1,2\n99,1,1,1\n",
}


def write(folder: Path, *kinds: str, zipped: bool = False, **changed: str) -> Path:
    for kind in kinds or tuple(FILES):
        text = changed.get(kind, FILES[kind])
        if zipped:
            (folder / f"event000000007-{kind}.csv.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"event000000007-{kind}.csv").write_text(text)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_every_column(tmp_path: Path, zipped: bool) -> None:
    event = read(write(tmp_path, zipped=zipped), "event000000007")
    assert event.hit_id.tolist() == [10, 20, 30, 40]
    assert event.x.tolist() == [3, -6, 0, 9]
    assert (event.volume.tolist(), event.layer.tolist(), event.module.tolist()) == ([8, 8, 7, 8], [2, 4, 2, 2], [1, 3, 1, 9])
    assert event.particle.tolist() == [PRIMARY, PRIMARY, 0, SECONDARY]
    np.testing.assert_allclose(event.pt, [3, 3, 0, 0.5])
    np.testing.assert_allclose(event.particle_eta, [np.arcsinh(4 / 3), np.arcsinh(4 / 3), 0, 0], rtol=1e-6)
    np.testing.assert_allclose(event.production_radius, [0, 0, 0, 5])
    assert event.charge.tolist() == [1, 1, 0, -1]
    assert event.primary.tolist() == [True, True, False, False]
    assert event.hits_of_particle.tolist() == [2, 2, 0, 1]
    np.testing.assert_allclose(event.path, [5, 10, 0, np.hypot(6, 4)], rtol=1e-6)
    assert event.cell_names == ("cell_count", "cell_value", "cell_width0", "cell_width1")
    assert event.cells.tolist() == [[1, 2, 1, 1], [2, 0.75, 3, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_hits_weigh_what_a_column_says(tmp_path: Path) -> None:
    folder = write(tmp_path)
    assert read(folder, "event000000007").weight.tolist() == [1, 1, 1, 1]
    assert read(folder, "event000000007", weight="weight").weight.tolist() == [0.5, 0.5, 0, 0]
    assert read(folder, "event000000007", weight="layer_id").weight.tolist() == [2, 4, 2, 2], "of the hits, if not of truth"
    with pytest.raises(DataError, match=r"truth\.csv and .*hits\.csv have no column mine; .* weight_column"):
        read(folder, "event000000007", weight="mine")
    write(tmp_path, "truth", truth=FILES["truth"].replace("0.5\n", "-0.5\n", 1))
    with pytest.raises(DataError, match=r"hit 20 has the weight -0\.5"):
        read(folder, "event000000007", weight="weight")


def test_generations_have_twelve_bits() -> None:
    assert made_in_collision(np.array([PRIMARY, SECONDARY, PRIMARY | (1 << 35), PRIMARY | (1 << 23)])).tolist() == [1, 0, 0, 1]


def test_hits_alone_are_an_event_of_noise(tmp_path: Path) -> None:
    event = read(write(tmp_path, "hits"), "event000000007")
    assert len(event) == 4
    assert not event.particle.any()
    assert event.cells.shape == (4, 0)


def test_truth_without_particles_takes_the_innermost_hit(tmp_path: Path) -> None:
    event = read(write(tmp_path, "hits", "truth"), "event000000007")
    np.testing.assert_allclose(event.pt, [2.5, 2.5, 0, 0.5], rtol=1e-6)
    assert event.primary.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(event.production_radius, [np.nan, np.nan, 0, np.nan])
    np.testing.assert_allclose(event.path, [np.sqrt(26), np.sqrt(101), 0, np.sqrt(106)], rtol=1e-6)
    assert not event.charge.any()


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("hits", "", "hits.csv cannot be read"),
        ("hits", "hit_id,x,y,z\n", "hits.csv holds no hits"),
        ("hits", "hit_id,x,y\n1,2,3\n", "hits.csv has no column z"),
        ("hits", "hit_id,x,y,z\n1,2,3,abc\n", "hits.csv cannot be read.*abc"),
        ("hits", "hit_id,x,y,z\n1,2,3,4\n1,2,3\n", "hits.csv cannot be read.*3"),
        ("hits", "hit_id,x,y,z\n1,2,3,4\n2,2,,3\n", "hits.csv, row 3: the cell of y is empty"),
        ("hits", FILES["hits"].replace("9,0,5", "9,0,inf"), "hits.csv: hit 40 has no finite value of z"),
        ("truth", FILES["truth"].replace("\n30,", "\n31,"), "truth.csv lacks the hit 30"),
        ("particles", FILES["particles"].replace(f"{SECONDARY}", "77"), f"particles.csv lacks the particle {SECONDARY}"),
    ],
)
def test_a_corrupt_file_is_named_with_the_reason(tmp_path: Path, kind: str, text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read(write(tmp_path, **{kind: text}), "event000000007")


def test_a_cut_archive_is_named(tmp_path: Path) -> None:
    write(tmp_path, zipped=True)
    path = tmp_path / "event000000007-truth.csv.gz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"truth\.csv\.gz cannot be read"):
        read(tmp_path, "event000000007")


def test_a_real_event() -> None:
    folder = Path(os.environ.get("LIKEWISE_DATA", "../shared/data")) / "tracks/trackml_thinned"
    if not folder.is_dir():
        pytest.skip("needs the real TrackML event: set LIKEWISE_DATA")
    (files,) = event_files(folder)
    event = read_trackml(files.name, files.files)
    assert len(event) == 5527
    assert len(np.unique(event.particle[event.particle != 0])) == 468
    assert np.count_nonzero(event.particle == 0) == 829
