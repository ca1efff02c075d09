"""The stage that writes a run's page: one HTML file that needs nothing else, on screen, in the dark and on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.evaluation.digits import plain, signed
from likewise.figures.plots import (
    Difference,
    Scores,
    gains_and_losses,
    loss_curve,
    recall_curves,
    score_distributions,
    validation_curve,
    verdict_intervals,
)
from likewise.figures.style import svg
from likewise.report.content import Content, Headline
from likewise.report.graph_figures import graph_figures
from likewise.report.names import SYSTEMS
from likewise.report.numbers import duration, size
from likewise.report.options import ReportOptions
from likewise.report.reading import read_content


def report(
    draft: Draft,
    options: ReportOptions,
    *,
    recipe: Mapping[str, Any],
    finished: Mapping[str, Artifact],
    stages: Sequence[Mapping[str, Any]],
) -> None:
    """Write report.html from whichever stages ran. `stages`: {stage, seconds, peak_memory_bytes, skipped (optional)} of each."""
    draft.write_text("report.html", render(read_content(options, recipe=recipe, finished=finished, stages=stages)))


def render(content: Content) -> str:
    """The page. Every text is escaped; the figures are our own."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("likewise.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "signed": signed, "duration": duration, "size": size}
    return environment.get_template("page.html").render(page=content, figures=_figures(content), names=SYSTEMS)


def _figures(content: Content) -> dict[str, Markup]:
    """The page's figures, by name, as SVG; those without data are absent."""
    found: dict[str, str] = {}
    headline, training = content.headline, content.training
    metric = headline.metric if headline else ""
    if headline and headline.sure and (headline.compared or headline.rivals):
        found["verdict"] = svg(verdict_intervals(_differences(headline), metric), f"Differences of {metric} with 95% intervals")
    if content.curves:
        curves = recall_curves({curve.name: curve.values for curve in content.curves})
        found["recall"] = svg(curves, "Recall by number of results, for each system")
    if content.similarities:
        panels = {part.title: Scores(part.positive, part.random, part.hardest) for part in content.similarities}
        found["similarities"] = svg(score_distributions(panels), "Distributions of the similarity of right and wrong documents")
    if training and len(training.steps):
        found["loss"] = svg(loss_curve(training.steps, training.losses), "Training loss by step")
    if training and len(training.evaluated):
        step = training.chosen_step if training.chosen == "trained" else 0
        points = (training.evaluated, training.validation)
        curve = validation_curve(*points, start=training.start, chosen=step, label=training.metric)
        found["validation"] = svg(curve, f"{training.metric} on the validation split by step")
    if content.examples:
        found["gains"] = svg(gains_and_losses(content.examples.changes, metric), f"Change of {metric} of every query")
    if content.graphs:
        found |= graph_figures(content.graphs)
    return {name: Markup(text) for name, text in found.items()}  # our own SVG, its texts escaped by matplotlib


def _differences(headline: Headline) -> list[Difference]:
    """The lines of the verdict's figure."""
    start = [Difference("start", "trained", headline.difference, headline.low, headline.high)] if headline.compared else []
    return [
        *start,
        *(Difference(rival.name, rival.color, rival.difference, rival.low, rival.high) for rival in headline.rivals),
    ]
