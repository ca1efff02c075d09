import xml.etree.ElementTree as ET

import numpy as np
import pytest

from likewise.figures.event_display import DRAWN, DisplayEdges, DisplayHits, edge_kinds, event_display, touching
from likewise.figures.style import svg

SVG = "{http://www.w3.org/2000/svg}"


def hits(count=200):
    random = np.random.default_rng(0)
    x, y, z = random.normal(0, 300, (3, count))
    return DisplayHits(x, y, z, np.arange(5))


def edges(false=6, title="trained"):
    """Four true edges between consecutive hits, one that skips a hit, and some to other hits."""
    index = np.concatenate(
        [np.stack([np.arange(4), np.arange(1, 5)]), [[0], [2]], [np.zeros(false, int), 5 + np.arange(false)]], axis=1
    )
    return DisplayEdges(title, index, np.arange(index.shape[1]) < 4)


def texts(figure):
    root = ET.fromstring(svg(figure, "x"))
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def test_edges_that_touch_the_particle():
    index = np.array([[0, 7, 8, 2], [9, 1, 9, 3]])
    assert touching(index, np.array([0, 1, 2])).tolist() == [True, True, False, True]


def test_every_edge_is_of_one_kind():
    kinds = edge_kinds(edges(), np.arange(5))
    assert {name: int(which.sum()) for name, which in kinds.items()} == {"true": 4, "skipping": 1, "false": 6}
    assert (sum(which.astype(int) for which in kinds.values()) == 1).all()


def test_each_graph_has_its_column_and_its_counts():
    figure = event_display(hits(), [edges(9, "raw features"), edges(0, "<trained> $x$")])
    told = texts(figure)
    assert "raw features" in told
    assert "<trained> $x$" in told
    assert "4 true, 1 skipping hits, 9 false" in told
    assert "4 true, 1 skipping hits, 0 false" in told
    assert "skipping its hits" in told
    assert len(figure.axes) == 4


def test_all_pairs_true_needs_no_key_for_skipping():
    whole = edges(3)
    every = DisplayEdges("trained", whole.index, np.arange(whole.index.shape[1]) < 5)
    told = texts(event_display(hits(), [every]))
    assert "5 true, 3 false" in told
    assert "skipping its hits" not in told


def test_both_planes_show_the_hits_where_they_are():
    view = hits()
    transverse, side = event_display(view, [edges()]).axes
    np.testing.assert_allclose(transverse.collections[0].get_offsets(), np.stack([view.x, view.y], axis=1))
    np.testing.assert_allclose(side.collections[0].get_offsets(), np.stack([view.z, np.hypot(view.x, view.y)], axis=1))
    np.testing.assert_allclose(side.get_lines()[0].get_xdata(), view.z[:5])
    box = transverse.get_position().bounds
    width, height = transverse.figure.get_size_inches()
    assert abs(box[2] * width - box[3] * height) < 1e-9  # circles are circles
    assert transverse.get_xlim() == transverse.get_ylim()


@pytest.mark.parametrize(
    ("angle", "window"),
    [(0.0, (-52, 1050, -220, 220)), (np.pi, (-1050, 52, -220, 220)), (np.pi / 2, (-152, 152, -52, 1050))],
)
def test_a_wedge_fills_its_panel(angle, window):
    phi = angle + np.linspace(-0.1, 0.1, 50)
    x, y = (np.outer([200, 1000], np.cos(phi)).ravel(), np.outer([200, 1000], np.sin(phi)).ravel())
    view = DisplayHits(x, y, np.zeros(100), np.arange(5))
    (transverse, _) = event_display(view, [edges()]).axes
    np.testing.assert_allclose((*transverse.get_xlim(), *transverse.get_ylim()), window, atol=5)
    box, (width, height) = transverse.get_position().bounds, transverse.figure.get_size_inches()
    scales = box[2] * width / np.diff(transverse.get_xlim()), box[3] * height / np.diff(transverse.get_ylim())
    assert scales[0] == pytest.approx(scales[1])  # circles are circles


def test_a_large_event_stays_a_small_figure():
    crowded = edges(DRAWN * 4)
    text = svg(event_display(hits(60_000), [crowded, edges()]), "x")
    assert len(text) < 1_500_000
    assert "data:image/png;base64" in text
    again = svg(event_display(hits(60_000), [crowded, edges()]), "x")
    assert text == again


def test_an_event_without_edges_is_drawn():
    none = DisplayEdges("start", np.empty((2, 0), np.int64), np.empty(0, bool))
    assert "0 true, 0 false" in texts(event_display(hits(6), [none]))
