"""Small corpora for tests, written as ingest writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from likewise.data.corpus import Corpus, items_file
from likewise.testing.artifacts import draft, publish
from likewise.types import SPLITS, SplitName

TextPair = tuple[str, str] | tuple[str, str, int]


def small_corpus(
    folder: Path, pairs: Sequence[TextPair], splits: Sequence[SplitName | None] | None = None, *, shards: int = 1
) -> Corpus:
    """A corpus of (query, document) or (query, document, label) pairs, in their order; equal texts of one role are one item.

    `splits` gives each pair's own split, None where it has none. Ids are "q0", "q1", … and "d0", "d1", …; the items are
    cut into `shards` shards of about equal size.
    """
    rows: dict[tuple[str, str], int] = {}
    links: dict[tuple[int, int], tuple[int, int]] = {}
    for place, (query, document, *label) in enumerate(pairs):
        a = rows.setdefault(("query", query), len(rows))
        b = rows.setdefault(("document", document), len(rows))
        split = splits[place] if splits else None
        links[a, b] = (label[0] if label else 1, SPLITS.index(split) if split else -1)
    artifact = draft(folder, "ingest")
    counts: list[dict[str, str | int]] = []
    names = _names([role for role, _ in rows])
    for number in range(shards):
        part = slice(len(rows) * number // shards, len(rows) * (number + 1) // shards)
        texts = list(rows)[part]
        shard = f"shard-{number}"
        table = {
            "id": names[part],
            "text": [text for _, text in texts],
            "role": [role for role, _ in texts],
            "shard": [shard] * len(texts),
        }
        artifact.write_table(items_file(number), pa.table(table))
        counts.append({"name": shard, "items": len(texts)})
    artifact.write_table(
        "pairs.parquet",
        pa.table(
            {
                "a": pa.array([a for a, _ in links], pa.int64()),
                "b": pa.array([b for _, b in links], pa.int64()),
                "label": pa.array([label for label, _ in links.values()], pa.int8()),
                "weight": pa.array([1.0] * len(links), pa.float32()),
                "split": pa.array([split for _, split in links.values()], pa.int8()),
            }
        ),
    )
    artifact.write_json("counts.json", {"shards": counts})
    return Corpus(publish(artifact))


def _names(roles: Sequence[str]) -> list[str]:
    counts = {"query": 0, "document": 0}
    names = []
    for role in roles:
        names.append(f"{role[0]}{counts[role]}")
        counts[role] += 1
    return names


def grouped_corpus(folder: Path, groups: Sequence[str | None]) -> Corpus:
    """A corpus of texts "item 0", "item 1", …, each in the group given, or in none."""
    artifact = draft(folder, "ingest")
    count = len(groups)
    columns = {
        "id": [f"i{row}" for row in range(count)],
        "text": [f"item {row}" for row in range(count)],
        "role": ["document"] * count,
        "shard": ["all"] * count,
        "group": pa.array(groups, pa.string()),
    }
    artifact.write_table(items_file(0), pa.table(columns))
    types = {"a": pa.int64(), "b": pa.int64(), "label": pa.int8(), "weight": pa.float32(), "split": pa.int8()}
    artifact.write_table("pairs.parquet", pa.table({name: pa.array([], kind) for name, kind in types.items()}))
    artifact.write_json("counts.json", {"scope": "corpus", "grouped": True, "shards": [{"name": "all", "items": count}]})
    return Corpus(publish(artifact))
