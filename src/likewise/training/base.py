"""The one LightningModule of the project: data, model and loss apart, each replaceable.

R rows and C columns of a batch, D dimensions, n items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from likewise.encoders.base import Encoder, to_device
from likewise.errors import RecipeError
from likewise.training.chunks import chunks_of_like_length
from likewise.training.dropout import cheapest_dropout
from likewise.training.options import TrainOptions
from likewise.training.schedule import schedule, warmup_steps
from likewise.types import ROLES, Batch, Int64, Loss, LossResult, Pairs, Prepared


class ItemSource(Protocol):
    """What training needs of a corpus: each item's role, and its payload."""

    @property
    def roles(self) -> NDArray[np.int8]:
        """[N] int8: the place of each item's role in `types.ROLES`."""
        ...

    def payload(self, rows: Int64) -> Any:
        """The payloads of item rows, in their order."""
        ...


class EmbeddingBase(LightningModule):
    """Trains an encoder: `choose` says which items and pairs, `forward` makes vectors, `compute_loss` compares them.

    A preset overrides one of the three. `steps` is how many optimiser steps the whole training has; the learning rate
    follows it. After each batch `result` holds its LossResult and, after each optimiser step, `gradient_norm` the norm of
    the gradient before clipping.
    """

    encoder: Encoder

    def __init__(self, encoder: Encoder, loss: Loss, items: ItemSource, options: TrainOptions, *, steps: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.loss = loss
        self.options = options
        self.steps = steps
        self.result: LossResult | None = None
        self.gradient_norm: Tensor | None = None
        self._items = items
        self._lengths: Int64 | None = None
        # Embedding bags pad nothing, and each chunk would bring a gradient as large as the whole vocabulary.
        self._pads = not any(isinstance(module, nn.EmbeddingBag) for module in encoder.modules())
        if options.gradient_checkpointing:
            _checkpoint_activations(encoder, self._recomputing)

    # The three seams

    def choose(self, batch: Batch[Int64]) -> Batch[Any]:
        """Data: which rows, columns and pairs to train on. As planned, unless a preset mines within the step."""
        return batch

    def forward(self, prepared: Prepared) -> Tensor:
        """The model: vectors [n, D] of what the encoder's `prepare` gave."""
        vectors: Tensor = self.encoder(prepared)
        return vectors

    def compute_loss(self, embeddings: Tensor, batch: Batch[Any]) -> LossResult:
        """The loss of embeddings [R + C, D] float32: the vectors of the batch's rows, then those of its columns.

        A batch without columns compares its rows among themselves.
        """
        rows, columns = embeddings[: len(batch.rows)], embeddings[len(batch.rows) :]
        return self.loss(rows, columns if len(batch.columns) else rows, _on(batch.pairs, embeddings.device))

    # What stays the same

    def training_step(self, batch: Batch[Int64], batch_idx: int) -> Tensor:
        """Choose, embed, compare."""
        chosen = self.choose(batch)
        with cheapest_dropout(self.device):
            embeddings = self.embed(_joined(chosen.rows, chosen.columns))
        with torch.autocast(embeddings.device.type, enabled=False):  # similarities of near neighbors need all their digits
            self.result = self.compute_loss(embeddings.float(), chosen)
        return self.result.loss

    def embed(self, rows: Any) -> Tensor:
        """Vectors [n, D] of item rows, each item in its own role; an item that occurs twice is embedded once.

        Items are embedded in chunks of like length. With `gradient_cache` a chunk keeps no activations: they are computed
        again on the way back, with the same dropout, so that the gradient is exactly that of the whole batch (Gao et al.,
        "Scaling deep contrastive learning batch size under memory limited setup", 2021).
        """
        unique, inverse = np.unique(rows, return_inverse=True)
        vectors: list[Tensor] = []
        order: list[Int64] = []
        roles = self._items.roles[unique]
        for number, role in enumerate(ROLES):
            members = np.flatnonzero(roles == number)
            if not len(members):
                continue
            payload = self._items.payload(unique[members])
            for chunk in chunks_of_like_length(self._lengths_of(unique[members], payload, number), self.options.gradient_cache):
                prepared = self.encoder.prepare([payload[place] for place in chunk.tolist()], role, self.options.max_length)
                vectors.append(self._forward_chunk(to_device(prepared, self.device)))
                order.append(members[chunk])
        place = np.empty(len(unique), dtype=np.int64)
        place[np.concatenate(order)] = np.arange(len(unique))
        return torch.cat(vectors)[torch.from_numpy(place[inverse]).to(self.device)]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW (Loshchilov and Hutter, 2019) with decay on matrices only, and the learning rate by optimiser step."""
        options = self.options
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": options.weight_decay},
            {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
        ]
        # A fused step is a third of the time; with float16 Lightning must see the gradients before the optimiser does.
        fused = self.device.type in ("cpu", "cuda") and self.trainer.precision != "16-mixed"
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=options.learning_rate, amsgrad=options.amsgrad, fused=fused
        )
        warmup = warmup_steps(self.steps, options.warmup_ratio, options.warmup_steps)
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule(options.schedule, self.steps, warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to `clip_norm`, and remember the norm before it."""
        limit = float("inf") if self.options.clip_norm is None else self.options.clip_norm
        self.gradient_norm = nn.utils.clip_grad_norm_(self.parameters(), limit)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Row numbers stay on the CPU, where the payloads are; what was prepared moves."""
        return batch

    def _forward_chunk(self, prepared: Prepared) -> Tensor:
        if self.options.gradient_cache is None or not torch.is_grad_enabled():
            vectors: Tensor = self(prepared)
            return vectors
        kept: Callable[..., Tensor] = checkpoint
        return kept(self.forward, prepared, use_reentrant=False, preserve_rng_state=True, context_fn=self._recomputing)

    def _recomputing(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        """What is in force in a checkpointed forward pass beside what is already, and when it is computed again."""
        return nullcontext(), cheapest_dropout(self.device)

    def _lengths_of(self, rows: Int64, payload: Sequence[Any], role: int) -> Int64:
        """What each item costs, asked for once in the whole training; where nothing is padded, all the same."""
        if not self._pads:
            return np.ones(len(rows), dtype=np.int64)
        if self._lengths is None:
            self._lengths = np.zeros(len(self._items.roles), dtype=np.int64)  # 0: not asked for yet
        new = np.flatnonzero(self._lengths[rows] == 0)
        if len(new):
            asked = [payload[place] for place in new.tolist()]
            self._lengths[rows[new]] = self.encoder.lengths(asked, ROLES[role], self.options.max_length)
        return self._lengths[rows]


def _joined(rows: Any, columns: Any) -> Any:
    """Both, one after the other; numpy arrays or tensors."""
    return torch.cat([rows, columns]) if isinstance(rows, Tensor) else np.concatenate([rows, columns])


def _on(pairs: Pairs[Any], device: torch.device) -> Pairs[Tensor]:
    a, b, label, weight = (torch.as_tensor(column).to(device) for column in (pairs.a, pairs.b, pairs.label, pairs.weight))
    return Pairs(a, b, label, weight)


def _checkpoint_activations(encoder: nn.Module, contexts: Callable[[], Any]) -> None:
    """Have the transformers inside compute their activations again on the way back; RecipeError if there is none."""
    able = [
        module for module in encoder.modules() if isinstance(module, PreTrainedModel) and module.supports_gradient_checkpointing
    ]
    if not able:
        raise RecipeError(
            f"[train] gradient_checkpointing has no effect on {type(encoder).__name__}, which holds no transformer that "
            "supports it: remove the key, or use gradient_cache."
        )
    able[0].activation_checkpointing_enable({"use_reentrant": False, "context_fn": contexts})
    able[0].disable_input_require_grads()  # it would send the backward pass through frozen layers, too
