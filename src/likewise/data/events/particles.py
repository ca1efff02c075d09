"""The particles of a generated event: primaries from the vertices, and pairs from displaced decays."""

from __future__ import annotations

import numpy as np

from likewise.data.events.options import GeneratorOptions
from likewise.data.events.scattering import PION_MASS
from likewise.data.events.truth import Particles
from likewise.types import Float64, Int64

KAON_MASS = 0.49761  # GeV, of the neutral kaon whose short-lived state decays into two charged pions
KAON_FLIGHT = 26.84  # mm: its lifetime times the speed of light


def draw_particles(options: GeneratorOptions, random: np.random.Generator) -> Particles:
    """All particles of an event, where they were made. Ids encode vertex, number and generation as TrackML's do."""
    vertices = _draw_vertices(options, random)
    pairs = round(options.particles * options.secondaries / 2)
    primaries = options.particles - 2 * pairs
    vertex = random.integers(len(vertices), size=primaries + pairs)  # a displaced decay's parent comes from one, too
    number = _number_within(vertex)
    momentum = _draw_momenta(options, primaries, options.pt_min, random)
    parents = _draw_momenta(options, pairs, 2 * options.pt_min, random)  # each daughter has about half of it
    decay = vertices[vertex[primaries:]] + _flight(parents, random)
    first = _decay(parents, random)
    charge = random.choice(np.array([-1, 1], dtype=np.int8), size=primaries + pairs)
    ids = ((vertex + 1) << 52) | (number << 36)
    daughters = ids[primaries:] | (1 << 24)
    return Particles(
        id=np.concatenate([ids[:primaries], daughters | (1 << 12), daughters | (2 << 12)]),
        vertex=np.concatenate([vertices[vertex[:primaries]], decay, decay]),
        momentum=np.concatenate([momentum, first, parents - first]),
        charge=np.concatenate([charge, -charge[primaries:]]),
        primary=np.arange(options.particles) < primaries,
    )


def draw_pt(options: GeneratorOptions, count: int, lowest: float, random: np.random.Generator) -> Float64:
    """Transverse momenta [count] in GeV from a power law between `lowest` and `pt_max`, by inverting its integral."""
    power = 1 - options.pt_power
    low, high = lowest**power, max(options.pt_max, lowest) ** power
    drawn: Float64 = (low + random.random(count) * (high - low)) ** (1 / power)
    return drawn


def _draw_vertices(options: GeneratorOptions, random: np.random.Generator) -> Float64:
    spread = [options.beam_spot_width, options.beam_spot_width, options.beam_spot_length]
    return random.standard_normal((options.vertices, 3)) * spread


def _draw_momenta(options: GeneratorOptions, count: int, lowest: float, random: np.random.Generator) -> Float64:
    pt = draw_pt(options, count, lowest, random)
    phi = random.uniform(-np.pi, np.pi, count)
    eta = random.uniform(-options.eta_max, options.eta_max, count)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)


def _number_within(vertex: Int64) -> Int64:
    """The number of each particle, from 1, among those of its vertex."""
    order = np.argsort(vertex, kind="stable")
    starts = np.searchsorted(vertex[order], vertex)
    number = np.empty(len(vertex), dtype=np.int64)
    number[order] = np.arange(1, len(vertex) + 1)
    return number - starts


def _flight(parents: Float64, random: np.random.Generator) -> Float64:
    """How far neutral kaons fly before they decay [K, 3], in mm: their flight length grows with momentum over mass."""
    return parents / KAON_MASS * KAON_FLIGHT * random.standard_exponential((len(parents), 1))


def _decay(parents: Float64, random: np.random.Generator) -> Float64:
    """The momentum of one of the two pions [K, 3]: any direction in the kaon's frame, then boosted along its flight."""
    cosine, azimuth = random.uniform(-1, 1, len(parents)), random.uniform(-np.pi, np.pi, len(parents))
    sine = np.sqrt(1 - cosine**2)
    size = np.sqrt(KAON_MASS**2 / 4 - PION_MASS**2)
    rest = size * np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1)
    energy = np.sqrt((parents**2).sum(axis=1) + KAON_MASS**2)
    along = (rest * parents).sum(axis=1) / (KAON_MASS * (energy + KAON_MASS)) + 0.5  # half the kaon's energy is this pion's
    daughter: Float64 = rest + along[:, None] * parents
    return daughter
