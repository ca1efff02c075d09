"""Mining as loops over Python numbers: slow, plain, and the judge of the vectorised code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from likewise.mining.options import MineOptions
from likewise.mining.outcome import Removed
from likewise.types import Int64, Pairs

MASK = 2**64 - 1


@dataclass
class Task:
    """What is mined, in plain Python."""

    vectors: np.ndarray
    anchors: Sequence[int]
    documents: Sequence[int]
    classes: Sequence[int]
    stated: set[tuple[int, int]]
    alike: set[tuple[int, int]]
    negatives: set[tuple[int, int]] = field(default_factory=set)

    def pairs(self, which: set[tuple[int, int]]) -> Pairs[Int64]:
        ordered = sorted(which)
        a, b = (np.array([pair[side] for pair in ordered], dtype=np.int64) for side in (0, 1))
        return Pairs(a, b, np.ones(len(a), np.int8), np.ones(len(a), np.float32))

    def cosine(self, a: int, b: int) -> float:
        x, y = self.vectors[a].astype(np.float64), self.vectors[b].astype(np.float64)
        length = float(np.linalg.norm(x) * np.linalg.norm(y))
        return float(x @ y) / length if length else 0.0


@dataclass
class Reference:
    """(anchor, item, score, rank) in order; counts by filter; (anchor, item, positive) of the suspicious."""

    negatives: list[tuple[int, int, float, int]]
    counts: dict[str, int]
    suspicious: list[tuple[int, int, int]]


def mine(task: Task, options: MineOptions, seed: int, judge: Callable[[int, int], float] | None = None) -> Reference:
    counts = {field.name: 0 for field in fields(Removed)}
    negatives: list[tuple[int, int, float, int]] = []
    above: list[tuple[float, int, int, int]] = []
    judge = judge or task.cosine
    for anchor in sorted(task.anchors):
        others = _listed(task, anchor, options.range_max, counts)
        scores = {item: judge(anchor, item) for item, _ in others}
        positives = {b: judge(anchor, b) for a, b in task.stated if a == anchor}
        if positives:
            nearest = min(positives, key=lambda item: (-positives[item], item))
            above += [
                (scores[item] - positives[nearest], anchor, item, nearest)
                for item, _ in others
                if scores[item] > positives[nearest]
            ]
        lowest = min(positives.values(), default=float("inf"))
        kept = []
        for item, rank in others:
            removed = _removed(task, options, anchor, item, rank, scores[item], lowest)
            if removed:
                counts[removed] += 1
            else:
                kept.append((item, scores[item], rank))
        negatives += [(anchor, *found) for found in _chosen(kept, options, seed, anchor)]
    above.sort(key=lambda found: (-found[0], *found[1:]))
    return Reference(negatives, counts, [found[1:] for found in above[: options.suspicious]])


def _listed(task: Task, anchor: int, range_max: int, counts: dict[str, int]) -> list[tuple[int, int]]:
    """(item, rank) of the candidates that are not known to be alike; those that are, are counted."""
    alike = {task.classes[anchor]} | {task.classes[b] for a, b in task.alike if a == anchor}
    listed: list[tuple[int, int]] = []
    for item in sorted(task.documents, key=lambda item: (-task.cosine(anchor, item), item)):
        if len(listed) == range_max:
            break
        counts["candidates"] += 1
        if task.classes[item] not in alike:
            listed.append((item, len(listed)))
        elif (anchor, item) in task.stated:
            counts["known_positive"] += 1
        else:
            counts["near_duplicate"] += 1
    return listed


def _removed(task: Task, options: MineOptions, anchor: int, item: int, rank: int, score: float, lowest: float) -> str:
    """The first filter that removes a candidate, or nothing."""
    margin = options.relative_margin or 0
    ceiling = lowest - margin * abs(lowest) if lowest < float("inf") else lowest
    rules = {
        "known_negative": (anchor, item) in task.negatives,
        "range_min": rank < options.range_min,
        "max_score": options.max_score is not None and score > options.max_score,
        "min_score": options.min_score is not None and score < options.min_score,
        "absolute_margin": options.absolute_margin is not None and score > lowest - options.absolute_margin,
        "relative_margin": options.relative_margin is not None and score > ceiling,
    }
    return next((name for name, removes in rules.items() if removes), "")


def _chosen(kept: list[tuple[int, float, int]], options: MineOptions, seed: int, anchor: int) -> list[tuple[int, float, int]]:
    kept = sorted(kept, key=lambda found: (-found[1], found[0]))
    if options.sampling_strategy == "random":
        drawn = sorted(kept, key=lambda found: draw(seed, anchor, found[0]))[: options.num_negatives]
        return [found for found in kept if found in drawn]
    return kept[: options.num_negatives]


def draw(seed: int, anchor: int, item: int) -> int:
    golden = 0x9E3779B97F4A7C15
    return _mix((item * golden + _mix((_mix(seed) + anchor * golden) & MASK)) & MASK)


def _mix(state: int) -> int:
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)
