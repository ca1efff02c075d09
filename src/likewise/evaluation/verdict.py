"""The verdict: is the trained model better than the one it started from, and how sure can one be?

The same queries are measured before and after, so the differences are paired. Their mean is bounded by the percentile
bootstrap (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13). Queries that belong together (that share
documents, or come from one module) are drawn together: the means are over queries, the resampling over units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from likewise.evaluation.digits import signed
from likewise.evaluation.metrics import label
from likewise.types import Float64, Int64, Verdict, VerdictWord

CHUNK = 1 << 22  # draws held at once: 32 MB of indices
TIE = 1e-12  # differences below it come from rounding alone
NORMAL_95 = 1.959963984540054  # standard deviations on either side of a normal mean that hold 95%


@dataclass(frozen=True, slots=True)
class Rules:
    """How sure one must be: bootstrap `resamples`, the fewest units, and the difference that would be negligible."""

    resamples: int = 10_000
    smallest_units: int = 25
    negligible: float = 0.02
    seed: int = 0


def judge(
    before: Float64,
    after: Float64,
    *,
    metric: str,
    rules: Rules,
    unit: str = "query",
    units: Int64 | None = None,
    chosen: Literal["start", "trained"] = "trained",
    tried: bool = True,
) -> Verdict:
    """The verdict on one metric, from its value for each query before [Q] and after [Q], float64.

    `units` [Q] int64 are codes of what belongs together, each called a `unit`; None makes each query its own. Means are over
    queries; the interval draws units; wins and losses count units whose mean rose or fell. `tried` is False where nothing was
    trained, which the sentence then says.
    """
    assert len(before) == len(after) > 0, "the same queries, at least one"
    sums, counts = _by_unit(after - before, units)
    low, high = interval(sums, counts, resamples=rules.resamples, seed=rules.seed)
    word, needed = _word(sums, counts, (low, high), rules)
    verdict = Verdict(
        metric=metric,
        unit=unit,
        units=len(sums),
        before=float(before.mean()),
        after=float(after.mean()),
        difference=float(after.mean() - before.mean()),
        interval_95=(low, high),
        verdict=word,
        chosen=chosen,
        wins=int((sums / counts > TIE).sum()),
        losses=int((sums / counts < -TIE).sum()),
        needed=needed,
        sentence="",
    )
    return replace(verdict, sentence=_sentence(verdict, len(before), tried))


def interval(sums: Float64, counts: Float64, *, resamples: int, seed: int) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of sum(sums) / sum(counts), drawing units [U] with replacement."""
    units = len(sums)
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    alone = bool((counts == 1).all())
    step = max(1, CHUNK // units)
    for start in range(0, resamples, step):
        drawn = random.integers(0, units, size=(min(step, resamples - start), units))
        total = float(units) if alone else counts[drawn].sum(axis=1)
        means[start : start + step] = sums[drawn].sum(axis=1) / total
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def _by_unit(difference: Float64, units: Int64 | None) -> tuple[Float64, Float64]:
    """The sum of the differences [U] and the number of queries [U] of each unit."""
    code = np.arange(len(difference)) if units is None else np.unique(units, return_inverse=True)[1]
    assert len(code) == len(difference), "one unit for each query"
    return np.bincount(code, weights=difference).astype(np.float64), np.bincount(code).astype(np.float64)


def _word(sums: Float64, counts: Float64, bounds: tuple[float, float], rules: Rules) -> tuple[VerdictWord, int | None]:
    """The verdict in words, and how many units would do where there are too few."""
    low, high = bounds
    if len(sums) < rules.smallest_units:
        return "too few to tell", max(rules.smallest_units, _units_needed(sums, counts, rules.negligible))
    if low > TIE:
        return "better", None
    if high < -TIE:
        return "worse", None
    if high - low > 2 * rules.negligible:
        return "too few to tell", max(len(sums) + 1, _units_needed(sums, counts, rules.negligible))
    return "no difference shown", None


def _units_needed(sums: Float64, counts: Float64, negligible: float) -> int:
    """How many units of this kind make the interval reach `negligible` on either side of the difference."""
    if len(sums) < 2:
        return 0
    residuals = (sums - sums.sum() / counts.sum() * counts) / counts.mean()  # linearised: each unit's pull on the ratio of means
    deviation = float(residuals.std(ddof=1))
    return math.ceil((NORMAL_95 * deviation / negligible) ** 2)


def _sentence(verdict: Verdict, queries: int, tried: bool) -> str:
    name = label(verdict.metric)
    asked = _asked(verdict, queries)
    if verdict.chosen == "start":
        kept = "no trained checkpoint was better on validation, so the model you began with is kept"
        why = kept if tried else "nothing was trained"
        return f"{verdict.verdict}: {why} ({name} {verdict.after:.3f}, {asked})."
    low, high = verdict.interval_95
    change = _change(verdict.before, verdict.after)
    counted = "" if verdict.unit == "query" else f"{verdict.unit}s: "
    won = f"{counted}{verdict.wins:,} won, {verdict.losses:,} lost"
    sentence = (
        f"{verdict.verdict}: {name} {change} from {verdict.before:.3f} to {verdict.after:.3f} "
        f"({signed(verdict.difference)}, 95% interval {signed(low)} to {signed(high)}, {asked}; {won})"
    )
    if verdict.needed is not None:
        sentence += f"; about {verdict.needed:,} {_plural(verdict.unit, verdict.needed)} would do"
    return sentence + "."


def against(verdict: Verdict, baseline: str, queries: int) -> str:
    """A sentence on a verdict whose `before` is a baseline and whose `after` is the model handed over."""
    name, low, high = label(verdict.metric), *verdict.interval_95
    numbers = (
        f"{name} {verdict.after:.3f} against {verdict.before:.3f} "
        f"({signed(verdict.difference)}, 95% interval {signed(low)} to {signed(high)}, {_asked(verdict, queries)})"
    )
    match verdict.verdict:
        case "better":
            return f"better than {baseline}: {numbers}."
        case "worse":
            return f"{baseline} wins: the model handed over has {numbers}."
        case "no difference shown":
            return f"no difference from {baseline} shown: {numbers}."
        case "too few to tell":
            would_do = f"; about {verdict.needed:,} {_plural(verdict.unit, verdict.needed)} would do" if verdict.needed else ""
            return f"too few to tell against {baseline}: {numbers}{would_do}."


def _asked(verdict: Verdict, queries: int) -> str:
    asked = f"{queries:,} {_plural('query', queries)}"
    if verdict.unit == "query":
        return asked
    return f"{asked} in {verdict.units:,} {_plural(verdict.unit, verdict.units)}"


def _change(before: float, after: float) -> str:
    if f"{before:.3f}" == f"{after:.3f}":
        return "goes"
    return "rises" if after > before else "falls"


def _plural(noun: str, count: int) -> str:
    if count == 1:
        return noun
    return noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
