"""Lightning's Trainer as this project uses it: one Lightning epoch is the whole training, the loader knows the rest.

The loader's state, the optimiser's and every callback's travel in our checkpoints (`checkpoints.py`); Lightning fetches
nothing ahead of a loader that has a length, so the saved place is that of the batch just trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from likewise.errors import RecipeError, Terminated
from likewise.training.base import EmbeddingBase
from likewise.training.checkpoints import FolderCheckpoints, checkpoint_folder
from likewise.training.logs import quiet_lightning
from likewise.training.options import TrainOptions
from likewise.types import Batches
from likewise.vectors.options import Precision
from likewise.vectors.precision import device_for, precision_for

PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
ACCELERATORS = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}


@dataclass(frozen=True, slots=True)
class Plan:
    """How many batches are trained on, how many of them make an optimiser step, and the steps they come to."""

    batches: int
    accumulate: int

    @classmethod
    def of(cls, batches: int, options: TrainOptions) -> Plan:
        """The plan for a loader of so many batches. With gradient caching the loader has merged them already."""
        accumulate = 1 if options.gradient_cache is not None else options.accumulate
        limit = batches if options.max_steps is None else min(batches, options.max_steps * accumulate)
        return cls(limit, accumulate)

    @property
    def steps(self) -> int:
        """Optimiser steps; the last may have fewer batches."""
        return self.step_after(self.batches)

    def step_after(self, batches: int) -> int:
        """The first optimiser step at whose end so many batches have been seen."""
        return math.ceil(min(batches, self.batches) / self.accumulate)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and in what precision training runs."""

    device: torch.device
    precision: Precision

    @classmethod
    def of(cls, module: torch.nn.Module, options: TrainOptions) -> Machine:
        """What the options ask for; RecipeError where it cannot be had."""
        device = device_for(options.device, "train")
        precision = precision_for(module, device, options.precision)
        if precision == "float16" and device.type != "cuda":
            raise RecipeError('[train] precision = "float16" needs a CUDA GPU: use "auto", "bfloat16" or "float32".')
        return cls(device, precision)


def fit(
    module: EmbeddingBase,
    batches: Batches,
    plan: Plan,
    machine: Machine,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    folder: Path,
    resume: int | None,
) -> None:
    """Train, from the beginning or from the checkpoint of step `resume` in `folder`. Terminated if a signal came."""
    with quiet_lightning():
        trainer = Trainer(
            accelerator=ACCELERATORS[machine.device.type],
            devices=1,
            precision=PRECISIONS[machine.precision],  # type: ignore[arg-type]  # Lightning lists the literals
            max_epochs=1,
            limit_train_batches=plan.batches,
            accumulate_grad_batches=plan.accumulate,
            callbacks=list(callbacks),
            logger=list(loggers),
            plugins=[FolderCheckpoints()],
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        module.train()
        try:
            trainer.fit(module, batches, ckpt_path=None if resume is None else checkpoint_folder(folder, resume))
        except SIGTERMException as error:  # the signal came before our handler was back in force
            raise Terminated("Stopped before the first step that could be saved; the same command begins again.") from error
        finally:
            module.eval()
