"""The contract suite must notice losses that break it."""

import pytest
import torch

from likewise.losses.scores import cosines
from likewise.testing.losses import check_loss
from likewise.types import LossResult


def in_batch(rows, columns, pairs, *, mask=True, keep_graph=True):
    """A plausible cross-entropy, with faults by choice."""
    chosen = (pairs.label == 1) & (pairs.weight > 0)
    scores = 20 * cosines(rows.float(), columns.float())
    if not chosen.any():
        zero = (rows.sum() + columns.sum()) * 0
        return LossResult(zero if keep_graph else torch.zeros((), requires_grad=True), 0.0)
    if mask:
        out = (pairs.label == 1) | (pairs.weight == 0)
        scores = scores.index_put((pairs.a[out], pairs.b[out]), torch.tensor(-1e9))
    row, column = pairs.a[chosen], pairs.b[chosen]
    own = 20 * cosines(rows.float(), columns.float())[row, column]
    terms = torch.logaddexp(scores.logsumexp(1)[row], own) - own
    return LossResult(terms.mean(), 1.0)


def test_a_loss_that_ignores_masks_is_caught():
    with pytest.raises(AssertionError, match="masked"):
        check_loss(lambda *batch: in_batch(*batch, mask=False))


def test_a_loss_cut_from_its_vectors_is_caught():
    with pytest.raises((AssertionError, RuntimeError)):
        check_loss(lambda *batch: in_batch(*batch, keep_graph=False))


def test_a_wrong_value_is_caught():
    from likewise.losses.infonce import infonce

    with pytest.raises(AssertionError, match="instead of"):
        check_loss(infonce, lambda rows, columns, pairs: 1.0)
