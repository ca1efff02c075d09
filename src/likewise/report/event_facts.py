"""What was counted of events before and after training: read, divided, and kept as graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from likewise.artifacts.artifact import Artifact
from likewise.data.split import Division
from likewise.report.content import Facts, Table
from likewise.report.facts import Finished, file_of, rejects
from likewise.report.numbers import amount
from likewise.types import SPLITS

EVENTS = 40  # rows of the table of events
COUNTED = {
    "events": "accepted",
    "events rejected": "rejected",
    "hits": "items",
    "true edges": "pairs",
    "signal edges": "positives",
}


def has_events(finished: Finished) -> bool:
    """Whether a shard of this run is an event, whose items are hits."""
    read = file_of(finished, "ingest", "counts.json")
    return read is not None and read.json("counts.json").get("scope") == "shard"


def without_validation(finished: Finished) -> bool:
    """Whether the training events chose the checkpoint, because no event was set aside for that."""
    split = file_of(finished, "split", "leakage.json")
    return has_events(finished) and (split is None or not split.json("leakage.json")["validation"]["units"])


def event_facts(finished: Finished) -> Iterator[Facts]:
    """What was read, how events were divided, and which graphs are kept."""
    read = finished["ingest"]
    counts = read.json("counts.json")
    yield Facts("What was read", tuple((name, f"{counts[key]:,}") for name, key in COUNTED.items()), rejects(read))
    split = file_of(finished, "split", "leakage.json")
    if split is not None:
        parts = split.json("leakage.json")
        rows = [(name, f"{parts[name]['units']:,}", f"{parts[name]['items']:,}") for name in SPLITS if name in parts]
        yield Facts("Split by event", (), (("", Table(("split", "events", "hits"), rows, len(rows))),))
    kept = file_of(finished, "graph", "graphs.json")
    if kept is not None:
        yield _kept(kept.json("graphs.json"))


def event_table(finished: Finished) -> Table | None:
    """Every event's counts: its hits, true and signal edges, and the edges of the graph that is kept."""
    if not has_events(finished):
        return None
    shards = finished["ingest"].json("counts.json")["shards"]
    splits = _splits(file_of(finished, "split", "shards.npy"))
    kept = file_of(finished, "graph", "graphs.json")
    edges = {event["event"]: f"{event['edges']:,}" for event in kept.json("graphs.json")["events"]} if kept else {}
    rows = []
    for number, shard in enumerate(shards[:EVENTS]):
        counts = [f"{shard[key]:,}" for key in ("items", "pairs", "positives")]
        rows.append((shard["name"], splits.get(number, "–"), *counts, edges.get(shard["name"], "–")))
    return Table(("event", "split", "hits", "true edges", "signal edges", "edges of its graph"), rows, len(shards))


def _splits(split: Artifact | None) -> dict[int, str]:
    """The split of each event by its number."""
    if split is None:
        return {}
    division = Division(split)
    return {int(number): name for name in SPLITS for number in division.shards(name)}


def _kept(graphs: Mapping[str, Any]) -> Facts:
    events: Sequence[Mapping[str, Any]] = graphs["events"]
    most = graphs["max_neighbors"]
    limit = "all within the radius" if most is None else f"the nearest {most:,}"
    rows = []
    for split in SPLITS:
        some = [event for event in events if event["split"] == split]
        if some:
            hits, edges, cut = (sum(event[key] for event in some) for key in ("hits", "edges", "cut"))
            rows.append((split, f"{len(some):,}", f"{edges:,}", amount(2 * edges / max(hits, 1)), f"{cut:,}"))
    columns = ("split", "graphs", "edges", "edges per hit", "hits cut")
    numbers = (("graphs", f"{len(events):,}"), ("radius", f"{graphs['radius']:.4g}"), ("neighbours joined", limit))
    return Facts("Graphs kept", numbers, (("", Table(columns, rows, len(rows))),))
