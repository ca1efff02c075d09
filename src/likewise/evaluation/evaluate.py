"""The stage: the model handed over against the one it started from, and against cheap baselines, on the test split.

Files it leaves
    verdict.json      the verdict, in numbers and in words; the same against every baseline, and for the other metrics
    systems.json      every metric of every system, its similarities, and how it separates labelled pairs
    queries.parquet   every test query: its unit, its positives, and each metric of each system
    results.parquet   the first results of every test query, before and after
    scores.parquet    every test positive: its similarity, that of a random negative and of the hardest, before and after
    curves.parquet    recall at 1, 2, … 100 of every system
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.data.evidence import evidence_of
from likewise.data.split import Division
from likewise.errors import DataError
from likewise.evaluation.lexical import LexicalRanker
from likewise.evaluation.metrics import Metric, label
from likewise.evaluation.options import BASELINES, EvaluateOptions
from likewise.evaluation.pairs import pair_metrics
from likewise.evaluation.retrieval import (
    Measured,
    Ranker,
    RetrievalTask,
    VectorRanker,
    metric_values,
    ranks_within,
    recall_curve,
    unit_length,
    whole_ranks,
)
from likewise.evaluation.triplets import Similarities, triplet_metrics
from likewise.evaluation.units import query_units
from likewise.evaluation.verdict import Rules, against, judge
from likewise.types import SPLITS, Evidence, Float32, Int64, Neighbors, Pairs, Verdict
from likewise.vectors.store import Vectors

CURVE = 100  # recall is drawn up to here
RESULTS = 10  # results kept of each query, for people to read
LABELS = {
    "before": "the model you began with",
    "after": "the model handed over",
    "bm25": "BM25",
    "static": "the static baseline",
    "pixels": "plain pixels",
}


def evaluate(
    draft: Draft,
    options: EvaluateOptions,
    corpus: Corpus,
    division: Division,
    classes: Int64,
    before: Vectors,
    after: Vectors,
    *,
    baselines: Artifact | None,
    chosen: Literal["start", "trained"],
    tried: bool = True,
) -> None:
    """Measure on the test split and write the verdict; DataError where no test query has a positive.

    `after` are the vectors of the model handed over; `baselines` holds NAME.npy [N, D] of those asked for;
    `tried` is False for a run that does not train.
    """
    task = _task(corpus, division, classes)
    if task.without_positives:
        draft.say(f"{task.without_positives:,} test queries have no positive and are not counted.")
    rankers = _rankers(options, corpus, task, before, after, baselines)
    names = tuple(dict.fromkeys((options.metric, *options.others)))
    evidence = evidence_of(corpus.pairs, classes, None if corpus.groups is None else corpus.groups.codes)
    systems = {}
    for done, (name, ranker) in enumerate(rankers.items()):
        draft.progress(done, len(rankers), LABELS[name])
        systems[name] = _measure(ranker, task, names)
    units = query_units(task) if division.units is None else division.units[task.queries]
    unit = "query" if len(np.unique(units)) == len(task) else "unit"
    rules = Rules(options.resamples, options.smallest_units, options.negligible, draft.seed)
    # Of groups all answers of a query were seen in training, or none: the unit of the split says which.
    trained = division.positives(corpus, "train") if corpus.groups is None else None
    seen = np.zeros(len(task), dtype=np.bool_) if trained is None else seen_in_training(task, trained)
    draft.write_table("queries.parquet", _queries_table(corpus, task, systems, units, seen))
    draft.write_table("results.parquet", _results_table(task, systems))
    draft.write_table("curves.parquet", _curves_table(task, systems))
    vectors = {"before": before.array, "after": after.array}
    scores = _scores_table(task, evidence, systems, vectors, draft.seed)
    draft.write_table("scores.parquet", scores)
    labeled = _labeled_pairs(corpus, division, vectors)
    draft.write_json("systems.json", _systems(task, systems, scores, labeled, chosen))
    judged = Judgement(options.metric, names, systems, units, unit, seen, rules, chosen, tried)
    verdict = judged.as_json()
    draft.write_json("verdict.json", verdict)
    for sentence in verdict["sentences"]:
        draft.say(sentence)


@dataclass(frozen=True, slots=True)
class System:
    """What one system did: its first results, and what came of them."""

    top: Neighbors
    measured: Measured


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything the verdict is drawn from."""

    metric: str
    names: tuple[str, ...]
    systems: Mapping[str, System]
    units: Int64
    unit: str
    seen: NDArray[np.bool_]
    rules: Rules
    chosen: Literal["start", "trained"]
    tried: bool

    def verdict(self, metric: str, before: str = "before", only: NDArray[np.bool_] | None = None) -> Verdict:
        """The model handed over against another system, on all queries or some of them."""
        kept = np.ones(len(self.units), dtype=bool) if only is None else only
        chosen = self.chosen if before == "before" else "trained"  # a baseline is another model, whatever was chosen
        first, second = (self.systems[name].measured.values[metric] for name in (before, "after"))
        return judge(
            first[kept],
            second[kept],
            metric=metric,
            rules=self.rules,
            unit=self.unit,
            units=self.units[kept],
            chosen=chosen,
            tried=self.tried,
        )

    def as_json(self) -> dict[str, Any]:
        """What stands in verdict.json."""
        main = self.verdict(self.metric)
        queries = len(self.units)
        baselines = {name: self.verdict(self.metric, name) for name in self.systems if name not in ("before", "after")}
        sentences = {name: against(verdict, LABELS[name], queries) for name, verdict in baselines.items()}
        parts = self.parts()
        return {
            **asdict(main),
            "queries": queries,
            "parts": parts,
            "baselines": {
                name: {"value": verdict.before, "sentence": sentences[name], **_difference(verdict)}
                for name, verdict in baselines.items()
            },
            "others": [_other(self.verdict(metric)) for metric in self.names if metric != self.metric],
            "sentences": [main.sentence, *(part["sentence"] for part in parts), *sentences.values()],
        }

    def parts(self) -> list[dict[str, Any]]:
        """The verdict on queries whose positives training saw, and on the others: a gain may be memory rather than skill.

        Nothing where there are only others: then the verdict says it all.
        """
        if self.chosen == "start" or not self.seen.any():
            return []
        named = (("answers not seen in training", ~self.seen), ("answers seen in training", self.seen))
        found = []
        for name, only in named:
            if only.any():
                verdict = self.verdict(self.metric, only=only)
                sentence = f"{name}: {verdict.sentence}"
                numbers = {"before": verdict.before, "after": verdict.after, **_difference(verdict)}
                found.append({"name": name, "queries": int(only.sum()), "units": verdict.units, **numbers, "sentence": sentence})
        return found


