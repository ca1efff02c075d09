"""How long a recipe will take, and how much memory and disk: from the encoder, measured on a few real items.

Estimates are ranges. They are for the machine that measured, with nothing else running on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from likewise.config import Recipe
from likewise.encoders.options import StaticEncoderOptions
from likewise.measuring import Speed
from likewise.pipeline import computed_baselines
from likewise.processors import processors
from likewise.training.baselines import STATIC
from likewise.training.options import TrainOptions

SLOWER, FASTER = 1.6, 0.7  # a sample of a few items is that far from the whole, for better or worse
BASE_MEMORY = (0.6e9, 1.2e9)  # Python with torch, transformers and pyarrow imported, and their buffers
SEARCH_SPEED = (2e10, 1.5e11)  # multiplications and additions per second of an exhaustive search, two cores to a server
BATCH_TOKENS = 2048  # of a planned batch on a CPU, of which each processor has one
CHECKPOINTS = 2  # kept at once while training runs: the best and the last
OPTIMIZER_COPIES = 4  # weights, gradients and the two moments of AdamW


class Range(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float

    def times(self, factor: float) -> Range:
        """Both bounds, so many times."""
        return Range(self.low * factor, self.high * factor)

    def plus(self, other: Range) -> Range:
        """Both one after the other."""
        return Range(self.low + other.low, self.high + other.high)


NOTHING = Range(0.0, 0.0)
STATIC_PAIR = Range(5e-5, 6e-4)  # seconds of the static baseline, for a pair in an epoch
STATIC_TEXT = Range(1e-5, 2e-4)  # and for a text whose words are learnt, or that is embedded


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a stage will need: seconds, bytes of memory at its peak, bytes left on disk."""

    stage: str
    seconds: Range
    memory: Range
    disk: Range

    def as_json(self) -> dict[str, Any]:
        """Named numbers."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Work:
    """How much there is to do: items by role and split, pairs, and mean tokens of a text when embedded and when trained on."""

    queries: int
    documents: int
    train_queries: int
    validation_queries: int
    test_queries: int
    train_pairs: int
    query_tokens: float
    document_tokens: float
    train_query_tokens: float
    train_document_tokens: float

    @property
    def items(self) -> int:
        """All of them."""
        return self.queries + self.documents


def estimate(recipe: Recipe, work: Work, speed: Speed, mining: Speed | None = None) -> tuple[Estimate, ...]:
    """What each stage that is still to come will need; `mining` is the speed of a mining model of its own."""
    return tuple(_stages(recipe, work, speed, mining or speed))


def total(estimates: Sequence[Estimate]) -> Estimate:
    """All stages: seconds and disk are added, of memory the most counts."""
    seconds = disk = NOTHING
    for one in estimates:
        seconds, disk = seconds.plus(one.seconds), disk.plus(one.disk)
    memory = Range(
        max((one.memory.low for one in estimates), default=0.0), max((one.memory.high for one in estimates), default=0.0)
    )
    return Estimate("all", seconds, memory, disk)


def _stages(recipe: Recipe, work: Work, speed: Speed, mining: Speed) -> Iterator[Estimate]:
    model = 4.0 * speed.parameters
    vectors = 4.0 * work.items * speed.dimension
    embedding = _around(_embedding_seconds(work, speed))
    inference = _memory(2 * model + processors() * BATCH_TOKENS * _widest(speed))
    yield Estimate("fit", _around(speed.fitting * work.items + model / 5e8), _memory(2 * model), Range(model, model))
    yield Estimate("embed", embedding, inference, Range(vectors, vectors))
    if recipe.hard is not None:
        yield _mining(recipe, work, speed, mining)
    if recipe.train is not None:
        yield _training(recipe, recipe.train, work, speed)
        yield Estimate("embed-after", embedding, inference, Range(vectors, vectors))
    if "static" in (computed_baselines(recipe) or {"names": []})["names"]:
        taught = work.train_pairs * STATIC.epochs
        seconds = STATIC_PAIR.times(taught).plus(STATIC_TEXT.times(2 * work.items)).plus(Range(0.5, 5.0))
        size = 4.0 * work.items * StaticEncoderOptions().dimension
        yield Estimate("baselines", seconds, _memory(3 * size), Range(size, size))
    if recipe.retrieval is not None:
        searches = 2 + len(recipe.baselines)
        seconds = _search(work.test_queries, work.documents, speed.dimension).times(searches)
        words = Range(2e-5, 4e-4).times(work.documents) if "bm25" in recipe.baselines else NOTHING
        yield Estimate(
            "evaluate", seconds.plus(words).plus(Range(0.2, 3.0)), _memory(vectors), Range(1e4, 2e3 * work.test_queries + 1e5)
        )
    if recipe.result is not None:
        own = 4.0 * work.documents * speed.dimension
        yield Estimate("index", _around(own / 1e8 + 0.1), _memory(3 * own), Range(own, 1.5 * own + 400.0 * work.documents))


def _mining(recipe: Recipe, work: Work, speed: Speed, mining: Speed) -> Estimate:
    assert recipe.hard is not None
    seconds = _search(work.train_queries, work.documents, mining.dimension)
    memory = 4.0 * work.items * mining.dimension
    if recipe.hard.model is not None:
        tokens = work.train_queries * work.query_tokens + work.documents * work.document_tokens
        seconds = seconds.plus(_around(tokens * mining.forward))
        memory += 8.0 * mining.parameters
    if recipe.hard.cross_encoder is not None:
        pairs = work.train_queries * (recipe.hard.range_max - recipe.hard.range_min)
        tokens = pairs * (work.query_tokens + work.document_tokens)
        seconds = seconds.plus(Range(0.5, 5.0).times(tokens * speed.forward))  # of a size that is not known before it is opened
    chosen = work.train_queries * recipe.hard.num_negatives
    return Estimate("mine", seconds.plus(Range(0.05, 0.5)), _memory(memory), Range(10.0 * chosen + 1e3, 30.0 * chosen + 1e6))


def _training(recipe: Recipe, options: TrainOptions, work: Work, speed: Speed) -> Estimate:
    pairs_per_step = options.batch_size * options.accumulate
    planned = options.epochs * math.ceil(work.train_pairs / pairs_per_step)
    steps = planned if options.max_steps is None else min(planned, options.max_steps)
    pairs = min(steps * pairs_per_step, options.epochs * work.train_pairs)
    negatives = _negatives(recipe, options)
    tokens = work.train_query_tokens + (1 + negatives) * work.train_document_tokens
    again = 1.0 + (options.gradient_checkpointing + (options.gradient_cache is not None)) / 3  # a forward pass is a third
    seconds = _around(pairs * tokens * speed.training * again + steps * speed.step)
    evaluations = 1 + (steps // options.eval_steps if options.eval_steps else options.epochs)
    refreshes = options.epochs // recipe.hard.refresh_every if recipe.hard and recipe.hard.refresh_every else 0
    looked = work.validation_queries * work.query_tokens + work.documents * work.document_tokens
    seconds = seconds.plus(_around(evaluations * looked * speed.forward))
    seconds = seconds.plus(_search(work.validation_queries, work.documents, speed.dimension).times(evaluations))
    seconds = seconds.plus(_around(refreshes * work.train_queries * work.query_tokens * speed.forward))
    seconds = seconds.plus(_search(work.train_queries, work.documents, speed.dimension).times(refreshes))
    at_once = options.batch_size * (2 + negatives) if options.gradient_cache is None else options.gradient_cache
    kept = speed.activations * at_once * tokens / (2 + negatives) * (0.25 if options.gradient_checkpointing else 1.0)
    model = 4.0 * speed.parameters
    vectors = 4.0 * work.items * speed.dimension
    left = Range(model, 1.1 * model + OPTIMIZER_COPIES * model * CHECKPOINTS)  # the checkpoints go when it ends
    return Estimate("train", seconds.plus(Range(0.5, 6.0)), _memory(OPTIMIZER_COPIES * model + kept + 2 * vectors), left)


def _negatives(recipe: Recipe, options: TrainOptions) -> int:
    """Mined negatives of each pair."""
    mined = recipe.hard.num_negatives if recipe.hard else 0
    return mined if options.negatives_per_pair is None else min(mined, options.negatives_per_pair)


def _embedding_seconds(work: Work, speed: Speed) -> float:
    return (work.queries * work.query_tokens + work.documents * work.document_tokens) * speed.forward


def _search(queries: int, documents: int, dimension: int) -> Range:
    operations = 2.0 * queries * documents * dimension
    return Range(operations / SEARCH_SPEED[1], operations / SEARCH_SPEED[0])


def _widest(speed: Speed) -> float:
    """Bytes per token that a forward pass holds at once: what it would keep for the way back bounds it."""
    return speed.activations if speed.activations else 4.0 * 8 * speed.dimension


def _around(seconds: float) -> Range:
    return Range(FASTER * seconds, SLOWER * seconds)


def _memory(size: float) -> Range:
    return Range(BASE_MEMORY[0] + 0.8 * size, BASE_MEMORY[1] + 1.5 * size)


def mean(values: Any) -> float:
    """The mean of lengths, 0 of none."""
    return float(np.mean(values)) if len(values) else 0.0
