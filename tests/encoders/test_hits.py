"""Hits through a perceptron: scaling by the training split, and the contract of every encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.encoders.hits import HitEncoder
from likewise.encoders.options import HitEncoderOptions
from likewise.errors import DataError
from likewise.testing.encoders import check_encoder
from likewise.types import Items


def slices(features: np.ndarray, size: int = 37) -> list[Items]:
    return [
        Items("event", [str(start + n) for n in range(len(features[start : start + size]))], features[start : start + size])
        for start in range(0, len(features), size)
    ]


def features_of(count: int = 200) -> np.ndarray:
    generator = np.random.default_rng(0)
    return (generator.normal(size=(count, 3)) * [100, 1, 1e4] + [500, 0, -3e4]).astype(np.float32)


def fitted(**options: object) -> HitEncoder:
    chosen = HitEncoderOptions.model_validate({"widths": (16, 12), "dimension": 5, **options})
    return HitEncoder(chosen).fit(slices(features_of()))


@pytest.mark.parametrize("unit_length", [False, True])
def test_contract(unit_length: bool, tmp_path: Path) -> None:
    check_encoder(lambda: fitted(unit_length=unit_length), list(features_of(20)), tmp_path / "model")


def test_scaling_is_mean_and_deviation_whatever_the_slices() -> None:
    features = features_of()
    encoder = HitEncoder(HitEncoderOptions(widths=(4,))).fit(slices(features, 11))
    scaled = encoder.scale_features(torch.from_numpy(features)).double()
    np.testing.assert_allclose(encoder.offset.numpy(), features.astype(np.float64).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(encoder.deviation.numpy(), features.astype(np.float64).std(axis=0), rtol=1e-6)
    assert scaled.mean(dim=0).abs().max() < 1e-4
    assert (scaled.std(dim=0, correction=0) - 1).abs().max() < 1e-4


def test_scaling_belongs_to_the_space() -> None:
    one = HitEncoder(HitEncoderOptions(widths=(4,))).fit(slices(features_of()))
    other = HitEncoder(HitEncoderOptions(widths=(4,))).fit(slices(features_of() * 2))
    assert one.space != other.space


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    one, other, third = fitted(), fitted(), fitted(seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert one.space == other.space != third.space


def test_unit_length_is_unit_length() -> None:
    vectors = fitted(unit_length=True)(torch.from_numpy(features_of(9)))
    assert torch.allclose(vectors.norm(dim=1), torch.ones(9))


def test_a_constant_feature_and_no_item_are_named() -> None:
    features = features_of()
    features[:, 1] = 3
    with pytest.raises(DataError, match="feature 1 is the same for every item"):
        HitEncoder(HitEncoderOptions()).fit(slices(features))
    with pytest.raises(DataError, match="there is no item"):
        HitEncoder(HitEncoderOptions()).fit([])
