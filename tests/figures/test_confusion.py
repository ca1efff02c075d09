from itertools import pairwise

import numpy as np
import pytest

from likewise.figures.confusion import FAINTEST, MOST_LABELS, STRONGEST, confusion_matrix
from likewise.figures.style import COLORS, svg


def cells(figure):
    """(row, column) → (colour, opacity, text)."""
    axes = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    found = {}
    for patch in axes.patches:
        column, row = (round(place + 0.5) for place in patch.get_xy())
        red, green, blue, _ = patch.get_facecolor()
        color = "#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue))
        found[row, column] = (color, patch.get_alpha(), texts[column, row])
    return found


def test_cells_are_as_strong_as_their_share_of_the_row():
    found = cells(confusion_matrix(np.array([[30, 10, 0], [0, 5, 0], [0, 0, 0]]), ["a", "b", "c"]))
    middle = FAINTEST + 0.75 * (STRONGEST - FAINTEST)
    assert found[0, 0] == (COLORS["gain"], pytest.approx(middle), "30")
    assert found[0, 1][0] == COLORS["loss"]
    assert found[1, 1] == (COLORS["gain"], pytest.approx(STRONGEST), "5")
    assert set(found) == {(0, 0), (0, 1), (1, 1)}  # nothing is drawn where nothing is


def test_axes_tell_labels_and_what_they_are():
    axes = confusion_matrix(np.eye(2, dtype=np.int64), ["cat", "dog"], row="animal").axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["cat", "dog"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("animal", "taken for")
    bottom, top = axes.get_ylim()
    assert bottom > top  # the first label is above


@pytest.mark.parametrize("labels", [2, 10, MOST_LABELS])
def test_labels_keep_clear_of_each_other(labels):
    figure = confusion_matrix(np.full((labels, labels), 1234), [f"label number {n:02d} of them all" for n in range(labels)])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.get_yticklabels()]
    assert all(above.y0 > below.y1 - 1 for above, below in pairwise(boxes))
    width = axes.get_window_extent().width / labels
    assert all(text.get_window_extent().width < width for text in axes.texts)
    assert all(len(text.get_text()) == 20 for text in axes.get_yticklabels())
    assert figure.get_window_extent().contains(*boxes[0].min)


def test_more_labels_than_can_be_read_are_refused():
    many = MOST_LABELS + 1
    with pytest.raises(AssertionError):
        confusion_matrix(np.eye(many, dtype=np.int64), [str(n) for n in range(many)])


@pytest.mark.parametrize("label", ["$x^2$ and $\\frac$", "</text><script>", "two\nlines", ""])
def test_labels_are_texts_whatever_they_hold(label):
    text = svg(confusion_matrix(np.eye(2, dtype=np.int64), [label, "plain"]), "x")
    assert "<script" not in text
    assert "var(--gain" in text
    assert "currentColor" in text
    if "$" in label:
        assert label in text


def test_large_counts_are_short():
    figure = confusion_matrix(np.array([[9999, 12_345], [123_456, 2_500_000]]), ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["9999", "12k", "123k", "2M"]
    figure = confusion_matrix(np.full((MOST_LABELS, MOST_LABELS), 1234), ["a"] * MOST_LABELS)
    assert {text.get_text() for text in figure.axes[0].texts} == {"1k"}
