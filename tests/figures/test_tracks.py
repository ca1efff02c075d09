import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from likewise.evaluation.binned import binned_efficiency
from likewise.evaluation.degrees import Degrees
from likewise.evaluation.edges import TrueEdges
from likewise.evaluation.radius_scan import RadiusScan
from likewise.figures.paper import save
from likewise.figures.style import svg
from likewise.figures.tracks import efficiency_against, neighbors_histogram, purity_against_efficiency, radius_curves

BINS = np.array([1.0, 2.0, 5.0, 10.0])
INNER = np.array([0.0, 1.0, 2.0, 2.5, 5.0, 10.0, 20.0])  # bins without edges before, between and after those with


def texts(figure):
    root = ET.fromstring(svg(figure, "x"))
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


def binned(*found):
    """Ten edges in each of two bins, `found` of which are found; the others are empty."""
    values = np.repeat([1.5, 3.0], 10)
    return binned_efficiency(values, np.concatenate([np.arange(10) < count for count in found]), INNER)


def scan(power=1.0):
    random = np.random.default_rng(0)
    true = TrueEdges.of(np.stack([np.arange(500), np.arange(1, 501)]), hits=501)
    apart = random.random(500) ** power * 0.2
    radii = np.linspace(0.01, 1, 100)
    all_pairs = np.sort(np.concatenate([apart, random.random(5000)]))
    return RadiusScan.of(radii, np.searchsorted(all_pairs, radii, side="right").astype(float), apart, true)


def nothing(radii=5):
    none = np.zeros(radii, np.int64)
    return RadiusScan(np.linspace(0.1, 1, radii), none, none, none, none.astype(float), hits=10, true=4, signal=0, weight=0)


def labeled(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


@pytest.mark.parametrize("log", [False, True])
def test_points_stand_at_the_efficiency_with_their_intervals(log):
    systems = {"start": binned(7, 9), "trained": binned(9, 10)}
    figure = efficiency_against(systems, "pt (GeV)", log=log)
    axes, counts = figure.axes
    for name, label in (("start", "start"), ("trained", "trained")):
        line = labeled(axes)[label]
        np.testing.assert_allclose(line.get_ydata(), systems[name].efficiency[[1, 3]])  # an empty bin has no point
        assert (line.get_xdata() > INNER[[1, 3]]).all()
        assert (line.get_xdata() < INNER[[2, 4]]).all()
    drawn = {tuple(np.round(segment[:, 1], 6)) for lines in axes.collections for segment in lines.get_segments()}
    for each in systems.values():
        for low, high in zip(*each.interval_95, strict=True):
            assert np.isnan(low) or (round(low, 6), round(high, 6)) in drawn
    assert counts.get_xlabel() == "pt (GeV)"
    (stairs,) = counts.patches
    np.testing.assert_array_equal(stairs.get_data().values, [10, 0, 10])  # empty bins at the ends are left out
    assert counts.get_xlim() == (1, 5)
    assert axes.get_ylim()[0] < min(np.nanmin(each.interval_95[0]) for each in systems.values())


def test_a_first_bin_that_begins_at_0_has_a_place_on_a_logarithmic_axis():
    each = binned_efficiency(np.array([0.02, 0.02, 30]), np.array([True, False, True]), np.array([0, 0.1, 10, 100.0]))
    figure = efficiency_against({"trained": each}, "production radius (mm)", log=True)
    axes, counts = figure.axes
    assert counts.get_xlim() == pytest.approx((0.01, 100))
    first, last = labeled(axes)["trained"].get_xdata()
    assert 0.01 < first < 0.1
    assert 10 < last < 100
    assert "0" in texts(figure)
    assert "0.01" not in texts(figure)


def test_systems_do_not_hide_each_other():
    axes = efficiency_against({"raw": binned(5, 5), "start": binned(5, 5), "trained": binned(5, 5)}, "x").axes[0]
    places = [line.get_xdata()[0] for line in labeled(axes).values()]
    assert len(set(places)) == 3


def test_systems_with_other_bins_are_not_compared():
    other = binned_efficiency(np.ones(3), np.ones(3, bool), np.array([0.0, 2.0]))
    with pytest.raises(AssertionError, match="same bins"):
        efficiency_against({"start": binned(5, 5), "trained": other}, "x")


def test_the_chosen_radius_shows_both_values():
    each = scan()
    at = 20
    told = texts(radius_curves(each, radius=float(each.radii[at])))
    assert f"radius {each.radii[at]:.3g}" in told
    assert "100%" in told
    purity = f"{100 * each.signal_purity[at]:.2g}%"
    assert purity in told


def test_curves_are_the_scan():
    each = scan()
    efficiency, purity = radius_curves(each).axes
    np.testing.assert_array_equal(efficiency.get_lines()[0].get_ydata(), each.signal_efficiency)
    np.testing.assert_array_equal(purity.get_lines()[0].get_ydata(), each.signal_purity)
    assert purity.get_yscale() == "log"


def test_purity_is_told_where_the_target_is_reached():
    systems = {"raw": scan(0.3), "trained": scan(3.0)}
    figure = purity_against_efficiency(systems, target=0.9)
    labels = list(labeled(figure.axes[0]))
    for (name, each), label in zip(systems.items(), labels, strict=True):
        reached = each.signal_purity[np.argmax(each.signal_efficiency >= 0.9)]
        assert label == f"{'raw features' if name == 'raw' else name} {100 * reached:.2g}%"
    marks = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 1 and line.get_marker() != "None"]
    assert [line.get_xdata()[0] for line in marks] == [0.9, 0.9]


def test_a_system_that_does_not_reach_the_target_has_no_value():
    each = scan()
    first = {name: getattr(each, name)[:5] for name in ("radii", "edges", "true_found", "signal_found", "weight_found")}
    short = replace(each, **first)
    figure = purity_against_efficiency({"start": short, "trained": each}, target=0.98)
    assert next(iter(labeled(figure.axes[0]))) == "start"


def test_the_histogram_holds_all_hits():
    systems = {"raw": Degrees(np.array([0, 0, 5, 5])), "trained": Degrees(np.bincount(np.arange(1, 400)))}
    figure = neighbors_histogram(systems)
    outlines = [patch.get_data() for patch in figure.axes[0].patches]
    assert len(outlines) == 4  # filled and outlined
    for values, edges, _ in outlines:
        assert values.sum() == pytest.approx(1)
        assert (np.diff(edges) > 0).all()
    told = texts(figure)
    assert "raw features 2.5" in told
    assert "trained 200" in told


def test_what_is_empty_is_drawn():
    empty = binned_efficiency(np.empty(0), np.empty(0, bool), BINS)
    assert "<svg" in svg(efficiency_against({"trained": empty}, "x"), "x")
    assert "<svg" in svg(radius_curves(nothing(), radius=0.5), "x")
    assert "<svg" in svg(purity_against_efficiency({"trained": nothing()}, target=0.98), "x")
    assert "<svg" in svg(neighbors_histogram({"trained": Degrees(np.array([7]))}), "x")


@pytest.mark.parametrize("suffix", [".pdf", ".png"])
def test_files_are_the_same_bytes_each_time(tmp_path, suffix):
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    for path in (one, two):
        save(radius_curves(scan(), radius=0.2), path)
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes().startswith(b"%PDF" if suffix == ".pdf" else b"\x89PNG")
    with pytest.raises(AssertionError, match="neither"):
        save(radius_curves(scan()), tmp_path / "figure.bmp")
