"""The encoder that a run starts from: opened, fitted where it must be, and stored."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.data.picture_remarks import fitted_window, window_remarks
from likewise.encoders.base import Encoder
from likewise.encoders.options import ENCODER_KINDS
from likewise.errors import DamagedArtifact
from likewise.options import Options, build, load, options_of
from likewise.types import Int64

if TYPE_CHECKING:
    from likewise.data.corpus import Corpus
    from likewise.data.split import Division

STAGE_FILES = ("encoder.json", "model")


def fit(draft: Draft, options: Options, corpus: Corpus, division: Division | None) -> None:
    """The stage: build the encoder, fit it on `fitting_rows`, and write `encoder.json` and `model/`.

    What window it has learnt for all frames is told, and written as remarks.json.
    """
    rows = fitting_rows(corpus, division)
    if not all(draft.has(name) for name in STAGE_FILES):
        encoder: Encoder = build(options)
        save_encoder(draft, encoder.fit(corpus.items(rows)))
    window = fitted_window(draft)
    if window is None:
        return
    draft.remark(list(window_remarks(corpus, rows, window)))
    before = None
    with suppress(DamagedArtifact):
        before = fitted_window(draft.in_force)
    if before not in (None, window):
        assert before is not None
        draft.say(f"Before, that window was from {before.low:g} to {before.high:g}: every vector is computed again.")


def fitting_rows(corpus: Corpus, division: Division | None) -> Int64:
    """The rows an encoder may be fitted on, ascending: every item but the queries of validation and test.

    Documents need no labels to learn words from, and a retrieval corpus is shared by all splits; what a held-out query
    asks stays unseen. Without a division, all items.
    """
    if division is None:
        return np.arange(len(corpus), dtype=np.int64)
    held_out = np.isin(division.items, (1, 2))
    return np.flatnonzero(~held_out).astype(np.int64)


def save_encoder(draft: Draft, encoder: Encoder) -> None:
    """Write an encoder's options as `encoder.json` and what its `save` writes as `model/`."""
    with draft.write_folder("model") as folder:
        encoder.save(folder)
    draft.write_json("encoder.json", encoder.options.model_dump(mode="json"))


def load_encoder(artifact: Artifact) -> Encoder:
    """The encoder that a stage left, every file verified before it is opened."""
    stored = artifact.json("encoder.json")
    options = options_of(stored["kind"], ENCODER_KINDS, "encoder").model_validate(stored)
    kind: type[Encoder] = load(options.implementation or stored["kind"])
    return kind.load(artifact.folder("model"), options)
