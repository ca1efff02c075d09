"""What is said of an accuracy."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from likewise.evaluation.classification import Classification
from likewise.evaluation.classify import Accuracy, Confusion, LabelResult

FOUND = Accuracy(
    k=5,
    labeled=1200,
    alone=0,
    countable=1000,
    items=1000,
    units=900,
    accuracy=0.8125,
    interval_95=(0.78, 0.84),
    mean_recall=0.75,
    largest=0.4,
    with_near_duplicates=None,
    labels=(LabelResult("a", 600, 500, 550), LabelResult("b", 400, 312, 450)),
    confusions=(Confusion("a", "b", 100), Confusion("b", "a", 88)),
)
PLAIN = Classification("group", FOUND, held_out=False, near_duplicates=True, trained=False)
RESULT = (
    "81.2% of 1,000 items get their own label from their 5 nearest labelled neighbours (95% interval 78.0% to 84.0%); "
    "the most frequent label alone would be right for 40.0%."
)


def test_the_result() -> None:
    assert PLAIN.sentences() == (RESULT,)
    assert "of 1,000 test items get" in replace(PLAIN, held_out=True).sentences()[0]


@pytest.mark.parametrize(
    ("changed", "accuracy", "said"),
    [
        ({}, {"countable": 5000}, "These were drawn from 5,000 items; all of the 1,200 labelled ones vote."),
        ({}, {"alone": 1}, "1 item is not counted, whose label no other item has, near-duplicates aside."),
        ({}, {"alone": 30}, "30 items are not counted, whose label no other item has, near-duplicates aside."),
        ({}, {"with_near_duplicates": 0.95}, "Near-duplicates do not vote for each other; if they did, 95.0% would be right."),
        ({"near_duplicates": False}, {"with_near_duplicates": 0.95}, "Near-duplicates were not looked for"),
        ({"trained": True}, {}, "The model was trained on items of this run"),
    ],
)
def test_what_it_rests_on(changed: dict[str, Any], accuracy: dict[str, Any], said: str) -> None:
    result, *conditions = replace(PLAIN, **changed, accuracy=replace(FOUND, **accuracy)).sentences()
    assert result == RESULT
    assert len(conditions) == 1
    assert conditions[0].startswith(said)


def test_as_json() -> None:
    told = json.loads(json.dumps(PLAIN.as_json()))
    assert told["accuracy"]["labels"][0] == {"label": "a", "items": 600, "right": 500, "given": 550}
    assert told["sentences"] == [RESULT]


def test_shares_of_nothing() -> None:
    assert LabelResult("a", 0, 0, 3).recall is None
    assert LabelResult("a", 3, 0, 0).precision is None
