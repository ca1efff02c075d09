"""`likewise check RECIPE`: reads the data, counts, names problems, and estimates time, memory and disk before hours of work.

What it reads stays in the run's folder, where the real run finds it; what the run has in force stays so.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from likewise import pipeline
from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Reporter
from likewise.config import Recipe
from likewise.data.corpus import Corpus
from likewise.data.payloads import TEXT
from likewise.data.split import Division
from likewise.encoders.base import Encoder
from likewise.encoders.fit import fitting_rows
from likewise.encoders.options import TextEncoderOptions
from likewise.errors import UserError
from likewise.estimating import Estimate, Range, Work, estimate, mean, total
from likewise.measuring import Speed, measure
from likewise.options import build
from likewise.processors import processors
from likewise.report.numbers import duration, size
from likewise.types import ROLES, SPLITS, Int64, Reject, Role
from likewise.vectors.options import EmbedOptions

READ_TEXTS = 20_000  # texts whose characters are counted
TOKENIZED_TEXTS = 2_000  # texts whose tokens are counted
FITTED_TEXTS = 2_000  # texts on which an encoder that learns something first is fitted, to be measured
MEASURED_TEXTS = 1_024  # at most: a slow encoder is measured on the first few of them
PERCENTILES = (5, 50, 95, 100)
FEWEST_PAIRS = 100  # with fewer, a model learns the pairs by heart
FEWEST_STEPS = 20
BUSY = 2.0  # load per core, of which reading the data is one at most
LARGE_SHARE_CUT = 0.1
LARGE_SHARE_ALIKE = 0.3


class Row(NamedTuple):
    """A label and what was found."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a recipe will work on: facts, problems in sentences, and estimates by stage (marked as such in `rows`).

    `estimates` is empty where the encoder could not be opened; `free_disk` are the bytes free where the run is written.
    """

    folder: Path
    facts: tuple[Row, ...]
    problems: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    free_disk: int

    @property
    def rows(self) -> tuple[Row, ...]:
        """Facts, then estimates, for a table."""
        stages = [Row(f"estimate: {one.stage}", _told(one)) for one in self.estimates]
        if self.estimates:
            whole = total(self.estimates)
            stages += [
                Row("estimate: all stages", _told(whole)),
                Row(
                    "disk",
                    f"{size(self.free_disk)} free, {size(whole.disk.low)} to {size(whole.disk.high)} needed (estimate)",
                ),
            ]
        return (*self.facts, *stages)

    def as_json(self) -> dict[str, Any]:
        """The result as JSON-able values; seconds and bytes are [low, high]."""
        return {
            "folder": str(self.folder),
            "facts": [row._asdict() for row in self.facts],
            "problems": list(self.problems),
            "estimates": [asdict(one) for one in self.estimates],
            "free_disk": self.free_disk,
        }


def check(recipe: Recipe, folder: Path | None, reporter: Reporter) -> CheckResult:
    """Run a recipe up to its split in the run's folder, count, and measure the encoder on a few items."""
    outcome = pipeline.run(recipe, folder, until="split", tentative=True, reporter=reporter)
    data = _Data(recipe, outcome.finished)
    facts = [*data.facts()]
    problems = [*data.problems()]
    estimates: tuple[Estimate, ...] = ()
    try:
        trial = _Trial(recipe, data)
    except UserError as error:
        problems.append(str(error))
    else:
        facts += trial.facts()
        problems += trial.problems()
        estimates = trial.estimates()
    free = shutil.disk_usage(outcome.folder).free
    problems += _resources(estimates, free, outcome.folder)
    return CheckResult(outcome.folder, tuple(facts), tuple(problems), estimates, free)


