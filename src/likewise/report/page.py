"""The stage that writes a run's page: one HTML file that needs nothing else, on screen, in the dark and on paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from likewise.artifacts.artifact import Artifact
from likewise.artifacts.draft import Draft
from likewise.evaluation.digits import plain, signed
from likewise.figures.confusion import confusion_matrix
from likewise.figures.drawing import Drawing
from likewise.figures.event_display import event_display
from likewise.figures.graphs import graph_drawings
from likewise.figures.paper import save
from likewise.figures.plots import (
    Difference,
    Scores,
    gains_and_losses,
    loss_curve,
    quality_histogram,
    recall_curves,
    score_distributions,
    validation_curve,
    verdict_intervals,
)
from likewise.figures.style import svg
from likewise.report.content import Content, Headline
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
    """Write report.html from whichever stages ran. `stages`: {stage, seconds, peak_memory_bytes, skipped (optional)} of each.

    Where items have groups, how often these are found by neighbours is also written as classification.json. Each figure is also
    written as figures/NAME.pdf or .png, where the options ask for it.
    """
    content = read_content(options, recipe=recipe, finished=finished, stages=stages)
    if content.classification:
        draft.write_json("classification.json", content.classification.result.as_json())
        draft.say(content.classification.result.sentences()[0])
    draft.write_text("report.html", render(content))
    if options.figures:
        with draft.write_folder("figures") as folder:
            for drawing in _drawings(content):
                for kind in options.figures:
                    save(drawing.figure, folder / f"{drawing.name}.{kind}")
        draft.say(f"The figures as {' and '.join(options.figures)} are in {draft.path / 'figures'}.")


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
    # our own SVG, its texts escaped by matplotlib
    figures = {drawing.name: Markup(svg(drawing.figure, drawing.description)) for drawing in _drawings(content)}
    return environment.get_template("page.html").render(page=content, figures=figures, names=SYSTEMS)


def _drawings(content: Content) -> Iterator[Drawing]:
    """The page's figures; those without data are absent."""
    headline, training, graphs = content.headline, content.training, content.graphs
    metric = headline.metric if headline else ""
    if headline and headline.sure and (headline.compared or headline.rivals):
        described = f"Differences of {metric} with 95% intervals"
        yield Drawing("verdict", verdict_intervals(_differences(headline), metric), described)
    if content.curves:
        curves = recall_curves({curve.name: curve.values for curve in content.curves})
        yield Drawing("recall", curves, "Recall by number of results, for each system")
    if content.similarities:
        panels = {part.title: Scores(part.positive, part.random, part.hardest) for part in content.similarities}
        described = "Distributions of the similarity of right and wrong documents"
        yield Drawing("similarities", score_distributions(panels), described)
    if training and len(training.steps):
        yield Drawing("loss", loss_curve(training.steps, training.losses), "Training loss by step")
    if training and len(training.evaluated):
        step = training.chosen_step if training.chosen == "trained" else 0
        points = (training.evaluated, training.validation)
        curve = validation_curve(*points, start=training.start, chosen=step, label=training.metric)
        yield Drawing("validation", curve, f"{training.metric} on the validation split by step")
    if content.examples:
        described = f"Change of {metric} of every query"
        yield Drawing("gains", gains_and_losses(content.examples.changes, metric), described)
    if content.classification and content.classification.drawn:
        found = content.classification.result.accuracy
        matrix = confusion_matrix(found.matrix(), [each.label for each in found.labels], row=content.classification.result.column)
        yield Drawing("confusion", matrix, "Which labels are taken for which, in counts")
    if content.pictures and content.pictures.quality:
        yield Drawing("quality", quality_histogram(content.pictures.quality.scores), "Distribution of the quality of vectors")
    if graphs:
        marks: Any = {"chosen": graphs.handed_over, "radius": graphs.radius, "efficiency": graphs.efficiency}
        yield from graph_drawings(graphs.scans, graphs.binned, graphs.degrees, **marks)
        if graphs.display:
            described = (
                "An event in the transverse plane and from the side, and the edges of one particle before and after training"
            )
            yield Drawing("event", event_display(graphs.display.hits, graphs.display.edges), described)


def _differences(headline: Headline) -> list[Difference]:
    """The lines of the verdict's figure."""
    start = [Difference("start", "trained", headline.difference, headline.low, headline.high)] if headline.compared else []
    return [
        *start,
        *(Difference(rival.name, rival.color, rival.difference, rival.low, rival.high) for rival in headline.rivals),
    ]
