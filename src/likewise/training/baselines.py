"""The stage `baselines`: cheap models, to be measured beside the real one.

Files it leaves, of those asked for: static.npy [N, D] float32, the vectors of every item by token embeddings trained from
scratch on the same pairs; pixels.npy [N, 768] float32, thumbnails of pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch

from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.data.perceptual import thumbnail_vectors
from likewise.data.pixels import looks_from_bytes
from likewise.data.split import Division
from likewise.encoders.fit import fitting_rows
from likewise.encoders.options import StaticEncoderOptions
from likewise.encoders.static import StaticEncoder
from likewise.training.callbacks import unchanged_generators
from likewise.training.loop import Machine, Plan, fit
from likewise.training.options import TrainOptions
from likewise.training.text import Material, TextEmbedding, batches_of, loss_of
from likewise.types import ROLES, Float32, Int64, Items
from likewise.vectors.extract import extract
from likewise.vectors.options import EmbedOptions

STATIC = TrainOptions(epochs=3, batch_size=256, max_length=None, learning_rate=0.03, precision="float32", device="cpu")
"""Found on docstrings of Python packages: nDCG@10 0.571 from 0.497; learning rates of 0.01 and 0.1 gave 0.551 and 0.555."""

PART = 8192  # items whose texts are held at once


def baselines(draft: Draft, names: Sequence[str], corpus: Corpus, division: Division, classes: Int64) -> None:
    """Write the vectors of all items by each named baseline, trained on the train split's pairs where it is trained."""
    for name in names:
        if not draft.has(f"{name}.npy"):
            draft.write_array(f"{name}.npy", BASELINES[name](draft, corpus, division, classes))


def static(draft: Draft, corpus: Corpus, division: Division, classes: Int64) -> Float32:
    """[N, D] float32 by token embeddings with in-batch negatives; seconds on a CPU."""

    def shards() -> Iterator[Items]:
        yield from corpus.items(fitting_rows(corpus, division))

    encoder = StaticEncoder(StaticEncoderOptions()).fit(shards())
    batches = batches_of(Material(corpus, division, classes, None, None), STATIC, draft)
    plan = Plan.of(len(batches), STATIC)
    module = TextEmbedding(encoder, loss_of(STATIC), corpus, STATIC, steps=plan.steps)
    with unchanged_generators():
        torch.manual_seed(draft.seed)
        fit(module, batches, plan, Machine.of(encoder, STATIC), [], [], draft.scratch("static"), None)
    vectors = np.zeros((len(corpus), encoder.dimension), dtype=np.float32)
    for start in range(0, len(corpus), PART):
        rows = np.arange(start, min(start + PART, len(corpus)))
        roles = [ROLES[role] for role in corpus.roles[rows]]
        vectors[rows] = extract(encoder, corpus.payload(rows), roles, EmbedOptions(precision="float32", device="cpu"))
        draft.progress(int(rows[-1]) + 1, len(corpus), "static embeddings")
    return vectors


def pixels(draft: Draft, corpus: Corpus, division: Division, classes: Int64) -> Float32:
    """[N, 768] float32: 16 × 16 colour thumbnails of pictures, as vectors. What beats them has learnt more than brightness."""
    vectors = []
    for start in range(0, len(corpus), PART):
        refs = corpus.payload(np.arange(start, min(start + PART, len(corpus))))
        _, _, thumbnails = looks_from_bytes([ref.look or b"" for ref in refs])
        vectors.append(thumbnail_vectors(thumbnails))
    return np.concatenate(vectors)


BASELINES: Mapping[str, Callable[[Draft, Corpus, Division, Int64], Float32]] = {"static": static, "pixels": pixels}