def seen_in_training(task: RetrievalTask, trained: Pairs[Int64]) -> NDArray[np.bool_]:
    """[Q]: whether a positive of the query, or a near-duplicate of one, was a positive of a training query, too."""
    known = np.isin(task.classes[task.document], task.classes[trained.b[trained.label == 1]])
    return np.bincount(task.query, weights=known, minlength=len(task)) > 0


def _difference(verdict: Verdict) -> dict[str, Any]:
    kept = ("difference", "interval_95", "verdict", "wins", "losses", "needed")
    return {name: value for name, value in asdict(verdict).items() if name in kept}


def _other(verdict: Verdict) -> dict[str, Any]:
    return {"metric": verdict.metric, "before": verdict.before, "after": verdict.after, **_difference(verdict)}


def _task(corpus: Corpus, division: Division, classes: Int64) -> RetrievalTask:
    """The test queries against all documents."""
    asked = np.flatnonzero(division.items == SPLITS.index("test")).astype(np.int64)
    task = RetrievalTask.of(asked, division.documents(corpus, "test"), division.positives(corpus, "test"), classes)
    if not len(task):
        raise DataError(
            f"None of {len(asked):,} test queries has a positive, so nothing can be measured: raise [split] test, or add pairs."
        )
    return task


def _rankers(
    options: EvaluateOptions, corpus: Corpus, task: RetrievalTask, before: Vectors, after: Vectors, baselines: Artifact | None
) -> dict[str, Ranker]:
    rankers: dict[str, Ranker] = {"before": VectorRanker(before.array), "after": VectorRanker(after.array)}
    wanted = BASELINES.get(corpus.kind, ()) if options.baselines is None else options.baselines
    for name in wanted:
        if name == "bm25":
            rankers[name] = LexicalRanker(corpus.payload(task.queries), corpus.payload(task.documents))
        elif baselines is not None and baselines.has(f"{name}.npy"):
            rankers[name] = VectorRanker(baselines.array(f"{name}.npy"))
    return rankers


