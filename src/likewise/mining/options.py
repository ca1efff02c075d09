"""The section [mine]."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from likewise.errors import RecipeError
from likewise.options import Options

PRESETS: dict[str, dict[str, float]] = {
    "fast": {"range_max": 32, "num_negatives": 1},
    "balanced": {"range_max": 100, "num_negatives": 3, "relative_margin": 0.05},
    "high": {"range_max": 200, "num_negatives": 7, "relative_margin": 0.05, "refresh_every": 1},
}


class CrossEncoderOptions(Options):
    """Scores (query, candidate) again by a cross-encoder; its scores then decide the margins and score limits."""

    model: str
    """A folder, or a name on the Hugging Face hub."""
    batch_size: int = Field(256, ge=1)
    """Pairs scored at once, sorted by length."""


class MineOptions(Options):
    """Which documents to learn to push away from a query. Score, filter, choose: three steps, each reported."""

    paths: ClassVar[tuple[str, ...]] = ("model",)
    within_step: ClassVar[bool] = False

    kind: Literal["hard"] = "hard"
    preset: Literal["fast", "balanced", "high"] | None = None
    """Values for keys not given: "fast" 1 negative among the nearest 32, "balanced" 3 among 100 with a relative margin of 5%,
    "high" 7 among 200 with the same margin, mined again each epoch."""
    model: str | None = None
    """A sentence-transformers model that scores candidates; None uses the vectors of the encoder itself."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the mining model, the search and the cross-encoder run; "auto" takes the GPU where there is one."""
    batch_size: int = Field(256, ge=1)
    """Texts per batch of the mining model."""
    query_prompt: str | None = None
    """Put before every query text for the mining model; None uses the model's own prompt for queries, "" none."""
    document_prompt: str | None = None
    """Put before every document text for the mining model; None uses the model's own prompt for documents, "" none."""
    num_negatives: int = Field(1, ge=0)
    """Negatives chosen for each query; a query with fewer candidates keeps what it has."""
    range_min: int = Field(0, ge=0)
    """Skip this many of the nearest candidates (they are the likeliest to be unlabelled positives). What is known to be alike
    does not count as one."""
    range_max: int = Field(100, ge=1)
    """Look at this many of the nearest candidates."""
    absolute_margin: float | None = None
    """A negative scores at most (positive's score − this), for every positive of its query."""
    relative_margin: float | None = Field(None, lt=1)
    """A negative scores at most (positive's score × (1 − this)), for every positive of its query; where a positive scores below
    zero, at most its score − its magnitude × this."""
    min_score: float | None = None
    """A negative scores at least this."""
    max_score: float | None = None
    """A negative scores at most this."""
    sampling_strategy: Literal["top", "random"] = "top"
    """Take the nearest that pass the filters, or draw among them with the recipe's seed."""
    cross_encoder: CrossEncoderOptions | None = None
    """Score candidates again by a cross-encoder."""
    refresh_every: int | None = Field(None, ge=1)
    """Mine again every so many epochs, then with the vectors of the encoder in training instead of `model`."""
    suspicious: int = Field(1000, ge=0)
    """Write at most this many candidates that score above their positive, farthest above first, to suspicious.csv, to be read and
    marked."""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, given: object) -> object:
        if isinstance(given, dict) and isinstance(preset := given.get("preset"), str):
            return {**PRESETS.get(preset, {}), **given}
        return given

    def outside(self) -> tuple[str, ...]:
        """The models."""
        return (*super().outside(), *((self.cross_encoder.model,) if self.cross_encoder else ()))

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        window = self.range_max - self.range_min
        if window <= 0:
            raise RecipeError(f"[mine] range_max = {self.range_max} must be above range_min = {self.range_min}.")
        if window < self.num_negatives:
            raise RecipeError(
                f"[mine] num_negatives = {self.num_negatives} is more than the window of {window} candidates: raise range_max."
            )
        limits = (self.absolute_margin, self.relative_margin, self.min_score, self.max_score)
        if self.cross_encoder and self.sampling_strategy == "random" and all(limit is None for limit in limits):
            raise RecipeError(
                '[mine] cross_encoder has no effect on sampling_strategy = "random" without a margin or score limit: set one of '
                'them, or sampling_strategy = "top".'
            )
        if self.model is None:
            for key in ("batch_size", "query_prompt", "document_prompt"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise RecipeError(f"[mine] {key} has no effect without model: name a mining model, or remove {key}.")
        return self


class StepMineOptions(Options):
    """Pairs found anew in every training step, by the weights of that step: for evidence that stays within a shard."""

    within_step: ClassVar[bool] = True

    kind: Literal["step"] = "step"
    regimes: tuple[Literal["hnm", "rp"], ...] = Field(("hnm", "rp"), min_length=1)
    """"hnm": what stands near each query, the hard negatives; "rp": random pairs, which hold the rest apart. They combine."""
    queries: Literal["signal", "noise", "all"] = "signal"
    """Whose surroundings are searched: hits on signal edges, these and noise, or every hit."""
    points_per_batch: int | None = Field(4096, ge=1)
    """So many queries, drawn in each step; None takes all."""
    search: Literal["radius", "nearest"] = "radius"
    """Candidates are the points within `radius`, or the `max_neighbors` nearest however far."""
    radius: float = Field(1.0, gt=0)
    """Euclidean, in the space of the vectors; the loss's margin is a good choice."""
    max_neighbors: int = Field(50, ge=1)
    """The most candidates of a query, the nearest first."""
    random_pairs: int = Field(5, ge=1)
    """Random points paired with each query by "rp"."""


MINE_KINDS: dict[str, type[Options]] = {"hard": MineOptions, "step": StepMineOptions}
