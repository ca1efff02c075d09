"""Particles through the detector, layer by layer: every crossing, with the direction changed by each.

Each particle is followed for at most half a turn, or until it leaves: curling on, it would meet the same layers again and again.
Energy loss and interactions with nuclei are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from likewise.data.events.detector import Layers
from likewise.data.events.helix import MM_PER_GEV_TESLA, Helices
from likewise.data.events.options import GeneratorOptions
from likewise.data.events.scattering import deflect, highland_width
from likewise.data.events.truth import Particles
from likewise.types import Float64, Int64

STEEPEST = 0.05  # the least cosine of incidence that counts: a sensor crossed at a smaller one is not a thousand times as thick


@dataclass(frozen=True, slots=True, eq=False)
class Crossings:
    """Crossings of particles with layers: M of them."""

    particle: Int64
    """[M]: rows among the particles."""
    layer: Int64
    """[M]: rows among the layers."""
    position: Float64
    """[M, 3]: where, in mm."""
    momentum: Float64
    """[M, 3]: before the layer scatters, in GeV."""
    turning: Float64
    """[M]: the angle turned since the particle was made."""
    deviation: Float64
    """[M, 2]: standard normal numbers for the errors of measurement, across and along."""
    luck: Float64
    """[M]: a uniform number in [0, 1) that decides whether the layer sees the particle."""


def propagate(
    particles: Particles, layers: Layers, options: GeneratorOptions, random: np.random.Generator, followed: Int64
) -> Crossings:
    """All crossings of the particles in rows `followed` with the layers.

    Chance is drawn for all particles, followed or not: what happens to one does not depend on which others are followed.
    """
    steps = list(_steps(particles, layers, options, random, followed))
    return Crossings(*(np.concatenate([getattr(step, field.name) for step in steps]) for field in fields(Crossings)))


def _steps(
    particles: Particles, layers: Layers, options: GeneratorOptions, random: np.random.Generator, followed: Int64
) -> Iterator[Crossings]:
    """The next crossing of every particle that has one, until none has; the last is empty."""
    size = np.linalg.norm(particles.momentum, axis=1)
    helices = start_helices(particles, options.field)
    rows, turned = followed, np.zeros(len(followed))
    helices = _take(helices, rows)
    while True:
        t, layer = next_crossing(helices, layers)
        going = turned + t <= np.pi
        rows, t, layer, turned = rows[going], t[going], layer[going], turned[going] + t[going]
        chance = random.standard_normal((len(particles), 4))[rows]
        luck = random.random(len(particles))[rows]
        helices = _moved(_take(helices, np.flatnonzero(going)), t)
        momentum = _momentum(helices, size[rows])
        position = np.stack([helices.x, helices.y, helices.z], axis=1)
        yield Crossings(rows, layer, position, momentum, turned, chance[:, 2:], luck)
        if len(rows) == 0:
            return
        if options.scattering:
            helices = _scattered(helices, layers, layer, size[rows], options.field, chance[:, :2])


def start_helices(particles: Particles, field: float) -> Helices:
    """The helices on which particles start, in a field of so many tesla along +z."""
    x, y, z = particles.vertex.T
    px, py, pz = particles.momentum.T
    pt = particles.pt
    return Helices(
        x=x,
        y=y,
        z=z,
        phi=np.arctan2(py, px),
        radius=pt * MM_PER_GEV_TESLA / field,
        slope=pz / pt,
        sense=-particles.charge.astype(np.float64),
    )


def next_crossing(helices: Helices, layers: Layers) -> tuple[Float64, Int64]:
    """The turning angle to the first layer that each helix meets within its bounds [N], and that layer; inf for none."""
    t = np.full((len(helices.x), len(layers)), np.inf)
    barrel = np.flatnonzero(layers.barrel)
    for crossing in helices.to_cylinders(layers.place[barrel]):
        z = helices.z[:, None] + (helices.radius * helices.slope)[:, None] * np.where(np.isfinite(crossing), crossing, 0.0)
        inside = (z >= layers.low[barrel]) & (z <= layers.high[barrel])
        t[:, barrel] = np.minimum(t[:, barrel], np.where(inside, crossing, np.inf))
    discs = np.flatnonzero(~layers.barrel)
    crossing = helices.to_planes(layers.place[discs])
    r = helices.distance_from_beam(np.where(np.isfinite(crossing), crossing, 0.0))
    inside = (r >= layers.low[discs]) & (r <= layers.high[discs])
    t[:, discs] = np.where(inside, crossing, np.inf)
    first = np.argmin(t, axis=1)
    return t[np.arange(len(t)), first], first


def _take(helices: Helices, rows: Int64) -> Helices:
    return Helices(*(getattr(helices, field.name)[rows] for field in fields(Helices)))


def _moved(helices: Helices, t: Float64) -> Helices:
    x, y, z, phi = helices.at(t)
    return Helices(x, y, z, phi, helices.radius, helices.slope, helices.sense)


def _momentum(helices: Helices, size: Float64) -> Float64:
    pt = size / np.hypot(1, helices.slope)
    return np.stack([pt * np.cos(helices.phi), pt * np.sin(helices.phi), pt * helices.slope], axis=1)


def _scattered(helices: Helices, layers: Layers, layer: Int64, size: Float64, field: float, normal: Float64) -> Helices:
    """The helices after the material of the layers on which they stand, with `normal` [N, 2] to scale by Highland's width."""
    direction = _momentum(helices, np.ones(len(size)))
    r = np.hypot(helices.x, helices.y)
    outward = (direction[:, 0] * helices.x + direction[:, 1] * helices.y) / r
    cosine = np.abs(np.where(layers.barrel[layer], outward, direction[:, 2]))
    width = highland_width(size, layers.thickness[layer] / np.maximum(cosine, STEEPEST))
    phi, slope = deflect(helices.phi, helices.slope, normal * width[:, None])
    radius = size / np.hypot(1, slope) * MM_PER_GEV_TESLA / field
    return Helices(helices.x, helices.y, helices.z, phi, radius, slope, helices.sense)
