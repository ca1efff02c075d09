"""True edges: which pairs of hits belong together. Edges are [2, E] int64 positions in the event, from inside outward.

Consecutive hits make the edges that a track is built of, as in Exa.TrkX (Ju et al., arXiv:2103.06995): a particle's hits are
ordered along its path, and every hit is joined to the next. Where modules overlap, a particle leaves several hits at one
place: these count as one step of the path, and every hit of a step is joined to every hit of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.event import Event
from likewise.data.events.ragged import within_runs
from likewise.errors import DataError
from likewise.types import Int64

By = Literal["path", "layer", "module"]
_PLACES = {"path": ("path",), "layer": ("volume", "layer"), "module": ("volume", "layer", "module")}


def consecutive_edges(event: Event, by: By = "module") -> Int64:
    """Edges between consecutive steps of each particle.

    `by` says which hits of a particle are one step: "path" those at the same place of its path; "layer" all its hits on one
    layer; "module" all its hits on one module. Steps are ordered by their first hit. DataError where layers or modules are
    asked and not known.
    """
    order = path_order(event)
    places = [getattr(event, name)[order] for name in _PLACES[by]]
    if by != "path" and any((place < 0).any() for place in places):
        raise DataError(f'{event.name} does not know the {by} of every hit; use true edges by "path".')
    along, starts = _steps([event.particle[order], *places])
    return _joined(event, order[along], starts)


def all_pairs(event: Event) -> Int64:
    """Every pair of hits of one particle once."""
    order = path_order(event)
    particle = event.particle[order]
    last = np.searchsorted(particle, particle, side="right")
    later = last - np.arange(len(order)) - 1  # hits of the same particle that follow
    inner = np.repeat(np.arange(len(order)), later)
    return np.stack([order[inner], order[inner + 1 + within_runs(later)]])


def path_order(event: Event) -> Int64:
    """The hits of all particles [m], sorted by particle and along each path; equal places by hit id. Noise is left out."""
    rows = np.flatnonzero(event.particle)
    order: Int64 = np.lexsort((event.hit_id[rows], event.path[rows], event.particle[rows]))
    return rows[order]


def _steps(keys: Sequence[NDArray[Any]]) -> tuple[Int64, Int64]:
    """For hits along paths [m] with the keys of their groups: their order by step, and where each step starts in it."""
    grouped = np.lexsort((np.arange(len(keys[0])), *reversed(keys)))  # within a group, along the path
    new = _changes([key[grouped] for key in keys])
    first = grouped[np.flatnonzero(new)][np.cumsum(new) - 1]  # where, along the path, the group of each hit begins
    along = np.lexsort((grouped, first))
    return grouped[along], np.flatnonzero(_changes([first[along]]))


def _changes(keys: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Whether one of the keys [m] differs from that before; the first does."""
    new = np.zeros(len(keys[0]), dtype=bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return new


def _joined(event: Event, order: Int64, starts: Int64) -> Int64:
    """Every hit of a step with every hit of the next step of the same particle."""
    sizes = np.diff(starts, append=len(order))
    particle = event.particle[order[starts]]
    here = np.flatnonzero(particle[1:] == particle[:-1])
    pairs = sizes[here] * sizes[here + 1]
    step = np.repeat(here, pairs)
    number = within_runs(pairs)
    inner = starts[step] + number // sizes[step + 1]
    outer = starts[step + 1] + number % sizes[step + 1]
    return np.stack([order[inner], order[outer]])
