"""One training step: which items are embedded, how, and that no economy changes the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from likewise.encoders.base import Encoder
from likewise.encoders.options import TextEncoderOptions
from likewise.encoders.text import TextEncoder
from likewise.errors import RecipeError
from likewise.testing.encoders import FakeEncoder, FakeEncoderOptions, tiny_text_model
from likewise.training.base import EmbeddingBase
from likewise.training.options import TrainOptions
from likewise.training.text import TextEmbedding
from likewise.types import Batch, Int64, LossResult, Pairs, Prepared, Role
from training.toys import ToyItems, diagonal, toy_loss

ITEMS = ToyItems(16)
BATCH = diagonal(np.arange(16), np.arange(16, 32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_text_model(tmp_path_factory.mktemp("models") / "tiny", texts=ITEMS.texts)


def module_of(encoder: Encoder, loss: Any = toy_loss, **changes: object) -> EmbeddingBase:
    options = TrainOptions.model_validate({"precision": "float32", **changes})
    return TextEmbedding(encoder, loss, ITEMS, options, steps=10)


def gradient_of(folder: Path, *, training: bool = True, **changes: object) -> tuple[float, Tensor]:
    """The loss and the whole gradient of one step of the tiny BERT, with dropout where `training`."""
    module = module_of(TextEncoder(TextEncoderOptions(model=str(folder))), **changes).train(training)
    torch.manual_seed(0)
    loss = module.training_step(BATCH, 0)
    loss.backward()
    return float(loss.detach()), torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


@pytest.mark.parametrize(
    "changes", [{"gradient_cache": 64}, {"gradient_checkpointing": True}, {"gradient_checkpointing": True, "gradient_cache": 64}]
)
def test_computing_activations_again_leaves_the_gradient(folder: Path, changes: dict[str, object]) -> None:
    loss, gradient = gradient_of(folder)
    again_loss, again = gradient_of(folder, **changes)
    assert again_loss == loss
    torch.testing.assert_close(again, gradient, rtol=0, atol=1e-6)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("largest", [1, 5, 16])
def test_caching_in_chunks_is_the_gradient_of_the_whole_batch(folder: Path, largest: int) -> None:
    loss, gradient = gradient_of(folder, training=False)
    cached_loss, cached = gradient_of(folder, training=False, gradient_cache=largest)
    assert cached_loss == pytest.approx(loss, abs=1e-6)
    torch.testing.assert_close(cached, gradient, rtol=0, atol=1e-6)


def test_dropout_differs_between_steps(folder: Path) -> None:
    module = module_of(TextEncoder(TextEncoderOptions(model=str(folder)))).train()
    assert module.training_step(BATCH, 0) != module.training_step(BATCH, 1)


def test_caching_bounds_what_is_kept(folder: Path) -> None:
    def kept(**changes: object) -> int:
        module = module_of(TextEncoder(TextEncoderOptions(model=str(folder))), **changes).train()
        sizes: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            module.training_step(BATCH, 0)
        return sum(sizes)

    assert kept(gradient_cache=2) < kept() / 10


class Watched(FakeEncoder):
    """The fake encoder, which remembers what it was asked to prepare."""

    def __init__(self, options: FakeEncoderOptions | None = None) -> None:
        super().__init__(options)
        self.asked: list[tuple[Role, list[str], int | None]] = []

    def prepare(self, payload: Sequence[str], role: Role = "document", max_length: int | None = None) -> Prepared:
        self.asked.append((role, list(payload), max_length))
        return super().prepare(payload, role, max_length)


def test_each_item_once_in_its_own_role() -> None:
    encoder = Watched()
    rows = np.array([3, 20, 3, 18, 20, 0])
    vectors = module_of(encoder, max_length=7).embed(rows)
    asked = sorted((role, text) for role, texts, _ in encoder.asked for text in texts)
    assert asked == sorted(
        [(role, ITEMS.texts[row]) for role, row in (("query", 0), ("query", 3), ("document", 18), ("document", 20))]
    )
    assert {longest for _, _, longest in encoder.asked} == {7}
    for place, row in enumerate(rows):
        role: Role = "query" if row < 16 else "document"
        expected = encoder(encoder.prepare([ITEMS.texts[row]], role, 7))[0]
        torch.testing.assert_close(vectors[place], expected)


def test_rows_and_columns_of_one_kind() -> None:
    """Items that stand on both sides, as the hits of an event do, are embedded once for both."""
    encoder = Watched()
    module_of(encoder).training_step(diagonal(np.arange(8), np.arange(8)), 0)
    assert sorted(text for _, texts, _ in encoder.asked for text in texts) == sorted(ITEMS.texts[:8])


def test_lengths_are_asked_for_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TextEncoder(TextEncoderOptions(model=str(folder)))
    counted: list[int] = []
    lengths = encoder.lengths
    monkeypatch.setattr(encoder, "lengths", lambda payload, *rest: (counted.append(len(payload)), lengths(payload, *rest))[1])
    module = module_of(encoder)
    for _ in range(3):
        module.training_step(BATCH, 0)
    module.embed(np.arange(16))
    assert sum(counted) == 32


def test_the_loss_sees_full_precision() -> None:
    seen: list[tuple[torch.dtype, bool]] = []

    def loss(rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> LossResult:
        seen.append((rows.dtype, torch.is_autocast_enabled("cpu")))
        return toy_loss(rows, columns, pairs)

    with torch.autocast("cpu", torch.bfloat16):
        module_of(FakeEncoder(), loss).training_step(BATCH, 0)
    assert seen == [(torch.float32, False)]


class StepMining(EmbeddingBase):
    """Another model altogether: features as items, pairs chosen within the step from vectors of the present weights."""

    def choose(self, batch: Batch[Int64]) -> Batch[Int64]:
        with torch.no_grad():
            vectors = self.embed(batch.rows)
        scores = (vectors @ vectors.T).fill_diagonal_(-2)
        nearest = scores.argmax(dim=1).numpy()
        place = np.arange(len(batch.rows))
        ones = np.ones(len(place))
        pairs: Pairs[Int64] = Pairs(place, nearest, (0 * ones).astype(np.int8), ones.astype(np.float32))
        return replace(batch, columns=batch.rows, pairs=pairs)

    def forward(self, prepared: Prepared) -> Tensor:
        return torch.nn.functional.normalize(super().forward(prepared) + 1, dim=1)


def test_a_preset_may_mine_within_the_step() -> None:
    chosen: list[Pairs[Tensor]] = []

    def loss(rows: Tensor, columns: Tensor, pairs: Pairs[Tensor]) -> LossResult:
        chosen.append(pairs)
        assert torch.equal(rows, columns)
        return LossResult((rows[pairs.a] * columns[pairs.b]).sum(), 1.0)

    module = StepMining(FakeEncoder(), loss, ITEMS, TrainOptions(precision="float32"), steps=1)
    module.training_step(diagonal(np.arange(16, 32), np.arange(16, 32)), 0).backward()
    assert (chosen[0].a != chosen[0].b).all()
    assert (chosen[0].label == 0).all()
    assert module.encoder.embedding.weight.grad.abs().sum() > 0


def test_gradient_checkpointing_needs_a_transformer() -> None:
    with pytest.raises(RecipeError, match="gradient_checkpointing has no effect on FakeEncoder"):
        module_of(FakeEncoder(), gradient_checkpointing=True)


def test_decay_is_for_matrices_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(TextEncoder(TextEncoderOptions(model=str(folder), frozen_layers=1)), weight_decay=0.5, learning_rate=0.25)
    monkeypatch.setattr(type(module), "trainer", type("Trainer", (), {"precision": "32-true"})())
    configured: Any = module.configure_optimizers()
    groups = configured["optimizer"].param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert {parameter.ndim for parameter in groups[0]["params"]} == {2}
    assert {parameter.ndim for parameter in groups[1]["params"]} == {1}
    assert sum(len(group["params"]) for group in groups) == sum(parameter.requires_grad for parameter in module.parameters())
    assert sum(not parameter.requires_grad for parameter in module.parameters()) > 10
