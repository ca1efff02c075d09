"""The figures of a run on events, by name, as SVG; those without data are absent."""

from __future__ import annotations

from collections.abc import Iterator

from likewise.figures.event_display import event_display
from likewise.figures.style import svg
from likewise.figures.tracks import efficiency_against, neighbors_histogram, purity_against_efficiency, radius_curves
from likewise.report.graph_content import Graphs

PROPERTIES = {  # what the axis says, and whether it spans decades
    "pt": ("transverse momentum (GeV)", True),
    "eta": ("pseudorapidity η", False),
    "production_radius": ("production radius (mm)", True),
}


def graph_figures(graphs: Graphs) -> Iterator[tuple[str, str]]:
    """Each figure's name and its SVG."""
    if graphs.scans:
        purity = purity_against_efficiency(graphs.scans, target=graphs.efficiency)
        yield "purity", svg(purity, "Signal purity against signal efficiency, for each system")
        curves = radius_curves(graphs.scans[graphs.handed_over], radius=graphs.radius)
        yield "radius", svg(curves, "Efficiency and purity against the radius, of the model handed over")
    for name, systems in graphs.binned.items():
        label, log = PROPERTIES[name]
        yield f"against_{name}", svg(efficiency_against(systems, label, log=log), f"Efficiency against {label}, before and after")
    if graphs.display is not None:
        yield "neighbors", svg(neighbors_histogram(graphs.display.degrees), "Neighbours per hit, for each system")
        described = "An event in the transverse plane and from the side, and the edges of one particle before and after training"
        yield "event", svg(event_display(graphs.display.hits, graphs.display.edges), described)
