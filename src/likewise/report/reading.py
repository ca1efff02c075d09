"""From the artifacts of a run to what the page says. A stage that did not run leaves its part empty."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from likewise.artifacts.artifact import Artifact
from likewise.data.corpus import Corpus
from likewise.data.payloads import IMAGE
from likewise.evaluation.evaluate import LABELS
from likewise.report.classification_reading import read_classification
from likewise.report.content import (
    TONES,
    Content,
    Curve,
    Example,
    Examples,
    Headline,
    Measures,
    OtherMetric,
    Part,
    Result,
    Rival,
    Section,
    Shown,
    Similarities,
    Stage,
    SuspiciousNegative,
    Training,
)
from likewise.report.event_facts import event_facts, event_table, has_events, without_validation
from likewise.report.facts import Finished, facts, file_of, stage_facts
from likewise.report.graph_reading import read_graphs
from likewise.report.names import COLORS, SYSTEMS, metric_label
from likewise.report.numbers import shortened
from likewise.report.options import ReportOptions
from likewise.report.picture_reading import read_pictures, thumbnails
from likewise.types import Int64

LONGEST_TEXT = 1 << 30  # csv refuses more than 131,072 characters in a cell unless it is told
SUSPICIOUS = 12  # a page of reading
SHOWN_RESULTS = 5  # results of a query, before and after side by side


def read_content(
    options: ReportOptions, *, recipe: Mapping[str, Any], finished: Finished, stages: Sequence[Mapping[str, Any]]
) -> Content:
    """Everything the page says. `recipe` is the recipe as resolved, `finished` the artifacts by stage."""
    run = str(recipe.get("name", "run"))
    suspicious, total = _suspicious(finished)
    return Content(
        title=options.title or run,
        run=run,
        headline=_headline(finished),
        measures=_measures(finished),
        curves=_curves(finished),
        similarities=_similarities(finished),
        training=_training(finished),
        examples=_examples(finished, options.examples),
        suspicious=suspicious,
        suspicious_total=total,
        graphs=read_graphs(finished),
        classification=read_classification(finished, int(recipe.get("seed", 0))),
        pictures=read_pictures(finished, options),
        data=tuple(event_facts(finished) if has_events(finished) else stage_facts(finished)),
        events=event_table(finished),
        stages=_stages(stages),
        recipe=_recipe(recipe),
        versions=_versions(finished),
    )


def _headline(finished: Finished) -> Headline | None:
    artifact = file_of(finished, "evaluate", "verdict.json")
    if artifact is None:
        return None
    verdict = artifact.json("verdict.json")
    low, high = verdict["interval_95"]
    told = verdict["sentence"].removeprefix(f"{verdict['verdict']}: ")  # the word stands above it, large
    rivals = [
        Rival(
            name=SYSTEMS.get(name, name),
            color=COLORS.get(name, "static"),
            value=rival["value"],
            difference=rival["difference"],
            low=rival["interval_95"][0],
            high=rival["interval_95"][1],
            tone=TONES[rival["verdict"]],
            sentence=_capital(rival["sentence"]),
        )
        for name, rival in sorted(verdict["baselines"].items())
    ]
    return Headline(
        word=verdict["verdict"],
        tone=TONES[verdict["verdict"]],
        metric=metric_label(verdict["metric"]),
        low=low,
        high=high,
        held_out=verdict.get("held_out", True),
        sentence=_capital(told) if has_events(finished) else told,
        rivals=rivals,
        parts=[Part(TONES[part["verdict"]], _capital(part["sentence"])) for part in verdict["parts"]],
        **{name: verdict[name] for name in ("before", "after", "difference", "unit", "units", "wins", "losses", "chosen")},
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _measures(finished: Finished) -> Measures | None:
    artifact = file_of(finished, "evaluate", "systems.json")
    if artifact is None:
        return None
    found = artifact.json("systems.json")
    verdict = artifact.json("verdict.json")
    compared = {verdict["metric"]: verdict, **{other["metric"]: other for other in verdict["others"]}}
    systems = found["systems"]
    metrics = []
    for metric, name in found["labels"].items():
        values = [system["metrics"].get(metric) for system in systems]
        metrics.append(_line(name, values, compared.get(metric) if found["chosen"] == "trained" else None))
    order = [verdict["metric"], *(other["metric"] for other in verdict["others"])]
    ranked = sorted(zip(found["labels"], metrics, strict=True), key=lambda pair: order.index(pair[0]))
    return Measures(
        systems=tuple(SYSTEMS.get(system["name"], system["name"]) for system in systems),
        metrics=tuple(line for _, line in ranked),
        separation=_separation(systems),
        queries=found["queries"],
        documents=found["documents"],
        positives=found["positives"],
        without_positives=found["queries_without_positives"],
    )


def _line(name: str, values: Sequence[float | None], compared: Mapping[str, Any] | None) -> OtherMetric:
    best = max(range(len(values)), key=lambda place: -np.inf if values[place] is None else float(values[place] or 0.0))
    if compared is None:
        return OtherMetric(name, values, best, None, None, None, None)
    low, high = compared["interval_95"]
    return OtherMetric(name, values, best, compared["difference"], low, high, TONES[compared["verdict"]])


def _separation(systems: Sequence[Mapping[str, Any]]) -> tuple[OtherMetric, ...]:
    """How well similarities tell right from wrong, for the systems that have them."""
    wanted = (
        ("Triplet accuracy, random negatives", ("similarities", "random", "accuracy")),
        ("Triplet accuracy, hardest negatives", ("similarities", "hardest", "accuracy")),
        ("Gap to random negatives", ("similarities", "random", "gap")),
        ("Gap to hardest negatives", ("similarities", "hardest", "gap")),
        ("Labelled pairs, AUC", ("pairs", "auc")),
        ("Labelled pairs, average precision", ("pairs", "average_precision")),
        ("Labelled pairs, gap", ("pairs", "gap")),
    )
    lines = []
    for name, path in wanted:
        values = [_at(system, path) for system in systems]
        if any(number is not None for number in values):
            lines.append(_line(name, values, None))
    return tuple(lines)


def _at(thing: Any, path: Sequence[str]) -> float | None:
    """The number at a path of keys; None where there is none."""
    for key in path:
        if not isinstance(thing, Mapping) or key not in thing:
            return None
        thing = thing[key]
    return float(thing)


def _system_names(finished: Finished) -> dict[str, str]:
    """How columns of the evaluation's tables are called on the page: "after" is the trained model, or the start that was kept."""
    chosen = finished["evaluate"].json("systems.json")["chosen"]
    named = {"before": "start", "bm25": "bm25", "static": "static", "pixels": "pixels"}
    return named if chosen == "start" else {**named, "after": "trained"}


