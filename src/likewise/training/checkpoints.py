"""Checkpoints without pickle: a folder of safetensors and JSON, written whole or not at all.

    step-00000120/
      tensors.safetensors   every tensor and array, named by its place in the checkpoint
      state.json            the rest: how they nest, counters, callbacks' states; with the digests of both

The folder is filled under a temporary name, its files are fsynced, and only then is it renamed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from likewise.artifacts.files import sha256, sync, sync_tree
from likewise.errors import DamagedArtifact, TrainingFailed

TENSORS = "tensors.safetensors"
STATE = "state.json"
PREFIX = "step-"


class FolderCheckpoints(CheckpointIO):
    """Lightning's checkpoints as folders. A model whose weights are not finite is refused with TrainingFailed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None) -> None:
        """Write a checkpoint; the folder appears under its name whole, in the place of one of the same name."""
        folder = Path(path)
        require_finite(checkpoint["state_dict"], int(checkpoint["global_step"]))
        temporary = folder.with_name(f".{folder.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        tensors = _Tensors()
        state = _packed(checkpoint, "", tensors)
        save_file(tensors.by_name, temporary / TENSORS)
        content = {"state": state, "tensors": sha256(temporary / TENSORS)}
        (temporary / STATE).write_text(json.dumps({**content, "digest": _digest(content)}, allow_nan=False), encoding="utf-8")
        sync_tree(temporary)
        shutil.rmtree(folder, ignore_errors=True)  # a folder cannot be renamed onto another
        os.rename(temporary, folder)
        sync(folder.parent)

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint to the CPU after its digests were compared; DamagedArtifact if it is not what was written."""
        folder = Path(path)
        try:
            content = json.loads((folder / STATE).read_text(encoding="utf-8"))
            whole = content.pop("digest") == _digest(content) and content["tensors"] == sha256(folder / TENSORS)
            if not whole:
                raise ValueError("a digest differs")
            checkpoint = _unpacked(content["state"], load_file(folder / TENSORS))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise DamagedArtifact(
                f"{folder} is not the checkpoint that was written ({error}); remove this folder to go on from what is before it."
            ) from error
        assert isinstance(checkpoint, dict)
        return checkpoint

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Remove a checkpoint, if it is there."""
        shutil.rmtree(path, ignore_errors=True)


def checkpoint_folder(parent: Path, step: int) -> Path:
    """Where the checkpoint of an optimiser step stands."""
    return parent / f"{PREFIX}{step:08d}"


def checkpoint_steps(parent: Path) -> list[int]:
    """The optimiser steps that have a whole checkpoint, ascending."""
    return sorted(int(folder.name.removeprefix(PREFIX)) for folder in parent.glob(f"{PREFIX}*"))


def require_finite(weights: Mapping[str, Tensor], step: int) -> None:
    """TrainingFailed if any weight is infinite or not a number."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise TrainingFailed(
                f"The weights {name} are not finite after step {step}; lower train.learning_rate, "
                'or set train.precision = "float32", and run again.'
            )


class _Tensors:
    """Tensors by name; one that occurs twice (tied weights) is held once."""

    def __init__(self) -> None:
        self.by_name: dict[str, Tensor] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self._storages: set[int] = set()

    def add(self, tensor: Tensor, name: str) -> str:
        """The name under which the tensor is held."""
        key = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and key in self._names:
            return self._names[key]
        held = tensor.detach().cpu().contiguous()
        if held.untyped_storage().nbytes() != held.nbytes or held.untyped_storage().data_ptr() in self._storages:
            held = held.clone()  # safetensors refuses tensors that share memory
        self._names[key] = name
        self._storages.add(held.untyped_storage().data_ptr())
        self.by_name[name] = held
        return name


def _packed(value: Any, name: str, tensors: _Tensors) -> Any:
    """A nested value as JSON: what JSON cannot say is a dict with one telling key."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Tensor):
        return {"tensor": tensors.add(value, name)}
    if isinstance(value, np.ndarray):
        return {"array": tensors.add(torch.from_numpy(np.array(value)), name)}
    if isinstance(value, np.generic):
        return _packed(value.item(), name, tensors)
    if isinstance(value, Mapping):
        return {"dict": [[_packed(key, name, tensors), _packed(item, f"{name}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_packed(item, f"{name}/{place}", tensors) for place, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__} (at {name}): only numbers, texts and tensors, nested")


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "float":
        return float(content)
    if kind == "tuple":
        return tuple(_unpacked(item, tensors) for item in content)
    if kind == "dict":
        return {_unpacked(key, tensors): _unpacked(item, tensors) for key, item in content}
    raise ValueError(f"{kind} is not a kind of value")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
