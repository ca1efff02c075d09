import pytest
import torch

from likewise.errors import RecipeError
from likewise.losses.infonce import InfoNCE
from likewise.losses.matryoshka import Matryoshka
from likewise.losses.options import InfoNCEOptions, TripletOptions
from likewise.losses.triplet import Triplet
from likewise.testing.losses import check_loss, loss_cases, pairs_tensor


@pytest.mark.parametrize("loss", [InfoNCE(InfoNCEOptions()), Triplet(TripletOptions(distance="euclidean"))])
def test_contract(loss):
    check_loss(Matryoshka(loss, (2, 4)))


def test_is_the_mean_over_dimensions():
    inner = Triplet(TripletOptions(distance="euclidean"))
    case = next(loss_cases())

    def first(vectors, dimension):
        cut = vectors[:, :dimension]
        return cut / cut.norm(dim=1, keepdim=True)

    expected = [inner(first(case.rows, d), first(case.columns, d), case.pairs).loss for d in (2, 3)]
    expected.append(inner(case.rows, case.columns, case.pairs).loss)
    result = Matryoshka(inner, (3, 2))(case.rows, case.columns, case.pairs)
    assert torch.isclose(result.loss, torch.stack(expected).mean(), rtol=1e-5)
    assert list(result.parts) == ["loss@2", "loss@3", "loss@5"]


def test_the_whole_dimension_counts_once():
    inner = InfoNCE(InfoNCEOptions())
    case = next(loss_cases())
    whole = inner(case.rows, case.columns, case.pairs).loss
    assert torch.equal(Matryoshka(inner, (5,))(case.rows, case.columns, case.pairs).loss, whole)


def test_a_dimension_that_the_encoder_does_not_have_is_refused():
    with pytest.raises(RecipeError, match=r"768.*384"):
        Matryoshka(InfoNCE(InfoNCEOptions()), (128, 768))(torch.ones(1, 384), torch.ones(2, 384), pairs_tensor([(0, 0, 1, 1.0)]))
