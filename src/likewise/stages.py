"""What each stage reads: opens the artifacts it is given and calls the package that does the work.

Heavy packages are imported when a stage really runs, so that a run in which nothing changed ends within a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.artifacts.run import versioned
from likewise.data.options import INGEST_VERSION
from likewise.options import Options, load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from likewise.artifacts.draft import Stop
    from likewise.encoders.base import Encoder
    from likewise.training.preset import Preset


def _classes(looks: Artifact | None) -> NDArray[np.int64]:
    assert looks is not None, "a recipe whose evidence may join shards has [fingerprint]"
    return cast("NDArray[np.int64]", looks.array("classes.npy"))


@versioned(INGEST_VERSION)
def ingest(draft: Draft, options: Any) -> None:
    """Source → items, pairs, rejects."""
    from likewise.data import ingest as work

    work.ingest(draft, options)


@versioned(2)
def fingerprint(draft: Draft, options: Any, items: Artifact) -> None:
    """Items → classes of near-duplicates."""
    from likewise.data import fingerprints as work
    from likewise.data.corpus import Corpus

    work.fingerprint(draft, options, Corpus(items))


@versioned(1)
def divide(draft: Draft, options: Any, items: Artifact, looks: Artifact | None) -> None:
    """Items, pairs and near-duplicates → train, validation, test."""
    from likewise.data.corpus import Corpus
    from likewise.data.split import divide as divide_queries
    from likewise.data.split_shards import divide_shards

    corpus = Corpus(items)
    if corpus.scope == "shard":
        divide_shards(draft, options, corpus)
    else:
        divide_queries(draft, options, corpus, _classes(looks))


@versioned(1)
def fit(draft: Draft, options: Any, items: Artifact, split: Artifact | None) -> None:
    """The encoder the run starts from."""
    from likewise.data.corpus import Corpus
    from likewise.data.split import Division
    from likewise.encoders import fit as work

    work.fit(draft, options, Corpus(items), Division(split) if split else None)


@versioned(1)
def embed(draft: Draft, options: Any, model: Artifact, items: Artifact) -> None:
    """Items → vectors, by the start or by the trained model."""
    from likewise.data.corpus import Corpus
    from likewise.vectors import extract as work

    work.embed(draft, options, model, Corpus(items))


@versioned(1)
def mine(draft: Draft, options: Any, before: Artifact, items: Artifact, looks: Artifact, split: Artifact) -> None:
    """Vectors → the negatives worth learning from."""
    from likewise.data.corpus import Corpus
    from likewise.data.split import Division
    from likewise.mining import mine as work
    from likewise.vectors.store import Vectors

    work.mine(draft, options, Vectors(before), Corpus(items), Division(split), _classes(looks))


class TrainInputs(Options):
    """Training reads three sections: its own, how negatives are mined again, and how vectors are computed."""

    train: Any
    mine: Any
    embed: Any


@versioned(1)
def train(
    draft: Draft,
    options: TrainInputs,
    start: Artifact,
    before: Artifact | None,
    items: Artifact,
    looks: Artifact | None,
    split: Artifact,
    mined: Artifact | None,
) -> None:
    """The start, trained: or the start, if no checkpoint was better."""
    from likewise.data.corpus import Corpus
    from likewise.data.split import Division
    from likewise.training import train as work

    corpus, division = Corpus(items), Division(split)

    def make(encoder: Encoder, stop: Stop) -> Preset:
        if corpus.scope == "shard":
            from likewise.training.tracks import TracksPreset

            return TracksPreset(draft, options.train, encoder, corpus, division, options.mine)
        from likewise.training.text import Material, TextPreset, read_negatives
        from likewise.vectors.store import Vectors

        assert before is not None, "a recipe whose evidence may join shards has [embed]"
        negatives = read_negatives(mined) if mined else None
        material = Material(corpus, division, _classes(looks), negatives, options.mine)
        return TextPreset(draft, options.train, encoder, Vectors(before).array, material, options.embed, stop)

    work.train(draft, options.train, start, make)


@versioned(1)
def baselines(draft: Draft, options: dict[str, list[str]], items: Artifact, looks: Artifact, split: Artifact) -> None:
    """Cheap models, to be measured beside."""
    from likewise.data.corpus import Corpus
    from likewise.data.split import Division
    from likewise.training import baselines as work

    work.baselines(draft, options["names"], Corpus(items), Division(split), _classes(looks))


@versioned(1)
def evaluate(
    draft: Draft,
    options: Any,
    start: Artifact,
    before: Artifact | None,
    after: Artifact | None,
    items: Artifact,
    looks: Artifact | None,
    split: Artifact,
    trained: Artifact | None,
    rivals: Artifact | None,
) -> None:
    """Before and after → metrics and the verdict."""
    from likewise.data.corpus import Corpus
    from likewise.data.split import Division

    corpus, division = Corpus(items), Division(split)
    if options.scope == "shard":
        from likewise.evaluation.graph_evaluate import evaluate_graphs

        evaluate_graphs(draft, options, corpus, division, start, trained)
        return
    from likewise.evaluation.evaluate import evaluate as work
    from likewise.vectors.store import Vectors

    assert before is not None, "a recipe that measures retrieval has [embed]"
    assert after is not None, "a recipe that measures retrieval has [embed]"
    found: dict[str, Any] = trained.json("chosen.json") if trained else {"chosen": "start", "steps": 0}
    chosen: Literal["start", "trained"] = found["chosen"]
    tried = found.get("steps") != 0  # with epochs = 0 there is a stage, but no training
    vectors = Vectors(before), Vectors(after)
    work(draft, options, corpus, division, _classes(looks), *vectors, baselines=rivals, chosen=chosen, tried=tried)


class ReportInputs(Options):
    """The page's own section, the recipe as resolved, and what each stage took."""

    report: Any
    recipe: Any
    records: tuple[Any, ...]


@versioned(1)
def report(draft: Draft, options: ReportInputs, *finished: Artifact) -> None:
    """Everything that was found → one page."""
    from likewise.report import page as work

    work.report(
        draft,
        options.report,
        recipe=options.recipe,
        finished={artifact.stage: artifact for artifact in finished},
        stages=options.records,
    )


@versioned(1)
def result(
    draft: Draft,
    options: Any,
    model: Artifact,
    vectors: Artifact | None,
    items: Artifact,
    split: Artifact | None,
    measured: Artifact | None,
) -> None:
    """What is kept to be used: an index, vectors, graphs, or a stranger's kind."""
    from likewise.vectors.store import Made

    load(options.implementation or options.kind)(draft, options, Made(items, model, vectors, split, measured))
