"""`likewise compare A B`: two runs side by side, and a paired test where they asked the same test queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from likewise.publishing.finished import FinishedRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from likewise.artifacts.artifact import Artifact
    from likewise.evaluation.verdict import Rules
    from likewise.types import Verdict

GRAPHS = "graphs.json"  # an evaluation of graphs has it
HANDED_OVER = "handed over"  # the row of the model that each run chose, whatever its name in systems.json
ABSENT = "–"


class MetricRow(NamedTuple):
    """A metric of a system in both runs; None where a run did not measure it."""

    system: str
    metric: str
    first: float | None
    second: float | None


class RecipeRow(NamedTuple):
    """A key in which the recipes differ; None where a recipe lacks it."""

    key: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs: every metric of every system, what differs in the recipes, and the second's model against the first's.

    `verdict` is a paired bootstrap over the `queries` (of graphs: events) that both runs tested with (`before` is the first run).
    None where there is no such query or no common metric. `sentence` tells it, or why there is none.
    """

    first: Path
    second: Path
    measured: tuple[MetricRow, ...]
    differences: tuple[RecipeRow, ...]
    verdict: Verdict | None
    queries: int
    sentence: str

    @property
    def metrics(self) -> tuple[tuple[str, str, str], ...]:
        """Rows for a table: system and metric, first, second."""
        return tuple((f"{row.metric}  {row.system}", _decimal(row.first), _decimal(row.second)) for row in self.measured)

    @property
    def recipe(self) -> tuple[tuple[str, str, str], ...]:
        """Rows for a table: key, first, second."""
        return tuple((row.key, _shown(row.first), _shown(row.second)) for row in self.differences)

    def as_json(self) -> dict[str, Any]:
        """The comparison as JSON-able values."""
        return {
            "first": str(self.first),
            "second": str(self.second),
            "metrics": [row._asdict() for row in self.measured],
            "recipe": [row._asdict() for row in self.differences],
            "verdict": asdict(self.verdict) if self.verdict else None,
            "queries": self.queries,
            "sentence": self.sentence,
        }


def compare(first: Path, second: Path) -> Comparison:
    """Compare two finished runs; UserError where a folder is no run or its evaluation is older than its model."""
    runs = FinishedRun(first), FinishedRun(second)
    evaluations = runs[0].evaluation, runs[1].evaluation
    measured = tuple(_measured(*(_systems(run, evaluation) for run, evaluation in zip(runs, evaluations, strict=True))))
    differences = tuple(_differences(*(dict(_leaves(run.options)) for run in runs)))
    for run, evaluation in zip(runs, evaluations, strict=True):
        if evaluation is None:
            sentence = f"{run.folder} has no evaluation: add [evaluate] to its recipe and run it."
            return Comparison(first, second, measured, differences, None, 0, sentence)
    verdict, queries, sentence = _compared(*runs)
    return Comparison(first, second, measured, differences, verdict, queries, sentence)


def _compared(first: FinishedRun, second: FinishedRun) -> tuple[Verdict | None, int, str]:
    """Query by query, or event by event: the verdict, over how many, and its sentence."""
    graphs = [evaluation for run in (first, second) if (evaluation := run.evaluation) is not None and evaluation.has(GRAPHS)]
    if not graphs:
        return _paired(first, second)
    if len(graphs) < 2:
        return None, 0, "One run measured graphs and the other retrieval, so they cannot be compared."
    return _paired_graphs(first, second, *graphs)


def _systems(run: FinishedRun, evaluation: Artifact | None) -> dict[tuple[str, str], float]:
    """Every (system, metric) of a run and its mean; the model handed over and the verdict's metric stand first."""
    if evaluation is None:
        return {}
    if evaluation.has(GRAPHS):
        from likewise.evaluation.graph_comparison import measured_graphs

        return measured_graphs(evaluation)
    described = evaluation.json("systems.json")
    by_name = {entry["name"]: entry["metrics"] for entry in described["systems"]}
    ordered = {
        HANDED_OVER: by_name[described["chosen"]],
        **{name: metrics for name, metrics in by_name.items() if name != "trained"},
    }
    section = run.options["evaluate"]
    names = dict.fromkeys((section["metric"], *section["others"]))
    return {(name, metric): float(metrics[metric]) for name, metrics in ordered.items() for metric in names}


def _measured(first: Mapping[tuple[str, str], float], second: Mapping[tuple[str, str], float]) -> Iterator[MetricRow]:
    for system, metric in dict.fromkeys([*first, *second]):
        yield MetricRow(system, metric, first.get((system, metric)), second.get((system, metric)))


