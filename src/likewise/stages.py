"""What each stage reads: opens the artifacts it is given and calls the package that does the work.

Heavy packages are imported when a stage really runs, so that a run in which nothing changed ends within a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.artifacts.run import versioned
from likewise.options import Options, load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _classes(looks: Artifact) -> NDArray[np.int64]:
    return cast("NDArray[np.int64]", looks.array("classes.npy"))


@versioned(1)
def ingest(draft: Draft, options: Any) -> None:
    """Source → items, pairs, rejects."""
    from likewise.data import ingest as work

    work.ingest(draft, options)


@versioned(1)
def fingerprint(draft: Draft, options: Any, items: Artifact) -> None:
    """Items → classes of near-duplicates."""
    from likewise.data import fingerprints as work
    from likewise.data.corpus import Corpus

    work.fingerprint(draft, options, Corpus(items))


@versioned(1)
def divide(draft: Draft, options: Any, items: Artifact, looks: Artifact) -> None:
    """Items, pairs and near-duplicates → train, validation, test."""
    from likewise.data import split as work
    from likewise.data.corpus import Corpus

    work.divide(draft, options, Corpus(items), _classes(looks))


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
    before: Artifact,
    items: Artifact,
    looks: Artifact,
    split: Artifact,
    mined: Artifact | None,
) -> None:
    """The start, trained: or the start, if no checkpoint was better."""
    from likewise.data.corpus import Corpus
    from likewise.data.split import Division
    from likewise.training import train as work
    from likewise.vectors.store import Vectors

    work.train(
        draft,
        options.train,
        start,
        Vectors(before),
        Corpus(items),
        Division(split),
        _classes(looks),
        mined,
        options.mine,
        options.embed,
    )


@versioned(1)
def baselines(draft: Draft, options: dict[str, list[str]], items: Artifact, looks: Artifact, split: Artifact) -> None:
    """Cheap models trained on the same pairs, to be measured beside."""
    from likewise.data.corpus import Corpus
    from likewise.data.split import Division
    from likewise.training import baselines as work

    work.baselines(draft, options["names"], Corpus(items), Division(split), _classes(looks))


@versioned(1)
def evaluate(
    draft: Draft,
    options: Any,
    before: Artifact,
    after: Artifact,
    items: Artifact,
    looks: Artifact,
    split: Artifact,
    trained: Artifact | None,
    rivals: Artifact | None,
) -> None:
    """Vectors before and after → metrics and the verdict."""
    from likewise.data.corpus import Corpus
    from likewise.data.split import Division
    from likewise.evaluation import evaluate as work
    from likewise.vectors.store import Vectors

    chosen: Literal["start", "trained"] = trained.json("chosen.json")["chosen"] if trained else "start"
    work.evaluate(
        draft,
        options,
        Corpus(items),
        Division(split),
        _classes(looks),
        Vectors(before),
        Vectors(after),
        baselines=rivals,
        chosen=chosen,
        tried=trained is not None,
    )


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
def result(draft: Draft, options: Any, vectors: Artifact, items: Artifact) -> None:
    """What is kept to be used: an index, vectors, or a stranger's kind."""
    from likewise.data.corpus import Corpus
    from likewise.vectors.store import Vectors

    load(options.implementation or options.kind)(draft, options, Corpus(items), Vectors(vectors))