class _Data:
    """What ingest, fingerprint and split found."""

    def __init__(self, recipe: Recipe, finished: Any) -> None:
        self.recipe = recipe
        self.items: Artifact = finished["ingest"]
        self.counts: dict[str, Any] = self.items.json("counts.json")
        self.corpus = Corpus(self.items)
        self.division = Division(finished["split"]) if "split" in finished else None
        self.split: Artifact | None = finished.get("split")
        self.looks: Artifact | None = finished.get("fingerprint")
        self.rows = {role: self.corpus.rows(role) for role in ROLES}

    def queries(self, split: Any) -> int:
        """Queries of a split that have a kept positive."""
        return len(self.division.queries(split)) if self.division else 0

    def pairs(self, split: Any) -> int:
        """Kept positive pairs of a split."""
        return len(self.division.positives(self.corpus, split)) if self.division else 0

    @cached_property
    def pairs_of_an_epoch(self) -> int:
        """Positive pairs that an epoch of training sees; of groups one is drawn for each item."""
        if self.division is None or self.corpus.groups is None:
            return self.pairs("train")
        return len(self.division.training_pairs(self.corpus, 0))

    @cached_property
    def alike(self) -> int:
        """Items that are near-duplicates of an earlier one."""
        if self.looks is None:
            return 0
        classes = self.looks.array("classes.npy")
        return int(np.count_nonzero(classes != np.arange(len(classes))))

    @cached_property
    def unasked(self) -> int:
        """Documents that are no query's positive."""
        pairs = self.corpus.pairs
        return len(np.setdiff1d(self.rows["document"], pairs.b[pairs.label == 1]))

    @cached_property
    def leakage(self) -> dict[str, Any]:
        """What the split says of leaks; empty without one."""
        return self.split.json("leakage.json") if self.split else {}

    def facts(self) -> Iterator[Row]:
        """Counts, by role and by split."""
        rejected = self.counts.get("rejected", 0)
        yield Row("rows", f"{self.counts.get('rows', 0):,} read" + (f", {rejected:,} rejected" if rejected else ""))
        yield Row("queries", f"{len(self.rows['query']):,}")
        unasked = f", of which {self.unasked:,} are no query's positive" if len(self.rows["query"]) else ""
        yield Row("documents", f"{len(self.rows['document']):,}{unasked}")
        yield Row(
            "pairs", f"{self.counts.get('positives', 0):,} alike, {self.counts.get('negatives', 0):,} known not to be alike"
        )
        if self.counts.get("repeated_pairs"):
            yield Row("repeated pairs", f"{self.counts['repeated_pairs']:,} (each counts once)")
        if self.looks is not None:
            yield Row("near-duplicates", f"{self.alike:,} items are alike to an earlier one")
        if self.division is not None:
            for split in SPLITS:
                yield Row(split, f"{self.queries(split):,} queries, {self.pairs(split):,} pairs")
            shared = self.leakage["training_pairs_whose_document_is_also_a_test_positive"]
            yield Row("shared documents", f"{shared:,} training pairs have a document that is also a test query's positive")
        yield from self._lengths()

    @property
    def of_texts(self) -> bool:
        """Whether the items are texts, which have characters and tokens."""
        return self.corpus.kind == TEXT

    def _lengths(self) -> Iterator[Row]:
        """Characters of the texts, of an even sample where there are very many."""
        for role, rows in self.rows.items() if self.of_texts else ():
            if len(rows):
                chosen = _spread(rows, READ_TEXTS)
                lengths = [len(str(item)) for items in self.corpus.items(chosen) for item in items.payload]
                low, middle, high, most = (int(value) for value in np.percentile(lengths, PERCENTILES))
                whole = "" if len(chosen) == len(rows) else f" (of {len(chosen):,} of them)"
                yield Row(
                    f"{role} characters", f"5% below {low:,}, half below {middle:,}, 95% below {high:,}, longest {most:,}{whole}"
                )

    def problems(self) -> Iterator[str]:
        """What stands in the way of a good model or of a verdict."""
        recipe = self.recipe
        rejected = self.counts.get("rejected", 0)
        if rejected:
            first = Reject(**self.items.table("rejects.parquet").slice(0, 1).to_pylist()[0])
            yield f"{rejected:,} of {self.counts['rows']:,} rows were rejected; the first: {first}"
        yield from self.items.remarks
        if len(self.rows["document"]) < 2:
            yield "There are fewer than two documents, so nothing can be told apart: bring more pairs."
        if self.alike > LARGE_SHARE_ALIKE * len(self.corpus):
            share = self.alike / len(self.corpus)
            yield f"{share:.0%} of the items are near-duplicates of another: the data says less than its size suggests."
        if recipe.train is not None:
            yield from self._training_problems()
        if recipe.retrieval is not None:
            yield from self._test_problems()
        if recipe.hard is not None and recipe.hard.range_max > len(self.rows["document"]):
            yield (
                f"[mine] range_max = {recipe.hard.range_max} is more than the {len(self.rows['document']):,} documents: "
                "all of them are candidates."
            )
        yield from self._leaks()

    def _training_problems(self) -> Iterator[str]:
        train = self.recipe.train
        assert train is not None
        pairs = self.pairs_of_an_epoch
        if pairs < FEWEST_PAIRS:
            yield f"Only {pairs:,} pairs to train on: expect little from fewer than {FEWEST_PAIRS}; bring more."
        if train.batch_size > pairs:
            yield f"[train] batch_size = {train.batch_size} is more than the {pairs:,} training pairs: lower it."
        steps = train.epochs * pairs // max(train.batch_size * train.accumulate, 1)
        if train.epochs and pairs and steps < FEWEST_STEPS:
            yield f"Training has only about {steps:,} steps: lower [train] batch_size or raise epochs."
        if self.queries("validation") == 0:
            yield "There is no validation query, so no checkpoint can be chosen, and training refuses: raise [split] validation."
        elif self.queries("validation") < FEWEST_PAIRS // 4:
            few = self.queries("validation")
            yield f"With only {few:,} validation queries the checkpoint is chosen by chance: raise [split] validation."

    def _test_problems(self) -> Iterator[str]:
        evaluate = self.recipe.retrieval
        assert evaluate is not None
        found = self.queries("test")
        if found == 0:
            yield "No test query: there is nothing to measure; raise [split] test."
        elif found < evaluate.smallest_units:
            yield (
                f"Only {found:,} test queries, and the verdict needs {evaluate.smallest_units} to say more than "
                '"too few to tell": raise [split] test, or bring more pairs.'
            )

    def _leaks(self) -> Iterator[str]:
        """What the split had to drop so that no test text was trained on."""
        dropped = self.leakage.get("dropped_pairs", 0)
        if dropped:
            share = dropped / len(self.corpus.pairs)
            yield f"{dropped:,} pairs ({share:.1%}) are dropped: their query, or a near-duplicate, is held out."


