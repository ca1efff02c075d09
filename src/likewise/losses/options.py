"""The losses that [train] may name, by kind."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from likewise.options import Options

TripletDistance = Literal["cosine", "euclidean"]


class InfoNCEOptions(Options):
    """Multiple negatives ranking (InfoNCE): each positive against all columns but the known positives and the masked."""

    implementation: ClassVar[str] = "likewise.losses.infonce:InfoNCE"

    kind: Literal["infonce"] = "infonce"
    scale: float = Field(20.0, gt=0)
    """Scores are cosines times this (an inverse temperature)."""
    symmetric: bool = False
    """Also contrast each positive document with the other queries."""


class TripletOptions(Options):
    """Triplet: max(0, margin + distance to the positive − distance to the negative), over all triplets of the batch."""

    implementation: ClassVar[str] = "likewise.losses.triplet:Triplet"

    kind: Literal["triplet"] = "triplet"
    margin: float = Field(0.2, gt=0)
    """How much nearer a positive must be."""
    distance: TripletDistance = "cosine"
    """1 − cosine, or Euclidean distance."""
    hardest: bool = False
    """Use only the hardest negative of each positive instead of all."""
    negatives: Literal["batch", "listed"] = "batch"
    """Which columns are a row's negatives: all of the batch that are not alike, or those listed as not alike (tracks)."""


class CosineOptions(Options):
    """Cosine embedding loss on listed pairs: 1 − s for alike, max(0, s − margin) for not alike."""

    implementation: ClassVar[str] = "likewise.losses.cosine:Cosine"
    listed_only: ClassVar[bool] = True

    kind: Literal["cosine"] = "cosine"
    margin: float = Field(0.3, ge=-1, le=1)
    """Pairs that are not alike cost nothing below this cosine."""


class HingeOptions(Options):
    """Squared hinge on Euclidean distance d of listed pairs: d² for alike, max(0, margin − d)² for not alike."""

    implementation: ClassVar[str] = "likewise.losses.hinge:Hinge"
    listed_only: ClassVar[bool] = True

    kind: Literal["hinge"] = "hinge"
    margin: float = Field(1.0, gt=0)
    """Pairs that are not alike cost nothing beyond this distance."""
    positive_weight: float = Field(1.0, gt=0)
    """What the mean over pairs alike counts against the mean over the others."""


class LogisticOptions(Options):
    """Cross-entropy on Euclidean distance d of listed pairs: the probability of alike is σ(scale · (margin − d))."""

    implementation: ClassVar[str] = "likewise.losses.logistic:Logistic"
    listed_only: ClassVar[bool] = True

    kind: Literal["logistic"] = "logistic"
    margin: float = Field(1.0, gt=0)
    """The distance at which alike and not alike are equally likely."""
    scale: float = Field(10.0, gt=0)
    """How fast the one gives way to the other, in units of 1/distance."""
    positive_weight: float = Field(1.0, gt=0)
    """What the mean over pairs alike counts against the mean over the others."""


LOSS_KINDS: dict[str, type[Options]] = {
    "infonce": InfoNCEOptions,
    "triplet": TripletOptions,
    "cosine": CosineOptions,
    "hinge": HingeOptions,
    "logistic": LogisticOptions,
}
