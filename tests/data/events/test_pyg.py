from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likewise.data.events.edges import consecutive_edges
from likewise.data.events.pyg import read_pyg
from likewise.errors import DataError

WRITTEN = Path(__file__).parent / "files" / "event000000007.pyg"  # by torch_geometric: see the README there


def plain(**changed: Any) -> dict[str, Any]:
    hits = {"hit_x": torch.tensor([3.0, 6.0, 0.0]), "hit_y": torch.tensor([4.0, 8.0, 1.0]), "hit_z": torch.zeros(3)}
    return {**hits, "hit_particle_id": torch.tensor([5, 5, 0]), "track_edges": torch.tensor([[0], [1]]), **changed}


def test_an_event_that_torch_geometric_wrote() -> None:
    event = read_pyg(WRITTEN)
    assert event.name == "event000000007"
    assert event.hit_id.tolist() == list(range(100, 111))
    np.testing.assert_allclose(event.r, [32, 72, 116, 116.5, 172, 32, 72, 116, 172, 260, 360], rtol=1e-5)
    assert event.particle.tolist() == [11] * 5 + [22] * 4 + [0, 0]
    np.testing.assert_allclose(event.pt, [2] * 5 + [0.5] * 4 + [0, 0])
    np.testing.assert_allclose(event.particle_eta, [0.5] * 5 + [-1.5] * 4 + [0, 0])
    np.testing.assert_allclose(event.production_radius, [0.01] * 5 + [25] * 4 + [0, 0])
    assert event.primary.tolist() == [True] * 5 + [False] * 6
    assert event.hits_of_particle.tolist() == [5] * 5 + [4] * 4 + [0, 0]
    assert event.module.tolist() == [1, 2, 3, 3, 4, 1, 2, 3, 4, 5, 6]
    assert event.cell_names == ("cell_count", "cell_val", "cell_leta")
    assert event.cells[:, 0].tolist() == list(range(1, 12))


def test_its_true_edges_are_found_again() -> None:
    written = {(0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (5, 6), (6, 7), (7, 8)}
    assert set(zip(*consecutive_edges(read_pyg(WRITTEN), "path").tolist(), strict=True)) == written


def test_hits_weigh_what_a_tensor_says(tmp_path: Path) -> None:
    torch.save(plain(hit_mine=torch.tensor([1.0, 0.5, 0.0])), tmp_path / "event.pt")
    assert read_pyg(tmp_path / "event.pt", weight="mine").weight.tolist() == [1, 0.5, 0]
    assert read_pyg(tmp_path / "event.pt").weight.tolist() == [1, 1, 1]
    with pytest.raises(DataError, match="has no hit_other"):
        read_pyg(tmp_path / "event.pt", weight="other")


def test_momenta_may_be_in_gev(tmp_path: Path) -> None:
    torch.save(plain(track_particle_pt=torch.tensor([1.5])), tmp_path / "event.pt")
    assert read_pyg(tmp_path / "event.pt", "GeV").pt.tolist() == [1.5, 1.5, 0]
    np.testing.assert_allclose(read_pyg(tmp_path / "event.pt").pt, [0.0015, 0.0015, 0])


def test_names_without_prefix_and_properties_of_hits(tmp_path: Path) -> None:
    torch.save(
        {
            "r": torch.tensor([2.0, 4.0, 6.0]),
            "phi": torch.tensor([0.0, np.pi / 2, 0.0]),
            "z": torch.tensor([1.0, 2.0, 3.0]),
            "track_edges": torch.tensor([[0], [1]]),
            "particle_id": torch.tensor([9]),
            "pt": torch.tensor([3000.0]),
        },
        tmp_path / "old.pt",
    )
    old = read_pyg(tmp_path / "old.pt")
    np.testing.assert_allclose(np.stack([old.x, old.y, old.z]), [[2, 0, 6], [0, 4, 0], [1, 2, 3]], atol=1e-6)
    assert old.particle.tolist() == [9, 9, 0]
    assert old.pt.tolist() == [3, 3, 0]
    assert np.isnan(old.production_radius[:2]).all()

    own = plain(hit_particle_pt=torch.tensor([700.0, 700.0, 0.0]), hit_path=torch.tensor([8.0, 3.0, 1.0]))
    torch.save(own, tmp_path / "own.pt")
    event = read_pyg(tmp_path / "own.pt")
    np.testing.assert_allclose(event.pt, [0.7, 0.7, 0])
    assert consecutive_edges(event, "path").tolist() == [[1], [0]]


def test_an_edge_tells_of_its_own_particle_only(tmp_path: Path) -> None:
    shared = {"track_particle_id": torch.tensor([5, 8]), "track_particle_pt": torch.tensor([1000.0, 9000.0])}
    torch.save(plain(track_edges=torch.tensor([[0, 2], [1, 1]]), **shared), tmp_path / "event.pt")
    assert read_pyg(tmp_path / "event.pt").pt.tolist() == [1, 1, 0]  # the second edge touches a hit of particle 5


class Code:
    """What a pickle that runs code looks like."""

    def __reduce__(self) -> Any:
        return eval, ("1 + 1",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b"no archive", "cannot be read"),
        (WRITTEN.read_bytes()[:-500], "cannot be read"),
        (pickle.dumps(Code(), protocol=2), "cannot be read.*eval"),
    ],
)
def test_what_cannot_be_read_is_named_and_no_code_runs(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "event.pyg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"event\.pyg {reason}"):
        read_pyg(path)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"hit_y": torch.zeros(2)}, "values of y"),
        ({"hit_x": torch.zeros(3, 2)}, "more than one number per hit"),
        ({"track_edges": torch.tensor([[0], [3]])}, "track_edges to hit 3, but only 3"),
        ({"track_edges": torch.tensor([0, 1, 2])}, "track_edges of shape"),
        ({"track_edges": torch.tensor([[0, 1], [1, 0]])}, "go round in a circle"),
        ({"track_particle_pt": torch.zeros(5)}, "5 values of track_particle_pt for 1 track_edges"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    torch.save(plain(**changed), tmp_path / "event.pt")
    with pytest.raises(DataError, match=rf"event\.pt.*{reason}"):
        read_pyg(tmp_path / "event.pt")


def test_positions_are_needed(tmp_path: Path) -> None:
    torch.save({"hit_x": torch.zeros(2)}, tmp_path / "event.pt")
    with pytest.raises(DataError, match="has no hit_x, hit_y, hit_z"):
        read_pyg(tmp_path / "event.pt")
