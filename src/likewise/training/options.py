"""The section [train]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from likewise.errors import RecipeError
from likewise.evaluation.metric_names import check_metric
from likewise.losses.options import LOSS_KINDS, InfoNCEOptions
from likewise.options import Kinds, Options
from likewise.types import Scope

EFFECTIVE: dict[Scope, tuple[str, ...]] = {  # keys that have an effect only where evidence has this scope
    "corpus": ("batch_size", "max_length", "gradient_cache", "matryoshka", "negatives_per_pair", "hard_positives"),
    "shard": ("shards_in_memory",),
}


class TrainOptions(Options):
    """How the encoder is trained. The start is a candidate like every checkpoint: a worse model is never handed over."""

    loss: Annotated[Options, Kinds(LOSS_KINDS, "train.loss")] = InfoNCEOptions()
    """The loss, by its `kind`: infonce, triplet, cosine, hinge, logistic, or "package.module:Class"."""
    epochs: int = Field(3, ge=0)
    """Passes over the training pairs."""
    max_steps: int | None = Field(None, ge=1)
    """Stop after this many optimiser steps, whatever `epochs` says."""
    batch_size: int = Field(32, ge=2)
    """Pairs per batch; in-batch negatives come from the others of the same batch."""
    max_length: int | None = Field(128, ge=1)
    """Longest text in tokens during training; None uses the encoder's."""
    learning_rate: float = Field(2e-5, gt=0)
    """The highest learning rate, reached at the end of the warm-up."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay; biases and normalisation weights are exempt."""
    amsgrad: bool = False
    """Use AdamW's AMSGrad variant."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up."""
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises; not together with `warmup_steps`."""
    warmup_steps: int | None = Field(None, ge=0)
    """Steps in which the learning rate rises."""
    accumulate: int = Field(1, ge=1)
    """Batches per optimiser step. With `gradient_cache` they become one batch, so each pair sees all their negatives."""
    clip_norm: float | None = Field(1.0, gt=0)
    """Largest norm of the gradient; None does not clip."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the forward and backward pass (weights stay float32); "auto" is bfloat16 where the processor has it."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    gradient_checkpointing: bool = False
    """Keep fewer activations and compute them again on the way back: less memory, about a third more time."""
    gradient_cache: int | None = Field(None, ge=1)
    """Embed at most this many texts at once and again on the way back, so that memory no longer grows with batch_size."""
    matryoshka: tuple[int, ...] = ()
    """Also train the first d numbers of each vector, for each d given."""
    negatives_per_pair: int | None = Field(None, ge=0)
    """Mined and known negatives used per pair, drawn anew in each epoch; None uses all."""
    hard_positives: bool = True
    """Train every known positive that a batch happens to hold, not only each pair's own; otherwise the others are masked."""
    eval_steps: int | None = Field(None, ge=1)
    """Measure on the validation split every so many optimiser steps; None does so at the end of each epoch."""
    save_steps: int | None = Field(None, ge=1)
    """Write a checkpoint every so many optimiser steps; None does so at each evaluation."""
    logging_steps: int = Field(10, ge=1)
    """Write the loss to metrics.csv every so many optimiser steps."""
    early_stopping: int | None = Field(None, ge=1)
    """Stop after this many evaluations without a better one."""
    metric: str = "ndcg@10"
    """What chooses the checkpoint, on the validation queries over the full corpus."""
    guard: str | None = "recall@100"
    """A metric that must not fall below the start's by more than `guard_tolerance`; a checkpoint that fails is not chosen."""
    guard_tolerance: float = Field(0.01, ge=0)
    """How far the guard metric may fall."""
    shards_in_memory: int = Field(32, ge=1)
    """Where evidence stays within a shard: the most shards (events) held in memory at once."""
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Loggers beside metrics.csv (extras: tensorboard, wandb)."""

    def without_effect(self, scope: Scope) -> Iterator[str]:
        """The keys that were changed, but say nothing about a training whose evidence has this scope."""
        for other, keys in EFFECTIVE.items():
            if other != scope:
                yield from (key for key in keys if getattr(self, key) != type(self).model_fields[key].default)

    @model_validator(mode="before")
    @classmethod
    def _steps_instead_of_ratio(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("warmup_steps") not in (None, "none"):
            return {"warmup_ratio": 0.0, **given}
        return given

    @field_validator("metric", "guard")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            check_metric(name)
        return name

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.warmup_steps is not None and self.warmup_ratio > 0:
            raise RecipeError("[train] warmup_ratio and warmup_steps exclude each other: remove one.")
        return self
