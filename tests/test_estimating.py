from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.config import Recipe, validated
from likewise.estimating import Estimate, Work, estimate, total
from likewise.measuring import Speed

SPEED = Speed(
    forward=1e-4, training=4e-4, step=1e-2, fitting=0.0, activations=2e5, parameters=20_000_000, dimension=384
)  # about a small transformer on two cores
WORK = Work(
    queries=1000,
    documents=5000,
    train_queries=700,
    validation_queries=100,
    test_queries=200,
    train_pairs=800,
    query_tokens=20.0,
    document_tokens=200.0,
    train_query_tokens=20.0,
    train_document_tokens=120.0,
)


def recipe(**sections: Any) -> Recipe:
    raw: dict[str, Any] = {
        "ingest": {"kind": "pairs", "path": "pairs.csv"},
        "fingerprint": {},
        "split": {},
        "encoder": {"kind": "text", "model": "a/b"},
        "mine": {},
        "train": {},
        "evaluate": {},
        "result": {"kind": "index"},
    }
    for section, values in sections.items():
        raw[section] = {**raw[section], **values} if values is not None else None
    return validated({name: values for name, values in raw.items() if values is not None}, "test")


def stage(estimates: tuple[Estimate, ...], name: str) -> Estimate:
    (found,) = [one for one in estimates if one.stage == name]
    return found


def times(first: Estimate, second: Estimate) -> float:
    return second.seconds.high / first.seconds.high


def test_every_stage_to_come_has_one() -> None:
    names = [one.stage for one in estimate(recipe(), WORK, SPEED)]
    assert names == ["fit", "embed", "mine", "train", "embed-after", "baselines", "evaluate", "index"]
    assert [one.stage for one in estimate(recipe(mine=None, train=None, evaluate=None, result=None), WORK, SPEED)] == [
        "fit",
        "embed",
    ]


@given(
    factor=st.integers(1, 1000),
    epochs=st.integers(0, 20),
    batch_size=st.integers(2, 4096),
    pairs=st.integers(0, 10**6),
    negatives=st.integers(0, 10),
)
def test_ranges_are_positive_and_the_right_way_round(
    factor: int, epochs: int, batch_size: int, pairs: int, negatives: int
) -> None:
    work = replace(WORK, documents=WORK.documents * factor, train_pairs=pairs)
    some = recipe(train={"epochs": epochs, "batch_size": batch_size}, mine={"num_negatives": negatives})
    estimates = estimate(some, work, SPEED)
    for one in (*estimates, total(estimates)):
        for needed in (one.seconds, one.memory, one.disk):
            assert 0 < needed.low <= needed.high, one


def test_embedding_grows_with_the_tokens() -> None:
    one = stage(estimate(recipe(), WORK, SPEED), "embed")
    ten = stage(estimate(recipe(), replace(WORK, queries=10_000, documents=50_000), SPEED), "embed")
    assert times(one, ten) == pytest.approx(10)
    assert ten.disk.high == 60_000 * 384 * 4
    tokens = 1000 * 20 + 5000 * 200
    assert one.seconds.low < tokens * SPEED.forward < one.seconds.high


def test_training_grows_with_epochs_and_pairs() -> None:
    two, eight = (stage(estimate(recipe(train={"epochs": epochs}), WORK, SPEED), "train") for epochs in (2, 8))
    assert 2.5 < times(two, eight) < 4  # some of it is the evaluation at the start
    much = stage(estimate(recipe(train={"epochs": 2}), replace(WORK, train_pairs=80_000), SPEED), "train")
    assert times(two, much) > 10
    least = 2 * 800 * (20 + 2 * 120) * SPEED.training
    assert two.seconds.high > least
    assert two.seconds.low > 0.5 * least


def test_max_steps_bounds_training() -> None:
    bounded = stage(estimate(recipe(train={"epochs": 100, "max_steps": 5, "eval_steps": 5}), WORK, SPEED), "train")
    assert times(bounded, stage(estimate(recipe(train={"epochs": 100}), WORK, SPEED), "train")) > 10


@pytest.mark.parametrize(
    ("change", "dearer"),
    [
        ({"train": {"gradient_checkpointing": True}}, True),
        ({"train": {"gradient_cache": 8}}, True),
        ({"train": {"eval_steps": 1}}, True),
        ({"mine": {"num_negatives": 4}}, True),
        ({"mine": {"refresh_every": 1}}, True),
        ({"train": {"negatives_per_pair": 0}}, False),
    ],
)
def test_what_costs_time_in_training(change: dict[str, Any], dearer: bool) -> None:
    plain = stage(estimate(recipe(mine={"num_negatives": 1}), WORK, SPEED), "train")
    changed = stage(estimate(recipe(**{"mine": {"num_negatives": 1}, **change}), WORK, SPEED), "train")
    assert (times(plain, changed) > 1) == dearer


def test_what_saves_memory_in_training() -> None:
    large = {"batch_size": 512}
    plain = stage(estimate(recipe(train=large), WORK, SPEED), "train").memory.high
    for saving in ({"gradient_checkpointing": True}, {"gradient_cache": 16}):
        assert stage(estimate(recipe(train={**large, **saving}), WORK, SPEED), "train").memory.high < 0.5 * plain
    assert stage(estimate(recipe(train={"batch_size": 1024}), WORK, SPEED), "train").memory.high > 1.5 * plain


def test_a_mining_model_and_a_cross_encoder_cost_time() -> None:
    plain = stage(estimate(recipe(), WORK, SPEED), "mine")
    slow = replace(SPEED, forward=1e-3)
    other = stage(estimate(recipe(mine={"model": "c/d"}), WORK, SPEED, slow), "mine")
    assert other.seconds.low > 0.5 * (700 * 20 + 5000 * 200) * 1e-3
    cross = stage(estimate(recipe(mine={"cross_encoder": {"model": "e/f"}}), WORK, SPEED), "mine")
    assert cross.seconds.low > 100 * plain.seconds.low
