"""Everything that is drawn of candidate graphs, by name: on a page, or as files for a paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from likewise.evaluation.binned import BinnedEfficiency
from likewise.evaluation.degrees import Degrees
from likewise.evaluation.radius_scan import RadiusScan
from likewise.figures.drawing import Drawing
from likewise.figures.tracks import efficiency_against, neighbors_histogram, purity_against_efficiency, radius_curves

PROPERTIES = {  # what the axis says, and whether it spans decades
    "pt": ("transverse momentum (GeV)", True),
    "eta": ("pseudorapidity η", False),
    "production_radius": ("production radius (mm)", True),
}


def graph_drawings(
    scans: Mapping[str, RadiusScan],
    binned: Mapping[str, Mapping[str, BinnedEfficiency]],
    degrees: Mapping[str, Degrees],
    *,
    chosen: str,
    radius: float,
    efficiency: float,
) -> Iterator[Drawing]:
    """The figures that there is data for. Systems are called "start", "trained" and "raw"; `binned` is by property and system.

    `radius` is marked on the curves of the system `chosen`, `efficiency` where purities are compared.
    """
    if scans:
        told = "Signal purity against signal efficiency, for each system"
        yield Drawing("purity", purity_against_efficiency(scans, target=efficiency), told)
        told = "Efficiency and purity against the radius, of the model handed over"
        yield Drawing("radius", radius_curves(scans[chosen], radius=radius), told)
    for name, systems in binned.items():
        label, log = PROPERTIES[name]
        drawn = efficiency_against(systems, label, log=log)
        yield Drawing(f"against_{name}", drawn, f"Efficiency against {label}, for each system")
    if degrees:
        yield Drawing("neighbors", neighbors_histogram(degrees), "Neighbours per hit, for each system")
