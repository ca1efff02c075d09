"""Numbers and tables of a stage's files, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from likewise.artifacts.artifact import Artifact
from likewise.report.content import Facts, Table
from likewise.report.numbers import shortened, value, words

Finished = Mapping[str, Artifact]

ROWS = 10  # of a table that is a sample of a longer one
COUNTS = {
    "ingest": ("counts.json", "What was read"),
    "fingerprint": ("counts.json", "Near-duplicates"),
    "split": ("leakage.json", "Split and leakage"),
    "mine": ("mining.json", "Negatives mined"),
}
FIRST = (  # files keep their keys in the order of the alphabet; people read these first
    "rows", "accepted", "rejected", "items", "queries", "documents", "anchors", "pairs", "positives", "negatives",
    "units", "train", "validation", "test", "candidates", "removed", "passed", "chosen",
)  # fmt: skip


def file_of(finished: Finished, stage: str, name: str) -> Artifact | None:
    """The stage's artifact, if it ran and left this file."""
    artifact = finished.get(stage)
    return artifact if artifact is not None and artifact.has(name) else None


def stage_facts(finished: Finished) -> Iterator[Facts]:
    """What each stage before training counted."""
    for stage, (name, title) in COUNTS.items():
        artifact = file_of(finished, stage, name)
        if artifact is None:
            continue
        found = facts(title, artifact.json(name), leave=("shards",))
        yield Facts(found.title, found.numbers, (*found.tables, *rejects(artifact)))


def rejects(artifact: Artifact) -> tuple[tuple[str, Table], ...]:
    """The table of what was rejected; none where nothing was."""
    if not artifact.has("rejects.parquet"):
        return ()
    found = artifact.table("rejects.parquet")
    return (("Rejected", table(found.slice(0, ROWS).to_pylist(), len(found))),) if len(found) else ()


def facts(title: str, thing: Mapping[str, Any], leave: Sequence[str] = ()) -> Facts:
    """A JSON object as named numbers (nested ones named by their path) and tables (lists of objects)."""
    numbers: list[tuple[str, str]] = []
    tables: list[tuple[str, Table]] = []

    def walk(prefix: str, part: Mapping[str, Any]) -> None:
        for key, item in sorted(part.items(), key=lambda entry: FIRST.index(entry[0]) if entry[0] in FIRST else len(FIRST)):
            name = f"{prefix} {words(str(key))}".strip()
            if key in leave:
                continue
            if isinstance(item, Mapping):
                walk(f"{name}:" if not prefix else name, item)
            elif isinstance(item, list) and item and all(isinstance(line, Mapping) for line in item):
                tables.append((name, table(item[:ROWS], len(item))))
            else:
                numbers.append((name, value(item)))

    walk("", thing)
    return Facts(title, tuple(numbers), tuple(tables))


def table(rows: Sequence[Mapping[str, Any]], total: int) -> Table:
    """Rows of a longer table of `total`, their keys the columns."""
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    shown = tuple(tuple(shortened(value(row.get(column)), 160) for column in columns) for row in rows)
    return Table(tuple(words(column) for column in columns), shown, total)