class _Trial:
    """The encoder, opened, fitted on a few texts where it must be, and measured. UserError where it cannot be had."""

    def __init__(self, recipe: Recipe, data: _Data) -> None:
        self.recipe = recipe
        self.data = data
        self.encoder, self.fitting = _fitted(build(recipe.encoder), data)
        self.sample = {role: _spread(rows, TOKENIZED_TEXTS) for role, rows in data.rows.items()}
        self.texts = {role: data.corpus.payload(rows) for role, rows in self.sample.items()}
        self.longest = recipe.train.max_length if recipe.train else None
        self.tokens = {role: self._lengths(role, None) for role in ROLES}
        self.train_tokens = {role: self._lengths(role, self.longest) for role in ROLES}

    def _lengths(self, role: Role, longest: int | None) -> Int64:
        return self.encoder.lengths(self.texts[role], role, longest) if self.texts[role] else np.zeros(0, dtype=np.int64)

    def _limit(self, role: Role) -> int | None:
        limit = self.encoder.key_parts(role).get("max_length")
        return int(limit) if limit else None

    def facts(self) -> Iterator[Row]:
        """Tokens, and whether the machine was free to be measured."""
        for role in ROLES if self.data.of_texts else ():
            if len(self.tokens[role]):
                middle, high = (int(value) for value in np.percentile(self.tokens[role], (50, 95)))
                yield Row(
                    f"{role} tokens",
                    f"half below {middle:,}, 95% below {high:,}, at most {self._limit(role) or int(self.tokens[role].max()):,}",
                )
        cores = processors()
        load = os.getloadavg()[0]
        if load > BUSY * cores:
            yield Row("machine", f"busy (load {load:.1f} on {cores} cores): times are estimated too long")

    def problems(self) -> Iterator[str]:
        """Texts that are cut."""
        for role in ROLES:
            tokens, limit = self.tokens[role], self._limit(role)
            if not len(tokens):
                continue
            full = float((tokens >= limit).mean()) if limit else 0.0
            if full > LARGE_SHARE_CUT:
                yield f"{full:.0%} of the {role} texts reach {limit:,} tokens, and are cut there: see [encoder] max_length."
            shorter = float((self.train_tokens[role] < tokens).mean())
            if shorter > LARGE_SHARE_CUT:
                yield f"{shorter:.0%} of the {role} texts are cut in training by [train] max_length = {self.longest}."

    def estimates(self) -> tuple[Estimate, ...]:
        """What every stage to come will need."""
        mine = self.recipe.hard
        mining = None
        if mine is not None and mine.model is not None:
            named = TextEncoderOptions(model=mine.model, query_prompt=mine.query_prompt, document_prompt=mine.document_prompt)
            mining = self._speed(build(named), EmbedOptions(device=mine.device), trains=False)
        speed = self._speed(self.encoder, self.recipe.embed, trains=self.recipe.train is not None)
        return estimate(self.recipe, self._work(), speed, mining)

    def _speed(self, encoder: Encoder, options: EmbedOptions, *, trains: bool) -> Speed:
        payload: list[Any] = []
        roles: list[Role] = []
        for role in ROLES:
            rows = _spread(self.data.rows[role], MEASURED_TEXTS // len(ROLES))
            payload += self.data.corpus.payload(rows)
            roles += [role] * len(rows)
        mixed = [place for pair in zip(range(len(roles)), reversed(range(len(roles))), strict=True) for place in pair]
        order = list(dict.fromkeys(mixed))  # queries and documents in turn, so that the first few are of both roles
        payload, roles = [payload[place] for place in order], [roles[place] for place in order]
        measured = measure(encoder, payload, roles, options, self.recipe.train if trains else None)
        return measured.fitted(self.fitting)

    def _work(self) -> Work:
        data = self.data
        return Work(
            queries=len(data.rows["query"]),
            documents=len(data.rows["document"]),
            train_queries=data.queries("train"),
            validation_queries=data.queries("validation"),
            test_queries=data.queries("test"),
            train_pairs=data.pairs_of_an_epoch,
            query_tokens=mean(self.tokens["query"]),
            document_tokens=mean(self.tokens["document"]),
            train_query_tokens=mean(self.train_tokens["query"]),
            train_document_tokens=mean(self.train_tokens["document"]),
        )


def _fitted(encoder: Encoder, data: _Data) -> tuple[Encoder, float]:
    """The encoder fitted on a few items, and the seconds that it took for each."""
    rows = _spread(fitting_rows(data.corpus, data.division), FITTED_TEXTS)
    began = time.perf_counter()
    fitted = encoder.fit(data.corpus.items(rows)).eval()
    return fitted, (time.perf_counter() - began) / max(len(rows), 1)


def _resources(estimates: tuple[Estimate, ...], free: int, folder: Path) -> Iterator[str]:
    """Whether disk and memory will do."""
    if not estimates:
        return
    whole = total(estimates)
    if whole.disk.high > free:
        need, there = size(whole.disk.high), size(free)
        yield f"The run may need {need} of disk, and {there} are free at {folder}: make room, or name another folder."
    memory = _memory()
    if memory is not None and whole.memory.high > memory:
        most = max(estimates, key=lambda one: one.memory.high)
        yield (
            f"The stage {most.stage} may need {size(most.memory.high)} of memory, and this machine has {size(memory)}: "
            "lower [train] batch_size, or set [train] gradient_cache."
        )


def _memory() -> int | None:
    """Bytes of memory of this machine, where the system tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _spread(rows: Int64, most: int) -> Int64:
    """At most so many of the rows, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def _told(one: Estimate) -> str:
    return f"about {_time(one.seconds)}, {_span(one.memory)} of memory, {_span(one.disk)} of disk"


def _time(seconds: Range) -> str:
    low, high = duration(seconds.low), duration(seconds.high)
    return low if low == high else f"{low} to {high}"


def _span(needed: Range) -> str:
    low, high = size(needed.low), size(needed.high)
    return low if low == high else f"{low} to {high}"
