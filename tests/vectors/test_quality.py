"""The quality of vectors, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.vectors.quality import Reference, drifted, quality_of


def units(count: int, dimension: int = 64, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)) + 0.5
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_sound_vectors_are_sound() -> None:
    found = quality_of(units(200), 64)
    assert set(found.parts) == {"finite", "dimension", "norm", "spread"}
    assert found.scores.min() > 0.7
    np.testing.assert_array_equal(found.scores, np.min(list(found.parts.values()), axis=0))


@pytest.mark.parametrize(
    ("change", "part", "score"),
    [
        (lambda v: np.where(np.arange(64) == 3, np.nan, v), "finite", 0.0),
        (lambda v: np.where(np.arange(64) == 3, np.inf, v), "finite", 0.0),
        (lambda v: v * 1.3, "norm", 0.7),
        (lambda v: v * 0, "norm", 0.0),
        (lambda v: v * 5, "norm", 0.0),
        (lambda v: np.eye(64)[0], "spread", 0.1),
        (lambda v: np.full(64, 1 / 8), "spread", 0.0),
    ],
)
def test_each_part_by_hand(change, part, score) -> None:
    found = quality_of(change(units(1)[0])[None], 64)
    assert found.parts[part][0] == pytest.approx(score)
    assert found.scores[0] == pytest.approx(min(found.parts[name][0] for name in found.parts))
    assert found.worst(0) == part


def test_another_dimension_scores_nothing() -> None:
    found = quality_of(units(3), 32, Reference.of(units(10, 32)))
    assert found.scores.tolist() == [0, 0, 0]
    assert found.parts["drift"].tolist() == [0, 0, 0]


def test_drift_is_for_the_outermost_twentieth() -> None:
    reference = Reference.of(units(1000))
    inside = quality_of(units(1000, seed=1), 64, reference).parts["drift"]
    assert 0.02 < (inside < 1).mean() < 0.1
    assert quality_of(-units(5), 64, reference).scores.tolist() == [0] * 5
    assert quality_of(reference.center[None], 64, reference).parts["drift"][0] == 1


def test_how_far_a_set_has_drifted() -> None:
    reference = Reference.of(units(500))
    assert drifted(units(500, seed=2).astype(np.float32), reference) < 0.02
    assert drifted(-units(500).astype(np.float32), reference) == pytest.approx(2, abs=0.01)