def _curves(finished: Finished) -> tuple[Curve, ...]:
    artifact = file_of(finished, "evaluate", "curves.parquet")
    if artifact is None:
        return ()
    table = artifact.table("curves.parquet")
    names = _system_names(finished)
    return tuple(Curve(names[name], table[name].to_numpy()) for name in table.column_names if name in names)


def _similarities(finished: Finished) -> tuple[Similarities, ...]:
    artifact = file_of(finished, "evaluate", "scores.parquet")
    if artifact is None:
        return ()
    table = artifact.table("scores.parquet")
    panels = [(name, LABELS[name]) for name in ("before", "after") if name in _system_names(finished)]

    def known(column: str) -> NDArray[Any]:
        return np.asarray(pc.drop_null(table[column]))

    return tuple(
        Similarities(_capital(title), known(f"positive {name}"), known(f"random {name}"), known(f"hardest {name}"))
        for name, title in panels
    )


def _training(finished: Finished) -> Training | None:
    artifact = file_of(finished, "train", "chosen.json")
    if artifact is None:
        return None
    chosen = artifact.json("chosen.json")
    metric = str(chosen["metric"])
    steps, losses, evaluated, validation = [], [], [], []
    for row in _csv(artifact, "metrics.csv"):
        if row.get("loss"):
            steps.append(int(float(row["step"])))
            losses.append(float(row["loss"]))
        if row.get(metric):
            evaluated.append(int(float(row["step"])))
            validation.append(float(row[metric]))
    start = _metric_of(chosen.get("start"), metric)
    if start is not None and evaluated and evaluated[0] > 0:
        evaluated, validation = [0, *evaluated], [start, *validation]
    return Training(
        steps=np.array(steps, dtype=np.int64),
        losses=np.array(losses, dtype=np.float64),
        evaluated=np.array(evaluated, dtype=np.int64),
        metric=metric_label(metric),
        title=_capital(metric_label(metric)) if has_events(finished) else metric_label(metric),
        chosen_on="the events it was trained on" if without_validation(finished) else "the validation split",
        measured_on="over all hits of its events" if has_events(finished) else "over the full corpus",
        validation=np.array(validation, dtype=np.float64),
        start=start,
        chosen_step=chosen.get("step"),
        chosen=str(chosen["chosen"]),
        facts=facts("What was chosen", chosen),
    )


def _metric_of(thing: Any, metric: str) -> float | None:
    """A metric's value, given alone or among others by name."""
    found = thing.get(metric) if isinstance(thing, Mapping) else thing
    return float(found) if isinstance(found, int | float) else None


