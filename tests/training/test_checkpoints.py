from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from likewise.errors import DamagedArtifact, TrainingFailed
from likewise.training.checkpoints import STATE, TENSORS, FolderCheckpoints, checkpoint_folder, checkpoint_steps

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
KEYS = st.one_of(st.text(max_size=5), st.integers())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


def written(folder: Path, **content: Any) -> dict[str, Any]:
    path = checkpoint_folder(folder, 3)
    FolderCheckpoints().save_checkpoint({"state_dict": {}, "global_step": 3, **content}, path)
    return FolderCheckpoints().load_checkpoint(path)


@given(value=VALUES)
def test_nested_values_come_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    assert repr(written(tmp_path_factory.mktemp("checkpoint"), value=value)["value"]) == repr(value)


def test_tensors_and_arrays_come_back(tmp_path: Path) -> None:
    tied = torch.randn(3, 4)
    given: Mapping[str, Any] = {
        "a/b": tied,
        "again": tied,
        "transposed": tied.T,
        "row": tied[1],
        "other view": tied.view(12),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.empty(0, 3, dtype=torch.bfloat16),
        "nested": [(torch.arange(4), {"deep": torch.tensor([True])})],
        "array": np.arange(6, dtype=np.uint32).reshape(2, 3),
        "number": np.float64(0.1),
    }
    found = written(tmp_path, given=given)["given"]
    for name in ("a/b", "again", "transposed", "row", "other view", "scalar", "empty"):
        assert found[name].dtype == given[name].dtype
        assert torch.equal(found[name], given[name])
    assert torch.equal(found["nested"][0][0], torch.arange(4))
    assert found["array"].dtype == np.uint32
    assert np.array_equal(found["array"], given["array"])
    assert found["number"] == 0.1


def test_the_optimiser_and_the_generators_come_back(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), amsgrad=True)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    found = written(tmp_path, optimizer=optimizer.state_dict(), torch=torch.get_rng_state())
    other = torch.optim.AdamW(model.parameters(), amsgrad=True)
    other.load_state_dict(found["optimizer"])
    assert repr(other.state_dict()) == repr(optimizer.state_dict())
    assert torch.equal(found["torch"], torch.get_rng_state())


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    state = {"state_dict": {"weight": torch.ones(3)}, "global_step": 1, "other": {"b": 1, "a": (2.5, None)}}
    for name in ("one", "two"):
        FolderCheckpoints().save_checkpoint(state, tmp_path / name)
    for file in (STATE, TENSORS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    with pytest.raises(TrainingFailed, match=r"weights encoder\.weight are not finite after step 3; lower train\.learning_rate"):
        written(tmp_path, state_dict={"encoder.steps": torch.tensor(3), "encoder.weight": torch.tensor([1.0, bad])})
    assert checkpoint_steps(tmp_path) == []


def test_what_needs_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot hold a PosixPath"):
        written(tmp_path, value=[{"where": tmp_path}])
    assert checkpoint_steps(tmp_path) == []


@pytest.mark.parametrize("file", [STATE, TENSORS])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_damage_is_noticed(tmp_path: Path, file: str, harm: str) -> None:
    written(tmp_path, weight=torch.randn(50), number=12345)
    path = checkpoint_folder(tmp_path, 3) / file
    content = bytearray(path.read_bytes())
    if harm == "remove":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[:-7])
    else:
        content[content.index(b"12345") if file == STATE else -3] ^= 1
        path.write_bytes(content)
    with pytest.raises(DamagedArtifact, match=r"step-00000003 is not the checkpoint that was written .*remove this folder"):
        FolderCheckpoints().load_checkpoint(checkpoint_folder(tmp_path, 3))


def test_a_folder_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, number=1)
    monkeypatch.setattr("likewise.training.checkpoints.sync_tree", lambda folder: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        FolderCheckpoints().save_checkpoint({"state_dict": {}, "global_step": 4}, checkpoint_folder(tmp_path, 4))
    assert checkpoint_steps(tmp_path) == [3]
    assert FolderCheckpoints().load_checkpoint(checkpoint_folder(tmp_path, 3))["number"] == 1


def test_steps_and_removal(tmp_path: Path) -> None:
    for step in (20, 3, 100):
        FolderCheckpoints().save_checkpoint({"state_dict": {}, "global_step": step}, checkpoint_folder(tmp_path, step))
    FolderCheckpoints().remove_checkpoint(checkpoint_folder(tmp_path, 20))
    FolderCheckpoints().remove_checkpoint(checkpoint_folder(tmp_path, 20))
    assert checkpoint_steps(tmp_path) == [3, 100]


def test_nothing_is_pickled(tmp_path: Path) -> None:
    written(tmp_path, value=(1, 2))
    names = sorted(path.name for path in checkpoint_folder(tmp_path, 3).iterdir())
    assert names == [STATE, TENSORS]
    assert json.loads((checkpoint_folder(tmp_path, 3) / STATE).read_text())["state"]
