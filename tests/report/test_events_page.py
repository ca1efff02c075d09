import re

import numpy as np
import pytest

from likewise.evaluation.event_sample import EDGES, PARTICLE
from likewise.report.graph_reading import read_graphs
from likewise.report.options import ReportOptions
from likewise.report.page import report
from likewise.testing.artifacts import draft, publish
from report.events_run import make_events_run
from report.pages import Elements, page_of

RECIPE = {"name": "events", "ingest": {"kind": "generated_events"}}
FIGURES = 10  # the verdict, purity, radius, pt, eta, production radius, neighbors, the event, loss, validation


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return make_events_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(tmp_path_factory, finished):
    return page_of(tmp_path_factory.mktemp("page"), finished, recipe=RECIPE)


def test_the_verdict_and_every_part(page, finished):
    found = Elements(page)
    assert {"measures", "event", "training", "data", "stages", "recipe"} <= set(found.ids)
    assert not {"queries", "suspicious"} & set(found.ids)
    assert page.count('class="figure"') == FIGURES
    verdict = finished["evaluate"].json("verdict.json")
    for sentence in verdict["sentences"]:
        assert sentence.split(": ", 1)[1][1:] in found.words
    assert "purity at 98% efficiency" in found.words
    assert "held-out events" in found.words
    assert "Nothing was held out" not in found.words


def test_every_system_stands_in_the_table_with_its_interval(page, finished):
    told = finished["evaluate"].json("graphs.json")["systems"]
    words = Elements(page).words
    for name in ("before", "after", "raw"):
        assert f"{told[name]['radius']:.4g}" in words
        metrics = told[name]["metrics"]
        for metric in ("signal_efficiency", "efficiency", "signal_purity", "purity"):
            low, high = metrics[metric]["micro_interval_95"]
            assert re.search(_about(metrics[metric]["micro"]) + f" {_about(low)} to {_about(high)}", words), metric
    assert "All edges were counted." in words


def _about(value):
    """A pattern of a number with three decimals, or two digits that count."""
    return re.escape(f"{value:.3f}" if value >= 0.01 else f"{value:.{1 - int(np.floor(np.log10(value)))}f}")


def test_what_was_counted_by_event(page, finished):
    words = Elements(page).words
    counts = finished["ingest"].json("counts.json")
    assert f"events {counts['accepted']}" in words
    assert f"true edges {counts['pairs']:,}" in words
    assert "most" not in re.findall(r"neighbours joined (\w+)", words)
    assert "neighbours joined the nearest 30" in words
    assert "radius 0.5123" in words
    for number, shard in enumerate(counts["shards"]):
        told = " ".join(f"{shard[key]:,}" for key in ("items", "pairs", "positives"))
        assert re.search(rf"{shard['name']} (train|validation|test) {told} {number + 1},000", words)


def test_pictures_come_from_the_page_itself_and_nothing_runs(page):
    found = Elements(page)
    links = [value for name, value in found.attributes if name in ("href", "src", "xlink:href")]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert not {"script", "img", "link", "iframe"} & set(found.tags)
    assert len(found.ids) == len(set(found.ids))


def test_the_display_is_what_was_sampled(finished):
    shown = read_graphs(finished).display
    particle = finished["evaluate"].json(PARTICLE)
    assert len(shown.hits.chosen) == particle["hits"]
    assert [edges.title for edges in shown.edges] == ["Before training", "After training"]
    stored = finished["evaluate"].table(EDGES).to_pylist()
    for edges, name in zip(shown.edges, ("before", "after"), strict=True):
        rows = [row for row in stored if row["system"] == name]
        assert edges.index.shape[1] == len(rows)
        assert edges.true.sum() == sum(row["true"] for row in rows) > 0
    far = np.hypot(np.hypot(shown.hits.x, shown.hits.y), shown.hits.z)[shown.hits.chosen]
    assert (np.diff(far) >= 0).all()


def test_scans_are_read_as_they_were_counted(finished):
    graphs = read_graphs(finished)
    stored = finished["evaluate"].table("scan.parquet").to_pylist()
    for name, key in (("start", "before"), ("trained", "after"), ("raw", "raw")):
        rows = [row for row in stored if row["system"] == key]
        np.testing.assert_allclose(graphs.scans[name].signal_purity, [row["purity"] for row in rows])
        np.testing.assert_allclose(graphs.scans[name].signal_efficiency, [row["efficiency"] for row in rows])
    radius = np.searchsorted(graphs.scans["trained"].radii, graphs.radius)
    assert graphs.scans["trained"].signal_efficiency[radius] >= graphs.efficiency


def test_a_fixed_radius_stands_below_the_solved_one(tmp_path):
    run = make_events_run(tmp_path, events=4, radius=0.4)
    words = Elements(page_of(tmp_path, run, recipe=RECIPE)).words
    assert "at the radius 0.4, the same for all" in words


def test_figures_are_files_where_they_are_asked_for(tmp_path, finished):
    out = draft(tmp_path, "report")
    given = {"recipe": RECIPE, "finished": finished, "stages": []}
    report(out, ReportOptions(figures=("png",)), **given)
    kept = publish(out)
    assert len([name for name in kept.manifest.files if name.endswith(".png")]) == FIGURES
    assert kept.file("figures/purity.png").read_bytes().startswith(b"\x89PNG")


def test_a_start_that_is_kept_stands_alone(tmp_path):
    run = make_events_run(tmp_path, chosen="start")
    found = Elements(page_of(tmp_path, run, recipe=RECIPE))
    assert "No trained checkpoint was better on validation" in found.words
    assert read_graphs(run).systems == ["start", "raw"]
    assert [edges.title for edges in read_graphs(run).display.edges] == ["The start, kept"]


def test_one_event_that_was_trained_on(tmp_path):
    run = make_events_run(tmp_path, events=1, validation=0.0, test=0.0)
    page = page_of(tmp_path, run, recipe=RECIPE)
    words = Elements(page).words
    assert "Too few to tell" in words
    assert "Nothing was held out" in words
    assert "1 event that the model was trained on" in words
    assert "1 event that it was trained on" in words
    assert "a single event has no interval" in words
    assert "were chosen on the events it was trained on." in words
    assert "the validation split" not in words
    assert page.count('class="figure"') == FIGURES - 1  # a single event has no interval to draw


def test_a_run_that_stopped_before_it_measured(tmp_path, finished):
    measured = dict(finished)
    del measured["evaluate"], measured["graph"]
    words = Elements(page_of(tmp_path, measured, recipe=RECIPE)).words
    assert "no verdict" in words
    assert "Graphs kept" not in words
