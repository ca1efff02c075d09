import numpy as np
import pytest

from likewise.figures.plots import (
    BARS,
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

EMPTY = np.empty(0, np.float32)


def lines(figure):
    return [line for axes in figure.axes for line in axes.get_lines()]


def test_intervals_are_drawn_where_they_are():
    figure = verdict_intervals(
        [Difference("start", "trained", 0.05, 0.02, 0.08), Difference("BM25", "bm25", -0.1, -0.2, 0.0)], "nDCG@10"
    )
    drawn = [tuple(line.get_xdata()) for line in lines(figure)]
    assert drawn[1:] == [(0.02, 0.08), (0.05,), (-0.2, 0.0), (-0.1,)]
    low, high = figure.axes[0].get_xlim()
    assert low < -0.2
    assert high > 0.08
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["start", "BM25"]


def test_an_interval_without_width_is_drawn():
    assert "<svg" in svg(verdict_intervals([Difference("start", "trained", 0.0, 0.0, 0.0)], "MAP"), "x")


@pytest.mark.parametrize("count", [1, 5, 200])
def test_loss_curves_of_any_length(count):
    figure = loss_curve(np.arange(count), np.linspace(3, 1, count))
    raw, *smooth = lines(figure)
    np.testing.assert_array_equal(raw.get_ydata(), np.linspace(3, 1, count))
    assert len(smooth) == (count >= 30)
    if smooth:
        middle = slice(20, -20)
        np.testing.assert_allclose(smooth[0].get_ydata()[middle], np.linspace(3, 1, count)[middle])  # a line stays a line


def test_the_start_is_a_dashed_line_and_the_choice_is_marked():
    figure = validation_curve(np.array([0, 10, 20]), np.array([0.5, 0.7, 0.6]), start=0.5, chosen=10, label="nDCG@10")
    start, curve, mark = lines(figure)
    assert set(start.get_ydata()) == {0.5}
    assert start.get_linestyle() == "--"
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (10, 0.7)
    assert len(lines(validation_curve(np.array([1]), np.array([0.1]), start=None, chosen=None, label="MAP"))) == 1
    assert len(curve.get_xdata()) == 3


def test_distributions_sum_to_one_on_common_edges():
    random = np.random.default_rng(0)
    panels = {name: Scores(random.random(50), random.random(70), EMPTY) for name in ("before", "after")}
    figure = score_distributions(panels)
    stairs = [patch.get_data() for axes in figure.axes for patch in axes.patches]
    assert len(stairs) == 8  # two kinds, filled and outlined, in two panels; the empty kind is left out
    for values, edges, _ in stairs:
        assert values.sum() == pytest.approx(1)
        np.testing.assert_array_equal(edges, stairs[0][1])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["before", "after"]


def test_equal_scores_are_drawn():
    same = np.full(3, 0.5)
    assert "<svg" in svg(score_distributions({"only": Scores(same, same, same)}), "x")


@pytest.mark.parametrize("depth", [1, 2, 7, 100])
def test_recall_curves_of_any_depth(depth):
    curve = np.linspace(0.1, 0.9, depth)
    figure = recall_curves({"start": curve, "bm25": curve / 2})
    assert [line.get_label() for line in lines(figure)] == ["start", "BM25"]
    np.testing.assert_array_equal(lines(figure)[0].get_xdata(), np.arange(1, depth + 1))
    assert "<svg" in svg(figure, "x")


def test_gains_are_sorted_and_long_lists_are_thinned():
    changes = np.random.default_rng(0).normal(size=5 * BARS)
    gained, lost = figure_patches = gains_and_losses(changes, "nDCG@10").axes[0].patches
    values = gained.get_data().values + lost.get_data().values
    assert len(figure_patches) == 2
    assert len(values) == BARS
    assert (np.diff(values) <= 0).all()
    assert (values[0], values[-1]) == (changes.max(), changes.min())
    assert gained.get_data().edges[-1] == len(changes)
    short = gains_and_losses(np.array([0.0, -0.5, 0.25]), "MAP").axes[0].patches
    assert (short[0].get_data().values + short[1].get_data().values).tolist() == [0.25, 0.0, -0.5]
