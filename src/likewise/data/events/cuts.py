"""Cuts: which true pairs count, and which hits stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.event import Event
from likewise.data.events.options import CutOptions
from likewise.types import Int64


def signal_hits(event: Event, cuts: CutOptions) -> NDArray[np.bool_]:
    """Whether each hit [n] is of a particle that counts as signal."""
    chosen: NDArray[np.bool_] = (
        (event.particle != 0) & (event.pt >= cuts.pt_signal_min) & (event.hits_of_particle >= cuts.min_hits)
    )
    return chosen & (event.primary | (not cuts.primaries_only))


def signal(event: Event, edges: Int64, cuts: CutOptions) -> NDArray[np.bool_]:
    """Whether each edge of [2, E] joins two hits of one signal particle. True pairs that do not are to be masked."""
    inner, outer = edges
    chosen: NDArray[np.bool_] = signal_hits(event, cuts)[inner] & (event.particle[inner] == event.particle[outer])
    return chosen


def keep(event: Event, cuts: CutOptions) -> Event:
    """The event without the hits that the background cuts remove.

    Cuts remove all hits of a particle or none, so the true edges of what is left are those of the whole event between its
    hits, at their new positions: compute edges afterwards.
    """
    noise = event.particle == 0
    background = (event.pt >= cuts.pt_background_min) & (event.hits_of_particle >= cuts.background_min_hits)
    kept = np.where(noise, cuts.keep_noise, background)
    return event if kept.all() else event.take(np.flatnonzero(kept))