def _measure(ranker: Ranker, task: RetrievalTask, names: tuple[str, ...]) -> System:
    """One search, deep enough for the metrics, the curve and one result beyond all positives; a second look for "map"."""
    metrics = [Metric.parse(name) for name in names]
    depth = max([CURVE, int(task.counts.max()) + 1, *(metric.k for metric in metrics if metric.k)])
    top = ranker.top(task, depth)
    ranks = ranks_within(top.rows, task)
    whole = whole_ranks(ranker, task) if "map" in names else ranks
    values = {metric.name: metric_values(whole if metric.name == "map" else ranks, task, metric) for metric in metrics}
    return System(top, Measured(ranks, values))


def _queries_table(
    corpus: Corpus, task: RetrievalTask, systems: Mapping[str, System], units: Int64, seen: NDArray[np.bool_]
) -> pa.Table:
    columns: dict[str, Any] = {
        "row": task.queries,
        "id": [corpus.ids[row] for row in task.queries],
        "unit": units,
        "positives": task.counts,
        "seen": seen,
    }
    for name, system in systems.items():
        columns[f"rank {name}"] = _first_rank(task, system.measured.ranks)
        columns |= {f"{metric} {name}": values for metric, values in system.measured.values.items()}
    return pa.table(columns)


def _first_rank(task: RetrievalTask, ranks: Int64) -> Int64:
    """[Q]: the rank of each query's first positive; 0 where none was found."""
    beyond = np.iinfo(np.int64).max
    best = np.full(len(task), beyond)
    np.minimum.at(best, task.query, np.where(ranks > 0, ranks, beyond))
    return np.where(best == beyond, 0, best).astype(np.int64)


