from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from likewise.testing.sources import check_source
from likewise.types import Items, Links, Reject, Tally

FIRST = Items("one", ["a", "b"], ["text a", "text b"], {"role": ["query", "document"]})
SECOND = Items("two", ["b", "c"], ["text b", "text c"])
LINKS = Links(["a"], ["b"], [1], [1.0], ["train"], "file", [1])
GOOD: dict[str, list[Any]] = {"one": [FIRST, LINKS, Reject("file", 2, "why", "what to do"), Tally(2)], "two": [SECOND]}


class Listed:
    def __init__(self, pieces: dict[str, list[Any]]) -> None:
        self.pieces = pieces

    def shards(self) -> Sequence[str]:
        return list(self.pieces)

    def read(self, shard: str) -> Iterator[Any]:
        return iter(self.pieces[shard])


def test_a_sound_source_passes() -> None:
    check_source(lambda: Listed(GOOD))
    check_source(lambda: Listed({"hits": [Items("hits", ["1", "2"], np.array([[1.0, np.nan], [2.0, 3.0]]))]}))


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ({}, "at least one shard"),
        ({"../up": []}, "not fit for a file"),
        ({"A": [], "a": []}, "two shards have one name"),
        ({"one": [replace(FIRST, shard="two")]}, "say that they are of 'two'"),
        ({"one": [replace(FIRST, payload=["text a"])]}, "2 items have 1 payloads"),
        ({"one": [replace(FIRST, columns={"size": [1]})]}, "1 values in the column 'size'"),
        ({"one": [replace(FIRST, ids=["a", 5])]}, "the id 5 is not a text"),
        ({"one": [replace(FIRST, ids=["a", ""])]}, "an id is empty"),
        ({"one": [replace(FIRST, ids=["a", "a"])]}, "occurs twice in one slice"),
        ({"one": [replace(FIRST, columns={"role": ["query", "answer"]})]}, "the role 'answer'"),
        ({"one": [FIRST], "two": [replace(SECOND, payload=["other", "text c"])]}, "'b' stands for two different items"),
        ({"one": [FIRST, replace(LINKS, b=["z"])]}, "a link names 'z'"),
        ({"one": [FIRST, replace(LINKS, weight=[])]}, "0 values of 'weight'"),
        ({"one": [FIRST, replace(LINKS, label=[2])]}, "labels are"),
        ({"one": [FIRST, replace(LINKS, weight=[-1.0])]}, "a weight is negative"),
        ({"one": [FIRST, replace(LINKS, weight=[float("nan")])]}, "a weight is negative or not finite"),
        ({"one": [FIRST, replace(LINKS, split=["dev"])]}, "a split is not one of"),
        ({"one": [FIRST, replace(LINKS, file="")]}, "which file"),
        ({"one": [Reject("", 1, "why", "what")]}, "does not name its file"),
        ({"one": [Reject("file", 1, "", "what")]}, "gives no reason"),
        ({"one": [Reject("file", 1, "why", "")]}, "gives no remedy"),
        ({"one": [Reject("file", 1, "why", "do it.")]}, "ends with a full stop"),
        ({"one": [Reject("file", 1, "why", "what"), Reject("file", 1, "why else", "what")]}, "rejected twice"),
        ({"one": [Reject("file", 1, "why", "what"), Tally(0)]}, "rejects 1 rows but counts 0"),
    ],
)
def test_a_broken_source_is_caught(pieces: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_source(lambda: Listed(pieces))


class Exhausted(Listed):
    """Reads only once."""

    def __init__(self, pieces: dict[str, list[Any]]) -> None:
        super().__init__(pieces)
        self.iterators = {shard: iter(list(found)) for shard, found in pieces.items()}

    def read(self, shard: str) -> Iterator[Any]:
        return self.iterators[shard]


class OneCursor(Listed):
    """Keeps its place in the source, not in what it hands out."""

    def read(self, shard: str) -> Iterator[Any]:
        self.shard, self.place = shard, 0
        while self.place < len(self.pieces[self.shard]):
            self.place += 1
            yield self.pieces[self.shard][self.place - 1]


def renamed() -> Callable[[], Listed]:
    numbers = itertools.count()
    return lambda: Listed({f"shard-{next(numbers)}": []})


@pytest.mark.parametrize(
    ("make_source", "message"),
    [
        (lambda: Exhausted(GOOD), "again gives something else"),
        (lambda: OneCursor(GOOD), "while other shards are read gives something else"),
        (renamed(), "a second source of the same data has other shards"),
    ],
)
def test_a_source_with_a_hidden_state_is_caught(make_source: Callable[[], Listed], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_source(make_source)
