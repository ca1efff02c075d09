from __future__ import annotations

import pytest
from pydantic import ValidationError

from likewise.errors import RecipeError
from likewise.mining.options import PRESETS, CrossEncoderOptions, MineOptions


def test_a_preset_gives_values_for_keys_not_given() -> None:
    options = MineOptions(preset="balanced", num_negatives=2)
    assert (options.num_negatives, options.range_max, options.relative_margin) == (2, 100, 0.05)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_sound(name: str) -> None:
    assert MineOptions(preset=name).num_negatives >= 1  # type: ignore[arg-type]  # a name of the table


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"range_min": 5, "range_max": 5}, "must be above range_min = 5"),
        ({"range_min": 5, "range_max": 8, "num_negatives": 4}, "window of 3 candidates"),
        ({"batch_size": 8}, "batch_size has no effect without model"),
        ({"query_prompt": ""}, "query_prompt has no effect without model"),
        ({"cross_encoder": {"model": "m"}, "sampling_strategy": "random"}, "no effect"),
    ],
)
def test_what_makes_no_sense_is_refused(keys: dict[str, object], words: str) -> None:
    with pytest.raises((RecipeError, ValidationError), match=words):
        MineOptions.model_validate(keys)


def test_models_are_watched() -> None:
    options = MineOptions(model="a", cross_encoder=CrossEncoderOptions(model="b"))
    assert options.outside() == ("a", "b")
    assert MineOptions().outside() == ()
