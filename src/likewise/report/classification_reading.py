"""From the artifacts of a run whose items have groups to what the page says of finding them by neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from likewise.data.corpus import Corpus
from likewise.data.payloads import IMAGE
from likewise.data.split import Division
from likewise.errors import DataError
from likewise.evaluation.classification import measured
from likewise.evaluation.classify import LeftOut
from likewise.evaluation.labels import GROUP, LabeledItems, labeled_items
from likewise.report.classification_content import FoundLabels
from likewise.report.facts import Finished, file_of
from likewise.report.picture_content import Gallery
from likewise.report.picture_reading import thumbnails
from likewise.vectors.store import Vectors

NEIGHBORS = 5
MISTAKES = 4


def read_classification(finished: Finished, seed: int) -> FoundLabels | None:
    """How often the groups of a run's items are found by their neighbours; None where items have no groups, or no vectors."""
    ingested = file_of(finished, "ingest", "counts.json")
    embedded = finished.get("embed-after") or file_of(finished, "embed", "vectors.npy")
    if ingested is None or embedded is None or ingested.json("counts.json").get("scope") != "corpus":
        return None
    corpus, looks, split = Corpus(ingested), file_of(finished, "fingerprint", "classes.npy"), finished.get("split")
    try:
        items = labeled_items(
            corpus,
            Vectors(embedded).array,
            classes=None if looks is None else np.array(looks.array("classes.npy"), dtype=np.int64),
            division=None if split is None else Division(split),
        )
    except DataError:  # no column of groups, or no two groups: there is nothing to be found
        return None
    training = file_of(finished, "train", "chosen.json")
    trained = training is not None and training.json("chosen.json")["chosen"] == "trained"
    found = measured(items, GROUP, NEIGHBORS, near_duplicates=looks is not None, trained=trained, seed=seed)
    if found is None:
        return None
    classification, left_out = found
    return FoundLabels(classification, list(_mistakes(corpus, items, left_out)) if corpus.kind == IMAGE else [])


def _mistakes(corpus: Corpus, items: LabeledItems, found: LeftOut) -> Iterator[Gallery]:
    """The pictures whose voters agreed most on another label than theirs, each with its voters."""
    labeled, votes = items.labeled, found.votes
    wrong = np.flatnonzero(votes.winner != labeled.codes[found.rows])
    surest = np.lexsort((-votes.neighbors.scores[wrong, 0], -votes.share[wrong]))[:MISTAKES]
    for place in wrong[surest].tolist():
        voters = votes.neighbors.rows[place]
        voters = voters[voters >= 0]
        notes = [
            f"{labeled.names[code]} · {score:.3f}"
            for code, score in zip(labeled.codes[voters], votes.neighbors.scores[place], strict=False)
        ]
        own = labeled.names[labeled.codes[found.rows[place]]]
        (asked,) = thumbnails(corpus, items.rows[found.rows[[place]]], [f"{own}, taken for {labeled.names[votes.winner[place]]}"])
        yield Gallery(asked, list(thumbnails(corpus, items.rows[voters], notes)))
