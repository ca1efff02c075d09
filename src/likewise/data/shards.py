"""Ingest where evidence stays within a shard: each shard is read, written and forgotten before the next.

    items-00000.parquet …   id, features (a list of float32 of one length), shard, and the source's own columns
    pairs-00000.parquet …   a, b (positions among the shard's items), label, weight; sorted, each pair once
    parts/, rejects.parquet, counts.json   as where evidence may join shards

In memory is one shard. A shard that cannot be read is rejected whole: it stays in the list, with no items.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from likewise.artifacts.draft import Draft
from likewise.data.corpus import items_file, pairs_file
from likewise.data.earlier import earlier_number, files_of, take_over
from likewise.data.evidence import merged_pairs
from likewise.data.options import IngestOptions
from likewise.data.part_files import part_file, refuse, reject_table
from likewise.data.payloads import FEATURES
from likewise.errors import DataError
from likewise.types import Int64, Items, Pairs, Reject, Remark, Source, Withdrawn

NO_PAIRS: Pairs[Int64] = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.float32))
NO_ITEMS = pa.table({"id": pa.array([], pa.string()), "shard": pa.array([], pa.string())})
KINDS = ("tally", "rejects", "pairs", "items")  # the items last: they say that all are whole


@dataclass(slots=True)
class _Shard:
    """What was read of one shard so far."""

    name: str
    items: list[Items] = field(default_factory=list)
    pairs: list[Pairs[Int64]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(piece) for piece in self.items)


def ingest_shards(draft: Draft, options: IngestOptions, source: Source) -> None:
    """Read every shard of the source; one that an earlier attempt or run has read is not read again.

    DataError where a shard cannot be read under `on_bad = "stop"`, for pairs of items that are not there, for an id twice in one
    shard, and where no shard is left.
    """
    shards, reused = source.shards(), 0
    entries: list[dict[str, Any]] = []
    for number, name in enumerate(shards):
        if not draft.has(items_file(number)):
            old = earlier_number(draft, source, name)
            if old is None:
                read = _read(source, name, stop=options.stops_at_bad)
                _write(draft, number, read)
                for sentence in read.remarks:
                    draft.say(sentence)
            else:
                take_over(draft, {_file(kind, number): _file(kind, old) for kind in KINDS})
                reused += 1
        entries.append({"name": name, "files": files_of(source, name), **draft.json(part_file("tally", number))})
        draft.progress(number + 1, len(shards), f"{name}: {entries[-1]['items']:,} items")
    if reused:
        draft.say(f"{reused} of {len(shards)} shards are as they were and were not read again.")
    rejects = [Reject(**row) for number in range(len(shards)) for row in draft.table(part_file("rejects", number)).to_pylist()]
    counts = _counts(entries, len(rejects))
    _check(options, counts, rejects)
    draft.write_table("rejects.parquet", reject_table(rejects))
    draft.write_json("counts.json", counts)
    if rejects:
        draft.say(
            f"{len(rejects)} of {len(shards)} shards could not be used (rejects.parquet names them); the first: {rejects[0]}"
        )


def _read(source: Source, name: str, *, stop: bool) -> _Shard:
    shard = _Shard(name)
    for piece in source.read(name):
        match piece:
            case Items():
                shard.items.append(piece)
            case Pairs():
                shard.pairs.append(piece)
            case Reject():
                refuse(piece, stop=stop)
                shard.rejects.append(piece)
            case Withdrawn():
                refuse(piece.reject, stop=stop)
                shard = _Shard(name, rejects=[piece.reject])
            case Remark():
                shard.remarks.append(piece.sentence)
            case _:
                raise DataError(f"A source of scope shard gave {type(piece).__name__} in {name}; give its evidence as Pairs.")
    return shard


def _write(draft: Draft, number: int, shard: _Shard) -> None:
    pairs = _distinct(shard)
    positives = int(((pairs.label == 1) & (pairs.weight > 0)).sum())
    tally = {"items": len(shard), "pairs": len(pairs), "positives": positives, "rejected": int(bool(shard.rejects))}
    columns = {"a": pairs.a, "b": pairs.b, "label": pairs.label, "weight": pairs.weight}
    draft.write_json(_file("tally", number), tally)
    draft.write_table(_file("rejects", number), reject_table(shard.rejects))
    draft.write_table(_file("pairs", number), pa.table(columns))
    with draft.write(_file("items", number)) as path:
        pq.write_table(_items_table(shard), path, compression="zstd", write_page_checksum=True)


def _items_table(shard: _Shard) -> pa.Table:
    pieces = [_as_table(piece) for piece in shard.items]
    table = pa.concat_tables(pieces) if pieces else NO_ITEMS
    if len(set(table["id"].to_pylist())) < len(table):
        raise DataError(f"An id stands for two items of {shard.name}; give each item of a shard an id of its own.")
    return table


def _as_table(piece: Items) -> pa.Table:
    features = np.ascontiguousarray(piece.payload, dtype=np.float32)
    assert features.ndim == 2, "the payload of a shard's items is a matrix of features [n, F]"
    columns: dict[str, Any] = {
        "id": pa.array(list(piece.ids), pa.string()),
        FEATURES: pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1]),
        "shard": pa.array([piece.shard] * len(piece), pa.string()),
    }
    return pa.table(columns | {name: pa.array(np.asarray(piece.columns[name])) for name in sorted(piece.columns)})


def _distinct(shard: _Shard) -> Pairs[Int64]:
    """Each pair once, the smaller position first, sorted; masked where those given contradict each other or one is masked."""
    a, b, label, weight = (
        np.concatenate([getattr(piece, name) for piece in (NO_PAIRS, *shard.pairs)]) for name in ("a", "b", "label", "weight")
    )
    count = len(shard)
    if len(a) and not (min(a.min(), b.min()) >= 0 and max(a.max(), b.max()) < count):
        raise DataError(f"A pair of {shard.name} names a position outside its {count:,} items; mend the reader.")
    merged = merged_pairs(np.minimum(a, b), np.maximum(a, b), label == 1, weight.astype(np.float32), count)
    pairs: Pairs[Int64] = Pairs(*merged)
    return pairs


def _file(kind: str, number: int) -> str:
    return pairs_file(number) if kind == "pairs" else part_file(kind, number)


def _check(options: IngestOptions, counts: dict[str, Any], rejects: list[Reject]) -> None:
    if not counts["items"]:
        because = f": {rejects[0]}" if rejects else "; name a source that has some."
        raise DataError(f"[ingest] found no items{because}")
    if options.needs_positives and not counts["positives"]:
        sentence = f"[ingest] found no positive pair among {counts['items']:,} items"
        raise DataError(f"{sentence}; bring the truth beside the hits, or loosen [ingest.cuts].")


def _counts(entries: list[dict[str, Any]], rejected: int) -> dict[str, Any]:
    def total(name: str) -> int:
        return sum(entry[name] for entry in entries)

    return {
        "scope": "shard",
        "rows": len(entries),
        "accepted": len(entries) - rejected,
        "rejected": rejected,
        "items": total("items"),
        "queries": 0,
        "documents": total("items"),
        "pairs": total("pairs"),
        "positives": total("positives"),
        "negatives": 0,
        "shards": entries,
    }
