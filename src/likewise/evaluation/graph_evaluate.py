"""The stage `evaluate` for candidate graphs: each system's radius is solved for the same efficiency, then purities compare.

verdict.json      the model handed over against its start and against raw features, by event
graphs.json       of each system the radius, the metrics with intervals over events, and whether edges were estimated
scan.parquet      edges, efficiency and purity at many radii, by system
binned.parquet    efficiency against pt, eta and production radius, by system
events.parquet    the counts of every event, by system
event/            one event with one particle, for the display (`event_sample`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from torch import Tensor

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus, WholeShard
from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.encoders.fit import load_encoder
from likewise.encoders.hits import HitEncoder
from likewise.evaluation.binned import BinnedEfficiency, binned_efficiency
from likewise.evaluation.edges import TrueEdges
from likewise.evaluation.event_sample import PROPERTIES, Sampled, chosen_hits, degrees_of, edges_around, write_event_sample
from likewise.evaluation.graph_verdict import Wording, against, graph_verdict, sentence
from likewise.evaluation.graphs import EventCounts, graph_metrics
from likewise.evaluation.options import GraphEvaluateOptions
from likewise.evaluation.radius_scan import RadiusScan, radius_for, true_distances
from likewise.evaluation.surroundings import pairs_within_radii
from likewise.evaluation.verdict import Rules
from likewise.types import Float64, Int64, Verdict
from likewise.vectors.precision import device_for
from likewise.vectors.shards import LoadedShard, load_shard, vectors_of

SAMPLED = 8192  # hits of an event whose surroundings are counted: all of a wedge's; of a full event's 8%, ±1% at a purity of 1%
EFFICIENCIES = np.concatenate([np.arange(0.05, 0.9, 0.05), np.arange(0.9, 0.99, 0.01), [0.99, 0.995, 0.999]])
BINS: Mapping[str, Float64] = {
    "pt": np.array([0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 50, 100]),
    "eta": np.linspace(-4, 4, 17),
    "production_radius": np.array([0, 0.1, 1, 3, 10, 30, 100, 300, 1000.0]),
}

Vectors = Callable[[LoadedShard], Tensor]
System = Literal["before", "after", "raw"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one system's graphs are worth at the radius solved for the efficiency: by event, in the order of the shards."""

    radius: float
    exact: bool
    counts: tuple[EventCounts, ...]
    scan: RadiusScan
    binned: Mapping[str, BinnedEfficiency]


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
    numbers = division.shards("test")
    held_out = bool(len(numbers))
    numbers = numbers if held_out else division.shards("train")
    systems = _systems(start, trained)
    measured = {name: _measure(draft, LABELS[name], system, corpus, numbers, options) for name, system in systems.items()}
    chosen: Literal["start", "trained"] = trained.json("chosen.json")["chosen"] if trained else "start"
    rules = Rules(options.resamples, options.smallest_units, options.negligible, draft.seed)
    verdict = _verdict(measured, options.efficiency, rules, chosen, held_out)
    draft.write_table("events.parquet", _events_table(corpus, numbers, measured))
    draft.write_table("scan.parquet", _scan_table(measured))
    draft.write_table("binned.parquet", _binned_table(measured))
    draft.write_json("graphs.json", _as_json(measured, options.efficiency, rules, held_out))
    draft.write_json("verdict.json", verdict)
    _write_event(draft, systems, measured, corpus, numbers)
    for told in verdict["sentences"]:
        draft.say(told)


LABELS: Mapping[str, str] = {"before": "the start", "after": "the model handed over", "raw": "raw features"}


def _systems(start: Artifact, trained: Artifact | None) -> dict[str, Vectors]:
    device = device_for("auto", "evaluate")
    first = load_encoder(start).eval().to(device)
    last = load_encoder(trained).eval().to(device) if trained else first

    def by(encoder: Encoder) -> Vectors:
        return lambda shard: vectors_of(encoder, shard)

    def raw(shard: LoadedShard) -> Tensor:
        return first.scale_features(shard.features) if isinstance(first, HitEncoder) else shard.features

    return {"before": by(first), "after": by(last), "raw": raw}


def _measure(
    draft: Draft, label: str, system: Vectors, corpus: Corpus, numbers: Int64, options: GraphEvaluateOptions
) -> Measured:
    """Two passes over the events: the first solves the radius, the second counts within it and within others."""
    device = device_for("auto", "evaluate")
    near = []
    for done, number in enumerate(numbers.tolist()):
        loaded = load_shard(corpus, number, device)
        true = true_edges(loaded.shard)
        near.append(true_distances(system(loaded).cpu().numpy(), true)[true.signal])
        draft.progress(done, 2 * len(numbers), f"{label}: radius")
    radius = radius_for(options.efficiency, near)
    radii = np.unique([radius, *(radius_for(float(share), near) for share in EFFICIENCIES)])
    counts, scans, binned, exact = [], [], [], True
    for done, number in enumerate(numbers.tolist()):
        loaded = load_shard(corpus, number, device)
        vectors, true = system(loaded), true_edges(loaded.shard)
        pairs, whole = pairs_within_radii(vectors, radii, sampled=SAMPLED, seed=draft.seed + number)
        apart = true_distances(vectors.cpu().numpy(), true)
        counts.append(_count(pairs[np.searchsorted(radii, radius)], apart <= radius, true))
        scans.append(_scan(radii, pairs, apart, true))
        binned.append(_binned(loaded.shard, true, apart <= radius))
        exact = exact and whole
        draft.progress(len(numbers) + done + 1, 2 * len(numbers), f"{label}: events")
    added = {name: sum((each[name] for each in binned[1:]), binned[0][name]) for name in PROPERTIES}
    return Measured(radius, exact, tuple(counts), sum(scans[1:], scans[0]), added)


