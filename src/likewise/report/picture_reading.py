"""From the artifacts of a run on pictures to what the page shows of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from likewise.artifacts.artifact import Artifact
from likewise.data.corpus import Corpus
from likewise.data.image_refs import ImageRef
from likewise.data.payloads import IMAGE
from likewise.data.pixels import decode
from likewise.errors import DataError, first_line
from likewise.neighbors.nearest import nearest
from likewise.report.facts import Finished, file_of
from likewise.report.options import ReportOptions
from likewise.report.picture_content import Gallery, Pictures, Thumbnail, VectorQuality
from likewise.types import Float32, Int64
from likewise.vectors.quality import Reference, drifted, quality_of
from likewise.vectors.store import Vectors

SIDE = 112  # pixels of a thumbnail's longer side
SHEET, GROUPS, MEMBERS, QUERIES, NEAREST = 32, 8, 6, 6, 6
SHOWN_RANGE = (0.5, 99.5)  # percentiles: a broken pixel does not make the rest of a frame black
SAMPLE = 20_000  # vectors whose quality is told
LOWEST = 6


def read_pictures(finished: Finished, options: ReportOptions) -> Pictures | None:
    """What is shown of a run's pictures; None for a run on something else."""
    ingested = file_of(finished, "ingest", "counts.json")
    corpus = Corpus(ingested) if ingested is not None and ingested.json("counts.json").get("scope") == "corpus" else None
    if corpus is None or not len(corpus) or corpus.kind != IMAGE:
        return None
    embedded = finished.get("embed-after") or file_of(finished, "embed", "vectors.npy")
    vectors = None if embedded is None else Vectors(embedded).array
    alike, groups = _alike(corpus, file_of(finished, "fingerprint", "joined.parquet"))
    return Pictures(
        total=len(corpus),
        sheet=list(thumbnails(corpus, _spread(len(corpus), SHEET))),
        groups=groups,
        alike=alike,
        galleries=[] if vectors is None else list(_galleries(corpus, vectors)),
        quality=None if vectors is None else _quality(corpus, vectors, options),
        remarks=[sentence for stage in ("ingest", "fit") if stage in finished for sentence in finished[stage].remarks],
    )


def thumbnail(ref: ImageRef, name: str, note: str = "", frame: int = 0) -> Thumbnail:
    """A small JPEG of a picture, or of the page `frame`; one of one channel from nearly its darkest to its brightest value."""
    try:
        pixels = decode(ref.read(), ref.name, at_least=SIDE, frame=frame)
    except DataError:  # it was there when it was read in
        return Thumbnail(name, "no longer there", "")
    if pixels.ndim == 2:
        dark, bright = np.percentile(pixels, SHOWN_RANGE).tolist()
        shown = (pixels.astype(np.float64) - dark) / ((bright - dark) or 1.0)
        pixels = (255 * shown.clip(0, 1)).astype(np.uint8)
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    encoded = io.BytesIO()
    image.save(encoded, "jpeg", quality=82)
    return Thumbnail(name, note, f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}")


def thumbnails(corpus: Corpus, rows: Sequence[int] | Int64, notes: Sequence[str] = ()) -> Iterator[Thumbnail]:
    """Those of the given rows, in their order, each with its note."""
    told = notes or [""] * len(rows)
    for row, ref, note in zip(rows, corpus.payload(rows), told, strict=True):
        yield thumbnail(ref, corpus.ids[row], note, corpus.frame)


def _spread(count: int, wanted: int) -> Int64:
    """At most so many of the rows, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def _alike(corpus: Corpus, artifact: Artifact | None) -> tuple[list[list[Thumbnail]], int]:
    """Some groups of near-duplicates, the largest first, and how many groups there are."""
    if artifact is None:
        return [], 0
    table = artifact.table("joined.parquet")
    row, first, similarity = (table[name].to_numpy() for name in ("row", "representative", "similarity"))
    names, counts = np.unique(first, return_counts=True)
    shown = names[np.lexsort((names, -counts))][:GROUPS]
    groups = []
    for name in shown.tolist():
        members = np.flatnonzero(first == name)[: MEMBERS - 1]
        notes = ["", *(f"{round(64 * (1 - float(similarity[place])))} of 64 bits differ" for place in members)]
        groups.append(list(thumbnails(corpus, [name, *row[members].tolist()], notes)))
    return groups, len(names)


def _galleries(corpus: Corpus, vectors: Float32) -> Iterator[Gallery]:
    queries = _spread(len(corpus), QUERIES)
    found = nearest(np.array(vectors[queries]), vectors, min(NEAREST + 1, len(corpus)))
    for query, rows, scores in zip(queries.tolist(), found.rows.tolist(), found.scores.tolist(), strict=True):
        others = [(row, score) for row, score in zip(rows, scores, strict=True) if row not in (query, -1)][:NEAREST]
        (asked,) = thumbnails(corpus, [query])
        near = thumbnails(corpus, [row for row, _ in others], [f"{score:.3f}" for _, score in others])
        yield Gallery(asked, list(near))


def _quality(corpus: Corpus, vectors: Float32, options: ReportOptions) -> VectorQuality:
    rows = _spread(len(vectors), SAMPLE)
    sample = np.array(vectors[rows])
    reference = None if options.reference is None else _reference(options.reference, vectors.shape[1])
    found = quality_of(sample, vectors.shape[1], reference)
    low = np.argsort(found.scores, kind="stable")[:LOWEST]
    below = found.scores < options.quality_threshold
    lowest = [
        (corpus.ids[rows[place]], f"{found.scores[place]:.2f}", found.worst(place)) for place in low.tolist() if below[place]
    ]
    drift = "" if reference is None else f"{drifted(sample, reference):.4f}"
    return VectorQuality(found.scores, lowest, int(below.sum()), options.quality_threshold, drift)


def _reference(path: str, dimension: int) -> Reference:
    """The vectors of an .npy file, at most `SAMPLE` of them; DataError if it has none of this dimension."""
    try:
        vectors = np.load(Path(path), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        told = first_line(error)
        raise DataError(f"[report] reference = {path} cannot be read ({told}); name an .npy file of vectors.") from error
    if not isinstance(vectors, np.ndarray):
        raise DataError(f"[report] reference = {path} holds several arrays; name an .npy file of vectors.")
    some = vectors[_spread(len(vectors), SAMPLE)] if vectors.ndim else vectors
    return Reference.given(some, dimension, f"[report] reference = {path}")