def _csv(artifact: Artifact, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file; none where it is absent."""
    if not artifact.has(name):
        return []
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_TEXT))
    return list(csv.DictReader(io.StringIO(artifact.file(name).read_text(encoding="utf-8"))))


def _examples(finished: Finished, most: int) -> Examples | None:
    artifact = file_of(finished, "evaluate", "queries.parquet")
    if artifact is None or "ingest" not in finished or finished["evaluate"].json("systems.json")["chosen"] == "start":
        return None
    metric = artifact.json("verdict.json")["metric"]
    table = artifact.table("queries.parquet")
    before, after = (table[f"{metric} {name}"].to_numpy() for name in ("before", "after"))
    change = after - before
    order = np.argsort(-change, kind="stable")
    gained = [int(place) for place in order[:most] if change[place] > 0]
    lost = [int(place) for place in order[::-1][:most] if change[place] < 0]
    corpus = Corpus(finished["ingest"])
    results = artifact.table("results.parquet")
    chosen = pa.array(table["row"].to_numpy()[gained + lost])
    results = results.filter((pc.field("rank") <= SHOWN_RESULTS) & pc.field("query").isin(chosen))
    answers = _answers(results, corpus)

    def example(place: int) -> Example:
        row = int(table["row"][place].as_py())
        return Example(
            shown=shown(corpus, np.array([row]))[0],
            before=float(before[place]),
            after=float(after[place]),
            rank_before=int(table["rank before"][place].as_py()),
            rank_after=int(table["rank after"][place].as_py()),
            results_before=answers.get((row, "before"), ()),
            results_after=answers.get((row, "after"), ()),
        )

    return Examples(tuple(map(example, gained)), tuple(map(example, lost)), change)


def shown(corpus: Corpus, rows: Int64) -> list[Shown]:
    """Texts shortened, or small pictures."""
    if corpus.kind != IMAGE:
        return [Shown(shortened(text)) for text in corpus.payload(rows)]
    groups = corpus.groups
    names = ["" if groups is None or groups.codes[row] < 0 else f" · {groups.names[groups.codes[row]]}" for row in rows]
    return [Shown(each.name + name, each.uri) for each, name in zip(thumbnails(corpus, rows), names, strict=True)]


def _answers(results: pa.Table, corpus: Corpus) -> dict[tuple[int, str], list[Result]]:
    """The results of each (query row, "before" or "after"), as people see them."""
    items = shown(corpus, results["row"].to_numpy())
    answers: dict[tuple[int, str], list[Result]] = {}
    for line, item in zip(results.to_pylist(), items, strict=True):
        found = Result(line["rank"], line["score"], item, line["positive"])
        answers.setdefault((line["query"], line["system"]), []).append(found)
    return answers


def _suspicious(finished: Finished) -> tuple[tuple[SuspiciousNegative, ...], int]:
    artifact = file_of(finished, "mine", "suspicious.csv")
    if artifact is None:
        return (), 0
    rows = _csv(artifact, "suspicious.csv")
    found = rows[:SUSPICIOUS]
    corpus = Corpus(finished["ingest"]) if "ingest" in finished else None
    sides: dict[str, list[Shown]] = {}
    for side in ("query", "negative", "positive"):
        if corpus is not None and corpus.kind == IMAGE:
            places = np.array([corpus.row_of(row[f"{side}_id"]) for row in found], dtype=np.int64)
            sides[side] = shown(corpus, places)
        else:
            sides[side] = [Shown(shortened(row[side], 120)) for row in found]
    return tuple(
        SuspiciousNegative(
            sides["query"][place],
            sides["negative"][place],
            float(row["negative_score"]),
            sides["positive"][place],
            float(row["positive_score"]),
        )
        for place, row in enumerate(found)
    ), len(rows)


def _stages(stages: Sequence[Mapping[str, Any]]) -> tuple[Stage, ...]:
    longest = max((float(stage["seconds"]) for stage in stages), default=0.0)
    largest = max((int(stage["peak_memory_bytes"]) for stage in stages), default=0)
    return tuple(
        Stage(
            name=str(stage["stage"]),
            seconds=float(stage["seconds"]),
            memory=int(stage["peak_memory_bytes"]),
            time_share=float(stage["seconds"]) / longest if longest else 0.0,
            memory_share=int(stage["peak_memory_bytes"]) / largest if largest else 0.0,
            skipped=bool(stage.get("skipped", False)),
        )
        for stage in stages
    )


def _recipe(recipe: Mapping[str, Any]) -> tuple[Section, ...]:
    """The recipe's own keys, then its sections in their order; absent sections are left out."""
    own = [(key, _toml(item)) for key, item in recipe.items() if not isinstance(item, Mapping) and item is not None]
    sections = [Section("", tuple(own))] if own else []
    for name, part in recipe.items():
        if isinstance(part, Mapping):
            sections.append(Section(name, tuple((key, _toml(item)) for key, item in part.items() if item is not None)))
    return tuple(sections)


def _toml(item: Any) -> str:
    """A value as TOML writes it; text in quotes, tables inline."""
    if isinstance(item, Mapping):
        inner = ", ".join(f"{key} = {_toml(part)}" for key, part in item.items() if part is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(item, list | tuple):
        return "[" + ", ".join(_toml(part) for part in item) + "]"
    return json.dumps(item, ensure_ascii=False)


def _versions(finished: Finished) -> tuple[tuple[str, str], ...]:
    """The versions of what computed; several where stages of different times stand together."""
    found: dict[str, list[str]] = {}
    for artifact in finished.values():
        for name, version in artifact.manifest.versions.items():
            known = found.setdefault(name, [])
            if version not in known:
                known.append(version)
    return tuple((name, ", ".join(versions)) for name, versions in sorted(found.items()))