def _leaves(value: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{place}{key}.")
        else:
            yield f"{place}{key}", inner


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[RecipeRow]:
    for key in dict.fromkeys([*first, *second]):
        if key not in first or key not in second or first[key] != second[key]:
            yield RecipeRow(key, first.get(key), second.get(key))


def _paired(first: FinishedRun, second: FinishedRun) -> tuple[Verdict | None, int, str]:
    """The second's model against the first's, on the test queries of both."""
    import numpy as np

    from likewise.evaluation.verdict import judge

    left, right = _queries(first), _queries(second)
    metric = _metric(first, second, left, right)
    if metric is None:
        return None, 0, "The runs measured no common metric, so they cannot be compared query by query."
    _, mine, theirs = np.intersect1d(left.ids, right.ids, assume_unique=True, return_indices=True)
    if not len(mine):
        return None, 0, "The runs share no test query, so their numbers are of different questions and cannot be compared."
    order = np.argsort(mine)
    mine, theirs = mine[order], theirs[order]
    verdict = judge(
        left.values[metric][mine],
        right.values[metric][theirs],
        metric=metric,
        rules=_rules(first),
        units=left.units[mine],
    )
    sentence = _sentence(verdict, len(mine), first, second)
    return verdict, len(mine), f"{sentence}{_caution(left, right, len(mine))}"


def _paired_graphs(first: FinishedRun, second: FinishedRun, ours: Artifact, theirs: Artifact) -> tuple[Verdict | None, int, str]:
    """The second's model against the first's, on the events of both."""
    from likewise.evaluation.digits import decimals_of_change, plain, signed
    from likewise.evaluation.graph_comparison import graphs_against

    one, other = (float(evaluation.json(GRAPHS)["efficiency"]) for evaluation in (ours, theirs))
    if one != other:
        return None, 0, f"The runs measured purity at efficiencies of {one:g} and {other:g}, at which it cannot be compared."
    verdict = graphs_against(ours, theirs, _rules(first))
    if verdict is None:
        return None, 0, "The runs share no event with the same hits and true edges, so their graphs cannot be compared."
    places = decimals_of_change(verdict.before, verdict.after, verdict.difference)
    low, high = (signed(limit, places) for limit in verdict.interval_95)
    interval = f", 95% interval {low} to {high}" if verdict.units > 1 else ""
    numbers = (
        f"signal purity at {100 * one:g}% efficiency {plain(verdict.after)} against {plain(verdict.before)} "
        f"({signed(verdict.difference, places)}{interval}, {verdict.units:,} common "
        f"{'event' if verdict.units == 1 else 'events'}; {verdict.wins:,} won, {verdict.losses:,} lost)"
    )
    return verdict, verdict.units, _told(verdict, numbers, first, second)


@dataclass(frozen=True, slots=True)
class _Queries:
    """queries.parquet of a run: ids [Q], units [Q], and the handed-over model's metrics [Q]."""

    ids: NDArray[np.str_]
    units: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    documents: int
    positives: Mapping[str, int]


def _queries(run: FinishedRun) -> _Queries:
    import numpy as np

    evaluation = run.evaluation
    assert evaluation is not None
    table = evaluation.table("queries.parquet")
    names = [name for name in table.column_names if name.endswith(" after") and not name.startswith("rank ")]
    ids: list[str] = [str(name) for name in table["id"].to_pylist()]
    return _Queries(
        np.array(ids, dtype=np.str_),
        table["unit"].to_numpy().astype(np.int64),
        {name.removesuffix(" after"): table[name].to_numpy().astype(np.float64) for name in names},
        int(evaluation.json("systems.json")["documents"]),
        dict(zip(ids, table["positives"].to_numpy().tolist(), strict=True)),
    )


def _metric(first: FinishedRun, second: FinishedRun, mine: _Queries, theirs: _Queries) -> str | None:
    """The metric of the first's verdict, or of the second's, or any that both measured."""
    common = [name for name in mine.values if name in theirs.values]
    wanted = [run.options.get("evaluate", {}).get("metric") for run in (first, second)]
    return next((name for name in [*wanted, *common] if name in common), None)


def _rules(run: FinishedRun) -> Rules:
    from likewise.evaluation.verdict import Rules

    section = run.options.get("evaluate", {})
    given = {name: section[name] for name in ("resamples", "smallest_units", "negligible") if name in section}
    return Rules(**given, seed=int(run.recipe.get("seed", 0)))


def _sentence(verdict: Verdict, queries: int, first: FinishedRun, second: FinishedRun) -> str:
    from likewise.evaluation.digits import signed
    from likewise.evaluation.metrics import label

    low, high = verdict.interval_95
    numbers = (
        f"{label(verdict.metric)} {verdict.after:.3f} against {verdict.before:.3f} "
        f"({signed(verdict.difference)}, 95% interval {signed(low)} to {signed(high)}, {queries:,} common test "
        f"{'query' if queries == 1 else 'queries'}; {verdict.wins:,} won, {verdict.losses:,} lost)"
    )
    return _told(verdict, numbers, first, second)


def _told(verdict: Verdict, numbers: str, first: FinishedRun, second: FinishedRun) -> str:
    """The verdict's word about both runs, and its numbers."""
    words = {
        "better": f"{second.folder} is better than {first.folder}",
        "worse": f"{second.folder} is worse than {first.folder}",
        "no difference shown": f"No difference between {second.folder} and {first.folder} is shown",
        "too few to tell": f"Too few to tell whether {second.folder} differs from {first.folder}",
    }
    enough = f"; about {verdict.needed:,} would do" if verdict.needed is not None else ""
    return f"{words[verdict.verdict]}: {numbers}{enough}."


def _caution(mine: _Queries, theirs: _Queries, common: int) -> str:
    """What makes the same query a different question in the two runs."""
    sentences = []
    fewer = min(len(mine.ids), len(theirs.ids))
    if common < fewer:
        sentences.append(f"Only {common:,} test queries are in both ({len(mine.ids):,} and {len(theirs.ids):,}).")
    if mine.documents != theirs.documents:
        sentences.append(
            f"They search different corpora ({mine.documents:,} and {theirs.documents:,} documents), which is part of the reason."
        )
    changed = sum(theirs.positives.get(name, count) != count for name, count in mine.positives.items())
    if changed:
        sentences.append(f"{changed:,} of these queries have another number of positives in the other run.")
    return "".join(f" {sentence}" for sentence in sentences)


def _decimal(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.4f}"


def _shown(value: Any) -> str:
    return ABSENT if value is None else str(value)
