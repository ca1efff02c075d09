import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from likewise.figures.plots import Difference, loss_curve, verdict_intervals
from likewise.figures.style import COLORS, INK, styled, svg

HOSTILE = '</svg><script>alert("x")</script> & $x$'


def hostile_figure():
    with styled() as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0.123456, 1.654321], color=COLORS["trained"])
        axes.set_title("0.123456")
        axes.set_xlabel('<b onclick="x">& "quoted"')
        return figure


def test_svg_is_one_well_formed_element_without_prologue():
    root = ET.fromstring(svg(hostile_figure(), HOSTILE))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["aria-label"] == HOSTILE
    assert "width" not in root.attrib  # the page sizes it
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_texts_stay_texts_and_are_whole():
    root = ET.fromstring(svg(hostile_figure(), "x"))
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "0.123456" in texts  # only coordinates are rounded
    assert '<b onclick="x">& "quoted"' in texts


def test_colors_are_left_to_the_page():
    text = svg(hostile_figure(), "x")
    assert f"var(--trained, {COLORS['trained']})" in text
    assert "currentColor" in text
    assert INK not in text
    assert "font-family" not in text
    assert "<style" not in text  # would hold for the whole page


def test_equal_figures_give_equal_bytes_and_different_ones_different_ids():
    lines = [Difference("start", "trained", 0.1, 0.0, 0.2)]
    one, two = (svg(verdict_intervals(lines, "nDCG@10"), "x") for _ in range(2))
    assert one == two
    other = svg(loss_curve(np.arange(5), np.arange(5.0)), "x")
    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in (one, other)]
    assert all(ids)
    assert not ids[0] & ids[1]


def test_every_reference_has_its_target():
    text = svg(hostile_figure(), "x")
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert referred == set(re.findall(r' id="([^"]+)"', text))


def test_the_style_ends_with_the_block():
    import matplotlib

    before = matplotlib.rcParams["font.size"]
    with pytest.raises(RuntimeError), styled():
        raise RuntimeError
    assert matplotlib.rcParams["font.size"] == before


def test_colors_are_distinct_so_that_each_keeps_its_own_variable():
    assert len(set(COLORS.values())) == len(COLORS)
