"""The stage `evaluate` for candidate graphs: each system's radius is solved for the same efficiency, then purities compare.

verdict.json        the model handed over against its start and against raw features, by event
graphs.json         of each system the radius, the metrics with intervals over events, and whether edges were estimated
scan.parquet        edges, efficiency and purity at many radii, by system
binned.parquet      efficiency against pt, eta and production radius, by system
neighbors.parquet   how many hits have 0, 1, 2, … neighbors, by system
events.parquet      the counts of every event, by system
event/              one event with one particle, for the display (`event_sample`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

import pyarrow as pa
from torch import Tensor

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.encoders.fit import load_encoder
from likewise.encoders.hits import HitEncoder
from likewise.evaluation.event_sample import chosen_hits, edges_around, write_event_sample
from likewise.evaluation.graph_verdict import Wording, against, graph_verdict, sentence
from likewise.evaluation.graphs import graph_metrics
from likewise.evaluation.measurement import SAMPLED, Events, Measurement, measure_graphs, true_edges
from likewise.evaluation.measurement_tables import binned_table, neighbors_table, scan_table
from likewise.evaluation.options import GraphEvaluateOptions
from likewise.evaluation.verdict import Rules
from likewise.types import Verdict
from likewise.vectors.precision import device_for
from likewise.vectors.shards import LoadedShard, load_shard, vectors_of

Vectors = Callable[[LoadedShard], Tensor]
LABELS: Mapping[str, str] = {"before": "the start", "after": "the model handed over", "raw": "raw features"}


def evaluate_graphs(
    draft: Draft,
    options: GraphEvaluateOptions,
    corpus: Corpus,
    division: Division,
    start: Artifact,
    trained: Artifact | None,
) -> None:
    """Measure start, model handed over and raw features on the test split's events.

    Without a test split the training events are measured, and every sentence says so.
    """
    numbers = division.shards("test").tolist()
    held_out = bool(numbers)
    numbers = numbers or division.shards("train").tolist()
    device = device_for("auto", "evaluate")
    systems = {
        name: Events(numbers, lambda number: load_shard(corpus, number, device), embed)
        for name, embed in _systems(start, trained).items()
    }
    measured = {name: _measure(draft, LABELS[name], events, options) for name, events in systems.items()}
    chosen: Literal["start", "trained"] = trained.json("chosen.json")["chosen"] if trained else "start"
    rules = Rules(options.resamples, options.smallest_units, options.negligible, draft.seed)
    wording = _wording(options.efficiency, held_out, _why_kept(trained, division))
    verdict = _verdict(measured, options.efficiency, rules, chosen, wording, held_out)
    draft.write_table("events.parquet", _events_table([corpus.shards[number].name for number in numbers], measured))
    draft.write_table("scan.parquet", scan_table({name: found.scan for name, found in measured.items()}))
    draft.write_table("binned.parquet", binned_table({name: found.binned for name, found in measured.items()}))
    draft.write_table("neighbors.parquet", neighbors_table({name: found.degrees for name, found in measured.items()}))
    draft.write_json("graphs.json", _as_json(measured, options, rules, held_out))
    draft.write_json("verdict.json", verdict)
    _write_event(draft, systems, {name: found.radius for name, found in measured.items()})
    for told in verdict["sentences"]:
        draft.say(told)


def _systems(start: Artifact, trained: Artifact | None) -> dict[str, Vectors]:
    device = device_for("auto", "evaluate")
    first = load_encoder(start).eval().to(device)
    last = load_encoder(trained).eval().to(device) if trained else first

    def by(encoder: Encoder) -> Vectors:
        return lambda shard: vectors_of(encoder, shard)

    def raw(shard: LoadedShard) -> Tensor:
        return first.scale_features(shard.features) if isinstance(first, HitEncoder) else shard.features

    return {"before": by(first), "after": by(last), "raw": raw}


def _measure(draft: Draft, label: str, events: Events, options: GraphEvaluateOptions) -> Measurement:
    return measure_graphs(
        events,
        efficiency=options.efficiency,
        radius=options.radius,
        seed=draft.seed,
        tell=lambda done, total: draft.progress(done, total, label),
    )


def _why_kept(trained: Artifact | None, division: Division) -> str:
    """Why the model handed over is the start, where it is."""
    if trained is None or trained.json("chosen.json").get("steps") == 0:  # epochs = 0
        return "nothing was trained"
    where = "validation" if len(division.shards("validation")) else "the training events"
    return f"no trained checkpoint was better on {where}, so the model you began with is kept"


def _wording(efficiency: float, held_out: bool, kept: str) -> Wording:
    metric = f"signal purity at {100 * efficiency:g}% efficiency"
    return Wording(metric, kind="held-out", kept=kept) if held_out else Wording(metric, which="that it was trained on", kept=kept)


def _verdict(
    measured: Mapping[str, Measurement],
    efficiency: float,
    rules: Rules,
    chosen: Literal["start", "trained"],
    wording: Wording,
    held_out: bool,
) -> dict[str, Any]:
    """What stands in verdict.json: the same keys as for retrieval, and whether the events were held out."""

    def compared(other: str, kept: Literal["start", "trained"]) -> Verdict:
        found = graph_verdict(
            measured[other].counts(), measured["after"].counts(), metric="signal_purity", rules=rules, chosen=kept
        )
        assert found is not None, "the radius was solved for events with signal edges"
        return replace(found, metric=f"purity@{efficiency:g}")

    main, raw = compared("before", chosen), compared("raw", "trained")
    main = replace(main, sentence=sentence(main, wording))
    rival = {"value": raw.before, "sentence": against(raw, LABELS["raw"], wording), **_difference(raw)}
    told = {"parts": [], "baselines": {"raw": rival}, "others": [], "sentences": [main.sentence, rival["sentence"]]}
    return {**asdict(main), **told, "held_out": held_out}


def _difference(verdict: Verdict) -> dict[str, Any]:
    kept = ("difference", "interval_95", "verdict", "wins", "losses", "needed")
    return {name: value for name, value in asdict(verdict).items() if name in kept}


def _write_event(draft: Draft, systems: Mapping[str, Events], radii: Mapping[str, float]) -> None:
    """Keep a display's material from the first measured event that has signal; of equal runs the same particle."""
    for number in systems["before"].numbers:
        loaded = systems["before"].load(number)
        true = true_edges(loaded.shard)
        chosen = chosen_hits(loaded.shard, true)
        if not len(chosen):
            continue
        edges = {name: edges_around(events.embed(loaded).cpu().numpy(), chosen, radii[name]) for name, events in systems.items()}
        write_event_sample(draft, loaded.shard, true, edges, radii, chosen)
        return


def _as_json(measured: Mapping[str, Measurement], options: GraphEvaluateOptions, rules: Rules, held_out: bool) -> dict[str, Any]:
    def system(found: Measurement) -> dict[str, Any]:
        told = {"radius": found.radius, "exact": found.exact, "metrics": graph_metrics(found.counts(), rules).as_json()}
        if options.radius is not None:
            told["at_radius"] = graph_metrics(found.counts(options.radius), rules).as_json()
        return told

    return {
        "efficiency": options.efficiency,
        "at_radius": options.radius,
        "held_out": held_out,
        "sampled": SAMPLED,
        "systems": {name: system(found) for name, found in measured.items()},
    }


def _events_table(names: Sequence[str], measured: Mapping[str, Measurement]) -> pa.Table:
    rows = [
        {"system": system, "event": name, **asdict(counts)}
        for system, found in measured.items()
        for name, counts in zip(names, found.counts(), strict=True)
    ]
    return pa.Table.from_pylist(rows)
