"""Generated events: particles in a solenoid, their hits in a detector like TrackML's, and noise.

The same options, number and seed give the same bytes, whichever other events are generated. A wedge holds exactly those hits of
particles that the full event of the same number has there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.data.events.detector import DETECTOR, Layers
from likewise.data.events.event import Event, make_event
from likewise.data.events.measurement import draw_noise, smeared
from likewise.data.events.options import GeneratorOptions
from likewise.data.events.particles import draw_particles
from likewise.data.events.propagation import Crossings, propagate
from likewise.data.events.truth import Particles, truth_columns
from likewise.data.events.wedge import in_wedge, may_reach
from likewise.types import Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A generated event of n hits and P particles, and what only a simulation knows of them; float64, mm and GeV."""

    event: Event
    particles: Particles
    """All of them, those without hits included."""
    position: Float64
    """[n, 3]: measured, as in the event but not rounded to float32."""
    true_position: Float64
    """[n, 3]: where the particle crossed the layer; of noise, as measured."""
    true_momentum: Float64
    """[n, 3]: of the particle there; of noise, zero."""
    turning: Float64
    """[n]: the angle in radians that the particle has turned since it was made; of noise, zero."""


def generate(options: GeneratorOptions, number: int, seed: int) -> Event:
    """The event `number` of those that `seed` gives."""
    return simulate(options, number, seed).event


def simulate(options: GeneratorOptions, number: int, seed: int, layers: Layers = DETECTOR) -> Simulation:
    """The same event, with all that is known of it."""
    for_particles, for_crossings, for_noise = (np.random.default_rng([seed, number, stream]) for stream in range(3))
    particles = draw_particles(options, for_particles)
    followed = np.flatnonzero(_may_be_seen(particles, options, layers))
    crossings = propagate(particles, layers, options, for_crossings, followed)
    position = smeared(crossings, layers) if options.smearing else crossings.position
    seen = (crossings.luck < options.efficiency) & in_wedge(_azimuth(position), options.wedge)
    noise = for_noise.poisson(np.count_nonzero(seen) * options.noise / (1 - options.noise))
    noise_layer, noise_position = draw_noise(noise, layers, options.wedge, for_noise)
    layer = np.concatenate([crossings.layer[seen], noise_layer])
    measured = np.concatenate([position[seen], noise_position])
    order = _reading_order(layers, layer, measured)
    truth = _with_noise(crossings, seen, noise_position)
    return _simulation(f"event{number:09d}", layers, particles, layer[order], measured[order], [part[order] for part in truth])


def _may_be_seen(particles: Particles, options: GeneratorOptions, layers: Layers) -> NDArray[np.bool_]:
    if options.wedge == 1:
        return np.ones(len(particles), dtype=bool)
    return may_reach(particles, options.wedge, options.field, layers.outer_radius)


def _azimuth(position: Float64) -> Float64:
    return np.arctan2(position[:, 1], position[:, 0])


def _reading_order(layers: Layers, layer: Int64, position: Float64) -> Int64:
    """Hits by volume, layer and azimuth, as a detector is read out: the order tells nothing of particles."""
    order: Int64 = np.lexsort((position[:, 2], _azimuth(position), layers.layer[layer], layers.volume[layer]))
    return order


def _with_noise(crossings: Crossings, seen: NDArray[np.bool_], noise_position: Float64) -> list[Float64]:
    """Of the hits seen and then of noise: the row of the particle (-1), the true position, momentum and turning angle."""
    noise = len(noise_position)
    return [
        np.concatenate([crossings.particle[seen], np.full(noise, -1)]),
        np.concatenate([crossings.position[seen], noise_position]),
        np.concatenate([crossings.momentum[seen], np.zeros((noise, 3))]),
        np.concatenate([crossings.turning[seen], np.zeros(noise)]),
    ]


def _simulation(
    name: str, layers: Layers, particles: Particles, layer: Int64, measured: Float64, truth: list[Float64]
) -> Simulation:
    row, true_position, true_momentum, turning = truth
    particle = np.where(row >= 0, particles.id[row], 0)
    along = np.where(layers.barrel[layer], measured[:, 2], np.hypot(measured[:, 0], measured[:, 1]))
    columns = truth_columns(particle, true_position, particles, file=name)
    columns |= dict(zip("xyz", measured.T, strict=True))
    columns |= {"hit_id": np.arange(1, len(layer) + 1), "volume": layers.volume[layer], "layer": layers.layer[layer]}
    columns["module"] = layers.module(layer, _azimuth(measured), along)
    return Simulation(make_event(name, columns, file=name), particles, measured, true_position, true_momentum, turning)