def _results_table(task: RetrievalTask, systems: Mapping[str, System]) -> pa.Table:
    tables = []
    for name in ("before", "after"):
        rows, scores = systems[name].top.rows[:, :RESULTS], systems[name].top.scores[:, :RESULTS]
        query, place = np.nonzero(rows >= 0)
        found = rows[query, place]
        columns = {
            "query": task.queries[query],
            "system": [name] * len(query),
            "rank": place.astype(np.int64) + 1,
            "row": found,
            "score": scores[query, place],
            "positive": task.is_positive(query.astype(np.int64), found),
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def _curves_table(task: RetrievalTask, systems: Mapping[str, System]) -> pa.Table:
    depth = min(CURVE, len(task.documents))
    curves = {name: recall_curve(system.measured.ranks, task, depth) for name, system in systems.items()}
    return pa.table({"k": np.arange(1, depth + 1), **curves})


def _scores_table(
    task: RetrievalTask,
    evidence: Evidence,
    systems: Mapping[str, System],
    vectors: Mapping[str, NDArray[Any]],
    seed: int,
) -> pa.Table:
    """For each positive: its similarity, that of a negative drawn at random (the same before and after), and of the hardest."""
    anchor = task.queries[task.query]
    sampled = random_negatives(anchor, task.documents, evidence, seed)
    columns: dict[str, Any] = {"query": anchor, "document": task.document, "negative": pa.array(sampled, mask=sampled < 0)}
    for name, array in vectors.items():
        hardest = _hardest(task, evidence, systems[name].top)[task.query]
        columns[f"positive {name}"] = _cosines(array, anchor, task.document)
        columns[f"random {name}"] = pa.array(_cosines(array, anchor, np.maximum(sampled, 0)), mask=sampled < 0)
        columns[f"hardest {name}"] = pa.array(hardest, mask=np.isneginf(hardest))
    return pa.table(columns)


def random_negatives(anchors: Int64, documents: Int64, evidence: Evidence, seed: int) -> Int64:
    """A document for each anchor [A] that is not known to be alike, drawn at random; -1 where there is none."""
    random = np.random.default_rng(seed)
    chosen = np.full(len(anchors), -1, dtype=np.int64)
    open_places = np.arange(len(anchors))
    for _ in range(20):  # each round leaves the share of documents that are alike, usually far below 1%
        drawn = documents[random.integers(0, len(documents), len(open_places))]
        alike = evidence.label(anchors[open_places], drawn)[0] == 1
        chosen[open_places[~alike]] = drawn[~alike]
        open_places = open_places[alike]
    for place in open_places:
        others = documents[evidence.label(np.full(len(documents), anchors[place]), documents)[0] != 1]
        if len(others):
            chosen[place] = random.choice(others)
    return chosen


def _hardest(task: RetrievalTask, evidence: Evidence, top: Neighbors) -> Float32:
    """[Q]: the score of the first result that is not known to be alike; -inf where there is none among the results."""
    asked = np.broadcast_to(task.queries[:, None], top.rows.shape)
    other = (top.rows >= 0) & (evidence.label(asked.ravel(), np.maximum(top.rows, 0).ravel())[0].reshape(top.rows.shape) != 1)
    first = np.take_along_axis(top.scores, other.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(other.any(axis=1), first, -np.inf).astype(np.float32)


def _cosines(vectors: NDArray[Any], a: Int64, b: Int64, step: int = 65536) -> Float32:
    """The cosine of each pair of rows, float32."""
    cosines = np.empty(len(a), dtype=np.float32)
    for start in range(0, len(a), step):
        piece = slice(start, start + step)
        left, right = (unit_length(np.asarray(vectors[rows[piece]], dtype=np.float32)) for rows in (a, b))
        cosines[piece] = np.einsum("pd,pd->p", left, right)
    return cosines


def _labeled_pairs(corpus: Corpus, division: Division, vectors: Mapping[str, NDArray[Any]]) -> dict[str, Any] | None:
    """How the test pairs that are labelled alike and not alike are told apart; None where the data has only one kind."""
    pairs = corpus.pairs
    kept = (division.pairs == SPLITS.index("test")) & (pairs.weight > 0)
    if len(np.unique(pairs.label[kept])) < 2:
        return None
    a, b, labels = pairs.a[kept], pairs.b[kept], pairs.label[kept]
    return {name: asdict(pair_metrics(_cosines(array, a, b), labels)) for name, array in vectors.items()}


def _systems(
    task: RetrievalTask, systems: Mapping[str, System], scores: pa.Table, labeled: dict[str, Any] | None, chosen: str
) -> dict[str, Any]:
    """What stands in systems.json: a list of systems, each with the mean of every metric."""
    named = {"before": "start", "after": chosen}
    described = []
    for name, system in systems.items():
        if name == "after" and chosen == "start":
            continue  # the start was kept: it stands in the list already
        means = {metric: system.measured.mean(metric) for metric in system.measured.values}
        entry: dict[str, Any] = {"name": named.get(name, name), "metrics": means}
        if f"positive {name}" in scores.column_names:
            entry["similarities"] = _similarities(scores, name)
        if labeled and name in labeled:
            entry["pairs"] = labeled[name]
        described.append(entry)
    return {
        "queries": len(task),
        "queries_without_positives": task.without_positives,
        "documents": len(task.documents),
        "positives": len(task.query),
        "labels": {metric: label(metric) for metric in next(iter(systems.values())).measured.values},
        "chosen": chosen,
        "systems": described,
    }


def _similarities(scores: pa.Table, name: str) -> dict[str, Any]:
    """Similarities of positives, and triplet accuracy against random and against hardest negatives, where there are any."""
    found: dict[str, Any] = {"positive": asdict(Similarities.of(scores[f"positive {name}"].to_numpy()))}
    for kind in ("random", "hardest"):
        there = scores.filter(pc.is_valid(scores[f"{kind} {name}"]))
        if len(there):
            positive, negative = (there[f"{which} {name}"].to_numpy() for which in ("positive", kind))
            found[kind] = asdict(triplet_metrics(positive, negative))
    return found
