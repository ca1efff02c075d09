"""How sound a vector is: the least of named sub-scores in [0, 1], each with its formula.

    finite      1 if all components are finite, else 0 (and all others are 0, too)
    dimension   1 if it has the dimension expected, else 0
    norm        max(0, 1 − |‖v‖ − 1|): 1 at unit length, 0 for a vector of zeros or of length 2 and more
    spread      min(1, E / min(10, D/3)), and 0 where all components are equal: E = (Σ vᵢ²)² / Σ vᵢ⁴ is the effective number of
                components that carry the length (the participation ratio times D); 1 where one outweighs all
    drift       min(1, 20 p), with a reference: p is the share of the reference's vectors that lie as far from its centre, by
                cosine, or farther; 1 for all but the outermost twentieth, 0 for what lies farther out than any

Shapes: N vectors, R of the reference, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.errors import DataError
from likewise.types import Float32, Float64

PARTS = ("finite", "dimension", "norm", "spread", "drift")
ENOUGH = 10.0  # components that carry the length, or a third of all where these are few (what normally distributed ones have)
OUTERMOST = 20.0  # 1 / the share of the reference that counts as far out


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Vectors that are as they should be: their `center` [D], of unit length, and their cosines to it [R], ascending."""

    center: Float64
    cosines: Float64

    @classmethod
    def of(cls, vectors: NDArray[np.floating]) -> Reference:
        """From vectors [R, D] of any length but zero, at least one."""
        assert len(vectors), "a reference has vectors"
        units = _units(np.asarray(vectors, dtype=np.float64))
        center = _units(units.mean(axis=0)[None])[0]
        return cls(center, np.sort(units @ center))

    @classmethod
    def given(cls, vectors: Any, dimension: int, name: str) -> Reference:
        """From what a user gives as vectors [R, `dimension`], called `name` in messages.

        DataError where they are none; it names the first row that is zero or not finite, which has no direction.
        """
        found = np.asarray(vectors)
        if found.dtype.kind not in "fiu" or found.ndim != 2 or not len(found) or found.shape[1] != dimension:
            held = f"{found.dtype} {list(found.shape)}"
            raise DataError(f"{name} holds {held}; give vectors [R, {dimension}] of this model, at least one.")
        lengths = np.linalg.norm(found.astype(np.float64), axis=1)
        wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
        if len(wrong):
            raise DataError(f"{name} has {len(wrong)} rows that are zero or not finite, the first {wrong[0]}; leave them out.")
        return cls.of(found)

    def share_as_far(self, vectors: Float64) -> Float64:
        """[N]: the share of the reference that is as far from its centre as each vector [N, D], or farther."""
        cosines = _units(vectors) @ self.center
        return np.searchsorted(self.cosines, cosines + 1e-12, side="right") / len(self.cosines)


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """`scores` [N] float64: the least of the `parts` [N], by name; "drift" is there with a reference only."""

    scores: Float64
    parts: dict[str, Float64]

    def worst(self, number: int) -> str:
        """The name of the least sub-score of one vector."""
        return min(self.parts, key=lambda name: float(self.parts[name][number]))


def quality_of(vectors: NDArray[np.floating], dimension: int, reference: Reference | None = None) -> Quality:
    """The quality of vectors [N, D], of which `dimension` is expected."""
    wide = np.asarray(vectors, dtype=np.float64)
    assert wide.ndim == 2, "one row for each vector"
    finite = np.asarray(np.isfinite(wide).all(axis=1))
    known = np.where(finite[:, None], wide, 0.0)
    parts = {
        "finite": finite.astype(np.float64),
        "dimension": np.full(len(wide), float(wide.shape[1] == dimension)),
        "norm": np.maximum(0.0, 1 - np.abs(np.linalg.norm(known, axis=1) - 1)),
        "spread": _spread(known),
    }
    if reference is not None:
        fits = wide.shape[1] == len(reference.center)
        parts["drift"] = np.minimum(1.0, OUTERMOST * reference.share_as_far(known)) if fits else np.zeros(len(wide))
    parts = {name: np.where(finite, part, 0.0) for name, part in parts.items()}
    return Quality(np.min(np.stack(list(parts.values())), axis=0), parts)


def drifted(vectors: Float32, reference: Reference) -> float:
    """How far vectors [N, D] as a whole stand from a reference: 1 − the cosine of both centres."""
    return float(1 - Reference.of(vectors).center @ reference.center)


def _spread(vectors: Float64) -> Float64:
    squares, dimension = vectors**2, vectors.shape[1]
    fourth = (squares**2).sum(axis=1)
    carrying = np.divide(squares.sum(axis=1) ** 2, fourth, out=np.zeros(len(vectors)), where=fourth > 0)
    equal = (vectors == vectors[:, :1]).all(axis=1) & (dimension > 1)
    return np.where(equal, 0.0, np.minimum(1.0, carrying / min(ENOUGH, dimension / 3)))


def _units(vectors: Float64) -> Float64:
    """At unit length; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
