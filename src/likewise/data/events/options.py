"""What a recipe says about events: the cuts, and the generator. Pydantic only."""

from __future__ import annotations

from pydantic import Field

from likewise.options import Options


class CutOptions(Options):
    """Which particles count as signal (the others are masked, never negatives), and which hits are kept at all."""

    pt_signal_min: float = Field(1.0, ge=0)
    """Signal particles have at least this transverse momentum, in GeV."""
    min_hits: int = Field(3, ge=0)
    """Signal particles have at least so many hits in the event."""
    primaries_only: bool = False
    """Whether signal particles must be primary."""
    keep_noise: bool = True
    """Whether hits of no particle stay in the event."""
    pt_background_min: float = Field(0.0, ge=0)
    """Hits of particles below this transverse momentum, in GeV, are removed from the event."""
    background_min_hits: int = Field(0, ge=0)
    """Hits of particles with fewer hits are removed from the event."""


class GeneratorOptions(Options):
    """A generated event: how many particles, of which kind, and what the detector does to their hits."""

    particles: int = Field(10_000, ge=1, le=1_000_000)
    """Charged particles of the full event, daughters of displaced decays included."""
    wedge: float = Field(1.0, gt=0, le=1)
    """The share of the azimuth that is kept, centered on φ = 0: fewer hits at the local density of the full event."""
    vertices: int = Field(200, ge=1, le=2047)
    """Collisions of the event (pile-up); every particle starts from one of them."""
    beam_spot_width: float = Field(0.015, ge=0)
    """Spread of the vertices across the beam, one standard deviation in mm."""
    beam_spot_length: float = Field(50.0, ge=0)
    """Spread of the vertices along the beam, one standard deviation in mm."""
    pt_min: float = Field(0.2, gt=0)
    """Where the spectrum of the transverse momentum starts, in GeV."""
    pt_max: float = Field(100.0, gt=0)
    """Where it ends, in GeV."""
    pt_power: float = Field(2.5, gt=1)
    """The spectrum falls as pt to the power of minus this."""
    eta_max: float = Field(3.0, gt=0, le=4)
    """The pseudorapidity is flat between minus and plus this."""
    secondaries: float = Field(0.1, ge=0, le=1)
    """The share of particles that come in pairs from displaced decays."""
    noise: float = Field(0.15, ge=0, lt=1)
    """The expected share of hits that belong to no particle, spread evenly over the sensitive area."""
    efficiency: float = Field(0.98, ge=0, le=1)
    """The probability that a crossing of a layer gives a hit."""
    field: float = Field(2.0, gt=0)
    """The magnetic field of the solenoid, in tesla."""
    scattering: bool = True
    """Whether the material of the layers changes the direction of the particles."""
    smearing: bool = True
    """Whether positions are measured with the resolution of their layer, or exactly."""