def true_edges(shard: WholeShard) -> TrueEdges:
    """The true edges of an event; those of weight 0 are not signal."""
    pairs = shard.pairs
    return TrueEdges.of(np.stack([pairs.a, pairs.b]), hits=len(shard), signal=pairs.weight > 0, weight=pairs.weight)


def _count(pairs: float, found: Any, true: TrueEdges) -> EventCounts:
    weight = true.weight.astype(np.float64)
    true_found = int(np.count_nonzero(found))
    return EventCounts(
        hits=true.hits,
        edges=max(round(pairs), true_found),
        true=len(true),
        true_found=true_found,
        signal=int(np.count_nonzero(true.signal)),
        signal_found=int(np.count_nonzero(found & true.signal)),
        signal_weight=float(weight[true.signal].sum()),
        signal_weight_found=float(weight[true.signal & found].sum()),
    )


def _scan(radii: Float64, pairs: Float64, apart: Float64, true: TrueEdges) -> RadiusScan:
    found = np.searchsorted(np.sort(apart), radii, side="right")
    signal = np.searchsorted(np.sort(apart[true.signal]), radii, side="right")
    edges = np.maximum(np.rint(pairs).astype(np.int64), found)
    return RadiusScan(radii, edges, found, signal, true.hits, len(true), int(np.count_nonzero(true.signal)))


def _binned(shard: WholeShard, true: TrueEdges, found: Any) -> dict[str, BinnedEfficiency]:
    """Signal efficiency against each property of the particle, which is the same at both hits of an edge."""
    hit = true.pairs[0][true.signal]
    return {
        name: binned_efficiency(shard.columns[column][hit], found[true.signal], BINS[name]) for name, column in PROPERTIES.items()
    }


def _verdict(
    measured: Mapping[str, Measured], efficiency: float, rules: Rules, chosen: Literal["start", "trained"], held_out: bool
) -> dict[str, Any]:
    """What stands in verdict.json: the same keys as for retrieval, and whether the events were held out."""
    metric = f"signal purity at {100 * efficiency:g}% efficiency"
    wording = Wording(metric, kind="held-out") if held_out else Wording(metric, which="that it was trained on")

    def compared(other: str, kept: Literal["start", "trained"]) -> Verdict:
        found = graph_verdict(measured[other].counts, measured["after"].counts, metric="signal_purity", rules=rules, chosen=kept)
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


def _write_event(
    draft: Draft, systems: Mapping[str, Vectors], measured: Mapping[str, Measured], corpus: Corpus, numbers: Int64
) -> None:
    """Keep a display's material from the first measured event that has signal; of equal runs the same particle."""
    device = device_for("auto", "evaluate")
    for number in numbers.tolist():
        loaded = load_shard(corpus, number, device)
        true = true_edges(loaded.shard)
        chosen = chosen_hits(loaded.shard, true)
        if not len(chosen):
            continue
        found = {}
        for name, system in systems.items():
            vectors, radius = system(loaded), measured[name].radius
            degrees = degrees_of(vectors, radius, sampled=SAMPLED, seed=draft.seed)
            found[name] = Sampled(radius, edges_around(vectors.cpu().numpy(), chosen, radius), degrees)
        write_event_sample(draft, loaded.shard, true, found, chosen)
        return


def _as_json(measured: Mapping[str, Measured], efficiency: float, rules: Rules, held_out: bool) -> dict[str, Any]:
    return {
        "efficiency": efficiency,
        "held_out": held_out,
        "sampled": SAMPLED,
        "systems": {
            name: {"radius": found.radius, "exact": found.exact, "metrics": graph_metrics(found.counts, rules).as_json()}
            for name, found in measured.items()
        },
    }


def _events_table(corpus: Corpus, numbers: Int64, measured: Mapping[str, Measured]) -> pa.Table:
    names = [corpus.shards[number].name for number in numbers.tolist()]
    rows = [
        {"system": system, "event": name, **asdict(counts)}
        for system, found in measured.items()
        for name, counts in zip(names, found.counts, strict=True)
    ]
    return pa.Table.from_pylist(rows)


def _scan_table(measured: Mapping[str, Measured]) -> pa.Table:
    tables = []
    for name, found in measured.items():
        scan = found.scan
        counts = {"edges": scan.edges, "true_found": scan.true_found, "signal_found": scan.signal_found}
        shares = {"efficiency": scan.signal_efficiency, "purity": scan.signal_purity, "neighbors": scan.neighbors}
        tables.append(pa.table({"system": [name] * len(scan.radii), "radius": scan.radii, **counts, **shares}))
    return pa.concat_tables(tables)


def _binned_table(measured: Mapping[str, Measured]) -> pa.Table:
    tables = []
    for name, found in measured.items():
        for property_, binned in found.binned.items():
            low, high = binned.interval_95
            columns = {"from": binned.edges[:-1], "to": binned.edges[1:], "found": binned.found, "total": binned.total}
            count = len(binned.total)
            told = {"system": [name] * count, "property": [property_] * count}
            tables.append(pa.table({**told, **columns, "efficiency": binned.efficiency, "low": low, "high": high}))
    return pa.concat_tables(tables)
