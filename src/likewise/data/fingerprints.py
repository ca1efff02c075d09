"""The stage that finds near-duplicates among a run's items before it is split: one function for each kind of payload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from likewise.artifacts.draft import Draft
from likewise.data.corpus import Corpus
from likewise.data.looks import Looks
from likewise.data.options import FingerprintOptions
from likewise.data.payloads import IMAGE
from likewise.data.text_looks import text_looks

SLICE = 4096  # items in memory at a time


def fingerprint(draft: Draft, options: FingerprintOptions, corpus: Corpus) -> None:
    """The stage: classes.npy, joined.parquet (row, representative, similarity), counts.json, and of pictures hashes.npy."""
    if draft.has("counts.json"):
        return
    looks = _looks(draft, options, corpus)
    joined = np.flatnonzero(looks.classes != np.arange(len(corpus)))
    columns = {"row": joined, "representative": looks.classes[joined], "similarity": looks.similarity[joined].astype(np.float32)}
    draft.write_array("classes.npy", looks.classes)
    if looks.hashes is not None:
        draft.write_array("hashes.npy", looks.hashes)
    draft.write_table("joined.parquet", pa.table(columns))
    sizes = np.bincount(looks.classes, minlength=1)
    draft.write_json(
        "counts.json",
        {
            "items": len(corpus),
            "classes": int((sizes > 0).sum()),
            "joined": len(joined),
            "equal": looks.equal,
            "alike": len(joined) - looks.equal,
            "largest_class": int(sizes.max()),
            "not_compared": looks.not_compared,
        },
    )
    _tell(draft, looks, len(joined))


def _looks(draft: Draft, options: FingerprintOptions, corpus: Corpus) -> Looks:
    slices = _payloads(draft, corpus)
    if corpus.kind == IMAGE:
        from likewise.data.image_looks import image_looks

        return image_looks(slices, options.image_bits, options.image_hash)
    return text_looks(slices, options, draft.scratch("triples") / "elements.bin")


def _payloads(draft: Draft, corpus: Corpus) -> Iterator[Sequence[Any]]:
    for start in range(0, len(corpus), SLICE):
        draft.progress(start, len(corpus))
        yield corpus.payload(np.arange(start, min(start + SLICE, len(corpus))))


def _tell(draft: Draft, looks: Looks, joined: int) -> None:
    if joined:
        draft.say(f"{joined:,} items are near-duplicates of another ({looks.equal:,} {looks.how}) and stay in its split.")
    if looks.not_compared:
        draft.say(
            f"{looks.not_compared:,} texts share words with too many others to be compared with all of them; some edited copies"
            " among them may not have been joined."
        )
