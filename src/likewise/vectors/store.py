"""Vectors that a stage left, read back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from likewise.artifacts.artifact import Artifact
from likewise.types import Distance, Float32


@dataclass(frozen=True, slots=True)
class Made:
    """What a run has made by the time its result is kept: a recipe without [embed], [split] or [evaluate] lacks some."""

    items: Artifact
    model: Artifact
    vectors: Artifact | None
    split: Artifact | None
    measured: Artifact | None


class Vectors:
    """The vectors of a run's items, memory-mapped: row i belongs to item i."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact

    def __len__(self) -> int:
        return len(self.array)

    @cached_property
    def array(self) -> Float32:
        """[N, D] float32."""
        return cast("Float32", self._artifact.array("vectors.npy"))

    @cached_property
    def _about(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self._artifact.json("space.json"))

    @property
    def space(self) -> str:
        """Which other vectors these may be compared with."""
        return str(self._about["space"])

    @property
    def distance(self) -> Distance:
        """How these vectors are compared."""
        return cast("Distance", self._about["distance"])
