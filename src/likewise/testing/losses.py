"""What every loss must do, on random batches with ragged positives, masks, ties and empty rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likewise.types import Float64, Loss, Pairs

Listed = tuple[int, int, int, float]
"""Row, column, label and weight of a listed pair."""
Reference = Callable[[Float64, Float64, list[Listed]], float]
"""A loss by brute force, in float64: rows [R, D], columns [C, D] and (row, column, label, weight) of each listed pair."""


@dataclass(frozen=True, slots=True)
class LossCase:
    """One batch for a loss: `rows` [R, D] and `columns` [C, D] float32, neither of unit length."""

    name: str
    rows: Tensor
    columns: Tensor
    pairs: Pairs[Tensor]


def check_loss(loss: Loss, reference: Reference | None = None, *, seed: int = 0, tolerance: float = 1e-4) -> None:
    """Hold a loss to the contract; AssertionError says what is broken.

    With a reference its values are compared, too, to `tolerance` (absolute and relative: the loss computes in float32).
    """
    for case in loss_cases(seed):
        _check_result(loss, case)
        _check_order(loss, case)
        _check_masks(loss, case)
        _check_autocast(loss, case)
        if reference is not None:
            expected = reference(_array(case.rows), _array(case.columns), listed(case.pairs))
            value = float(loss(case.rows, case.columns, case.pairs).loss)
            assert np.isclose(value, expected, rtol=tolerance, atol=tolerance), f"{case.name}: {value} instead of {expected}"
    _check_empty(loss)


def loss_cases(seed: int = 0) -> Iterator[LossCase]:
    """Batches of many kinds: the usual one, several positives, masks, known negatives, equal vectors, one row, one column."""
    generator = np.random.default_rng(seed)
    yield _case("one positive per row", generator, 6, 9, [(row, row, 1, 1.0) for row in range(6)])
    for number in range(4):
        yield _case(f"ragged positives, masks and known negatives {number}", generator, 5, 8, _random_pairs(generator, 5, 8))
    ragged = _case("ties and equal vectors", generator, 5, 7, _random_pairs(generator, 5, 7))
    columns = ragged.columns.clone()
    columns[3:] = columns[0]
    yield LossCase(ragged.name, ragged.rows, columns, ragged.pairs)
    yield LossCase("a row equal to its positive", ragged.columns[:5].clone(), ragged.columns, ragged.pairs)
    yield _case("every column a positive", generator, 2, 3, [(row, column, 1, 1.0) for row in range(2) for column in range(3)])
    yield _case("one row", generator, 1, 4, [(0, 2, 1, 0.5)])
    yield _case("one column", generator, 3, 1, [(1, 0, 1, 1.0)])


def pairs_tensor(listed_pairs: list[Listed]) -> Pairs[Tensor]:
    """Pairs of a batch as tensors, from (row, column, label, weight)."""
    a, b, label, weight = (list(part) for part in zip(*listed_pairs, strict=True)) if listed_pairs else ([], [], [], [])
    return Pairs(
        torch.tensor(a, dtype=torch.int64),
        torch.tensor(b, dtype=torch.int64),
        torch.tensor(label, dtype=torch.int8),
        torch.tensor(weight, dtype=torch.float32),
    )


def listed(pairs: Pairs[Tensor]) -> list[Listed]:
    """(row, column, label, weight) of every pair."""
    return list(zip(pairs.a.tolist(), pairs.b.tolist(), pairs.label.tolist(), pairs.weight.tolist(), strict=True))


def _case(name: str, generator: np.random.Generator, rows: int, columns: int, pairs: list[Listed]) -> LossCase:
    vectors = torch.from_numpy(generator.normal(size=(rows + columns, 5)).astype(np.float32))
    return LossCase(name, vectors[:rows], vectors[rows:], pairs_tensor(pairs))


def _random_pairs(generator: np.random.Generator, rows: int, columns: int) -> list[Listed]:
    """A random third of all (row, column), the last row left without any."""
    chosen = [(row, column) for row in range(rows - 1) for column in range(columns) if generator.random() < 0.35]
    return [(row, column, int(generator.random() < 0.6), float(generator.choice([0.0, 0.5, 1.0, 2.0]))) for row, column in chosen]


def _check_result(loss: Loss, case: LossCase) -> None:
    rows, columns = case.rows.clone().requires_grad_(), case.columns.clone().requires_grad_()
    result = loss(rows, columns, case.pairs)
    assert result.loss.shape == (), f"{case.name}: the loss is not a scalar"
    assert torch.isfinite(result.loss), f"{case.name}: the loss is {result.loss.detach()}"
    assert result.loss.detach() >= 0, f"{case.name}: the loss is negative"
    assert 0 <= result.active <= 1, f"{case.name}: active is {result.active}"
    result.loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    for gradient in (rows.grad, columns.grad):
        assert gradient is not None, f"{case.name}: the loss is cut from its vectors"
        assert torch.isfinite(gradient).all(), f"{case.name}: a gradient is not finite"
    assert result.active > 0 or result.loss.detach() == 0, f"{case.name}: nothing is active, yet there is a loss"
    assert torch.equal(rows, case.rows), f"{case.name}: the loss changed its input"
    assert torch.equal(columns, case.columns), f"{case.name}: the loss changed its input"


def _check_order(loss: Loss, case: LossCase) -> None:
    """The order of rows, columns and listed pairs means nothing."""
    generator = torch.Generator().manual_seed(len(case.pairs))
    row, column, pair = (torch.randperm(n, generator=generator) for n in (len(case.rows), len(case.columns), len(case.pairs)))
    pairs = case.pairs
    moved = Pairs(row.argsort()[pairs.a[pair]], column.argsort()[pairs.b[pair]], pairs.label[pair], pairs.weight[pair])
    before, after = loss(case.rows, case.columns, pairs), loss(case.rows[row], case.columns[column], moved)
    assert torch.isclose(before.loss, after.loss, rtol=1e-4, atol=1e-5), f"{case.name}: another order gives another loss"
    assert abs(before.active - after.active) < 1e-6, f"{case.name}: another order gives another active share"


def _check_masks(loss: Loss, case: LossCase) -> None:
    """A masked pair, whatever its label, and a further positive of a row must never push: masking all of a row silences it."""
    rows, columns = case.rows.clone().requires_grad_(), case.columns.clone().requires_grad_()
    masked = [(0, column, column % 2, 0.0) for column in range(len(columns))]
    others = [pair for pair in listed(case.pairs) if pair[0] != 0]
    result = loss(rows, columns, pairs_tensor(masked + others))
    (gradient,) = torch.autograd.grad(result.loss, rows)
    assert not gradient[0].any(), f"{case.name}: a row that is masked everywhere has a gradient"
    everywhere = [(row, 0, 0, 0.0) for row in range(len(rows))]
    others = [pair for pair in listed(case.pairs) if pair[1] != 0]
    result = loss(rows, columns, pairs_tensor(everywhere + others))
    (gradient,) = torch.autograd.grad(result.loss, columns)
    assert not gradient[0].any(), f"{case.name}: a column that is masked everywhere has a gradient"


def _check_autocast(loss: Loss, case: LossCase) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = loss(case.rows, case.columns, case.pairs).loss
    assert result.dtype == torch.float32, f"{case.name}: under autocast the loss is {result.dtype}"
    assert torch.allclose(result, loss(case.rows, case.columns, case.pairs).loss), f"{case.name}: autocast changes the loss"


def _check_empty(loss: Loss) -> None:
    """Nothing listed, everything masked, no rows: loss 0 with a graph, active 0."""
    for rows, columns, pairs in ((3, 4, []), (2, 2, [(0, 0, 1, 0.0), (1, 1, 0, 0.0)]), (0, 3, []), (2, 0, [])):
        vectors = torch.ones(rows, 5, requires_grad=True), torch.ones(columns, 5, requires_grad=True)
        result = loss(*vectors, pairs_tensor(pairs))
        assert result.loss.detach() == 0, "a batch without anything to learn has a loss"
        assert result.active == 0, "a batch without anything to learn is active"
        result.loss.backward()  # type: ignore[no-untyped-call]  # torch's own


def _array(vectors: Tensor) -> NDArray[np.float64]:
    return vectors.detach().double().numpy()
