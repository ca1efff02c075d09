"""The stage that reads a source: items by shard, pairs by row, and what could not be read.

    items-00000.parquet …   one file per shard: id, text, role, shard, and the source's own columns
    pairs.parquet           a, b (rows), label, weight, split (-1 none, 0 train, 1 validation, 2 test); each pair once, sorted
    rejects.parquet         file, row, reason, remedy
    counts.json             rows = accepted + rejected, and what they gave
    remarks.json            what people should know of pictures, where there is anything
    parts/                  what was read of each shard beside its items, so that new input is added without reading the old

Payloads are streamed. In memory are the ids and pairs (some 300 bytes an item, measured), never the payloads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likewise.artifacts.draft import Draft
from likewise.artifacts.run import versioned
from likewise.data import links as by_row
from likewise.data.corpus import Corpus
from likewise.data.earlier import files_of
from likewise.data.links import RowLinks
from likewise.data.marks import read_marks
from likewise.data.options import INGEST_VERSION, IngestOptions, LinkedOptions
from likewise.data.part_files import reject_table
from likewise.data.parts import Parts
from likewise.data.picture_remarks import picture_remarks
from likewise.data.shards import ingest_shards
from likewise.errors import DataError
from likewise.options import build
from likewise.types import SPLITS, Reject, Source


@versioned(INGEST_VERSION)
def ingest(draft: Draft, options: IngestOptions) -> None:
    """Read the source that the options describe; a shard that an earlier attempt wrote whole, or whose files an earlier run has
    read, is not read again.

    DataError for a bad row under `on_bad = "stop"`, for an id that two different items share, and where no positive pair is left.
    """
    source: Source = build(options, seed=draft.seed)
    if options.scope == "shard":
        ingest_shards(draft, options, source)
        return
    parts = Parts(draft, source, stop=options.stops_at_bad)
    parts.gather()
    parts.match_columns()
    if parts.reused:
        draft.say(f"{parts.reused} of {len(parts.shards)} shards are as they were and were not read again.")
    links, rejects = _linked(parts)
    pairs = by_row.merge(links)
    repeated = len(links) - len(pairs)
    if isinstance(options, LinkedOptions) and options.marks is not None:
        pairs = by_row.mark(pairs, read_marks(Path(options.marks), parts.items))
    _check(options, parts, pairs, rejects)
    draft.write_table("pairs.parquet", by_row.as_table(pairs))
    draft.write_table("rejects.parquet", reject_table(rejects))
    counts = _counts(options, source, parts, pairs, repeated, len(rejects))
    draft.write_json("counts.json", counts)
    draft.remark(list(picture_remarks(Corpus(draft))))
    wanted = getattr(options, "sample_size", None)
    if wanted and counts["rows"] < wanted:
        draft.say(f"sample_size = {wanted} is more than the data has; all {counts['rows']} rows are used.")
    if rejects:
        draft.say(f"{len(rejects)} of {parts.rows} rows could not be used (rejects.parquet names them); the first: {rejects[0]}")


def _linked(parts: Parts) -> tuple[RowLinks, list[Reject]]:
    """All links by row, those in bad rows left out, and every bad row."""
    links, unknown = by_row.locate(parts.links(), parts.items)
    for reject in unknown:
        parts.refuse(reject)
    contradicting = by_row.contradictions(links, list(parts.items))
    for _, reject in contradicting:
        parts.refuse(reject)
    bad = np.array([link for link, _ in contradicting], dtype=np.int64)
    rejects: dict[Any, Reject] = {}
    for place, reject in enumerate([*parts.rejects(), *unknown, *(reject for _, reject in contradicting)]):
        rejects.setdefault((reject.file, reject.row) if reject.row is not None else place, reject)
    return by_row.without_rows_of(links, bad), list(rejects.values())


def _check(options: IngestOptions, parts: Parts, pairs: RowLinks, rejects: list[Reject]) -> None:
    if not parts.rows:
        raise DataError(f"[ingest] found nothing in {_named(options)}; name a source that has something.")
    if not parts.items and not options.needs_positives:
        none = f"[ingest] could use none of {parts.rows} rows of {_named(options)}; the first: "
        raise DataError(f"{none if len(rejects) > 1 else ''}{rejects[0]}")
    if not options.needs_positives or bool((pairs.label == 1).any()):
        return
    if rejects:
        raise DataError(
            f"[ingest] found no positive pair: {len(rejects)} of {parts.rows} rows could not be used, the first: {rejects[0]}"
        )
    raise DataError(
        f"[ingest] found no positive pair in {parts.rows} rows of {_named(options)}; training needs pairs that are alike."
    )


def _named(options: IngestOptions) -> str:
    return str(getattr(options, "path", None) or getattr(options, "name", None) or options.kind)


def _counts(
    options: IngestOptions, source: Source, parts: Parts, pairs: RowLinks, repeated: int, rejected: int
) -> dict[str, Any]:
    positives = int((pairs.label == 1).sum())
    return {
        "scope": "corpus",
        "grouped": options.grouped,
        "frame": getattr(options, "frame", 0),
        "rows": parts.rows,
        "accepted": parts.rows - rejected,
        "rejected": rejected,
        "items": len(parts.items),
        **parts.roles,
        "pairs": len(pairs),
        "positives": positives,
        "negatives": len(pairs) - positives,
        "repeated_pairs": repeated,
        "splits": {name: int((pairs.split == code).sum()) for code, name in enumerate(SPLITS)},
        "shards": [
            {"name": shard, "items": count, "files": files_of(source, shard)}
            for shard, count in zip(parts.shards, parts.sizes, strict=True)
        ],
    }
