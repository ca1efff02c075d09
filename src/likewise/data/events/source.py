"""Events as a source of items: an event is a shard, a hit an item, a true edge a pair. Read from files, or generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from likewise.data.events.cuts import keep, signal
from likewise.data.events.edges import By, all_pairs, consecutive_edges
from likewise.data.events.event import Event
from likewise.data.events.features import hit_features
from likewise.data.events.generate import generate
from likewise.data.events.reading import EventFiles, event_files, read_files
from likewise.data.options import EventsOptions, GeneratedEventsOptions, HitsOptions
from likewise.data.pairs import safe_name
from likewise.data.sampling import draw
from likewise.errors import DataError
from likewise.types import Float32, Int64, Items, Pairs, Reject

COLUMNS = ("hit_id", "particle", "pt", "particle_eta", "production_radius", "volume", "layer", "module")


class EventsSource:
    """The events of a folder, by name; `sample_size` of them drawn with the seed."""

    Options = EventsOptions

    def __init__(self, options: EventsOptions, seed: int = 0) -> None:
        self._options = options
        self._seed = seed

    def shards(self) -> Sequence[str]:
        """The events' full ids."""
        return list(self._events)

    def files(self, shard: str) -> Sequence[Path]:
        """The event's own files."""
        return list(self._events[shard].files.values())

    def read(self, shard: str) -> Iterator[Items | Pairs[Int64] | Reject]:
        """The event's hits and true edges; a Reject if it cannot be read."""
        files = self._events[shard]
        try:
            event = read_files(files, momentum_unit=self._options.momentum_unit, weight=self._options.weight_column)
            pieces = list(as_items(event, shard, self._options, self._options.step, cells=self._options.cells))
        except DataError as error:
            yield Reject(str(next(iter(files.files.values()))), None, error.reason, error.remedy)
            return
        yield from pieces

    @cached_property
    def _events(self) -> dict[str, EventFiles]:
        options = self._options
        found = {safe_name(event.name): event for event in event_files(Path(options.path), options.prefix)}
        if options.sample_size is None or options.sample_size >= len(found):
            return found
        return {name: found[name] for name in sorted(draw(list(found), options.sample_size, self._seed))}


class GeneratedEventsSource:
    """Generated events: numbered from 0, the same for the same options and seed."""

    Options = GeneratedEventsOptions

    def __init__(self, options: GeneratedEventsOptions, seed: int = 0) -> None:
        self._options = options
        self._seed = seed

    def shards(self) -> Sequence[str]:
        """event000000000, event000000001, …"""
        return [f"event{number:09d}" for number in range(self._options.events)]

    def read(self, shard: str) -> Iterator[Items | Pairs[Int64] | Reject]:
        """The event's hits and true edges."""
        number = int(shard.removeprefix("event"))
        yield from as_items(generate(self._options.generator, number, self._seed), shard, self._options, "path", cells=False)


def as_items(event: Event, shard: str, options: HitsOptions, step: By, *, cells: bool) -> Iterator[Items | Pairs[Int64]]:
    """What is kept of an event, and its true edges: masked (weight 0) where they are not signal."""
    event = keep(event, options.cuts)
    features, _ = hit_features(event, cells)
    columns = {name: getattr(event, name) for name in COLUMNS}
    yield Items(shard, [f"{shard}/{hit}" for hit in event.hit_id.tolist()], features, columns)
    edges = all_pairs(event) if options.edges == "all_pairs" else consecutive_edges(event, step)
    weight = _weights(event, edges, options)
    weight[~signal(event, edges, options.cuts)] = 0
    yield Pairs(edges[0], edges[1], np.ones(edges.shape[1], dtype=np.int8), weight)


def _weights(event: Event, edges: Int64, options: HitsOptions) -> Float32:
    """[E] float32: the smaller weight of both hits, times 1 or by the particle's transverse momentum."""
    weights: Float32 = np.minimum(event.weight[edges[0]], event.weight[edges[1]])
    if options.weight_by == "none":
        return weights
    by_momentum: Float32 = np.clip(event.pt[edges[0]] / max(options.cuts.pt_signal_min, 0.1), 1, options.largest_weight)
    return weights * by_momentum
