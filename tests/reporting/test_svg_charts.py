"""SVG charts: positions of their elements, and the description for screen readers."""

import math
import xml.etree.ElementTree as ElementTree

import pytest

from tfrec.reporting.html_page import Section, render_report
from tfrec.reporting.svg_charts import bars, forest, lines


def marks(picture, tag):
    return [node for node in ElementTree.fromstring(picture).iter() if node.tag == tag]


def test_a_forest_plot_draws_each_estimate_between_its_bounds():
    picture = forest(
        "lift <b>", [("A", 1.0, 0.5, 1.5), ("B", -1.0, -math.inf, 0.0), ("C", math.nan, math.nan, math.nan)]
    )
    boxes = [float(node.get("x")) + 4 for node in marks(picture, "rect")]
    assert len(boxes) == 2 and boxes[1] < boxes[0]
    spans = [(float(n.get("x1")), float(n.get("x2"))) for n in marks(picture, "line") if n.get("class") == "interval"]
    assert all(low < box < high for box, (low, high) in zip(boxes, spans))
    assert spans[1][0] == 250  # infinity is the edge
    assert "A: 1 (0.5 to 1.5)" in marks(picture, "desc")[0].text and marks(picture, "title")[0].text == "lift <b>"


def test_lines_skip_points_that_are_not_finite_and_differ_by_dash():
    picture = lines(
        "t", {"a": [(0, 1.0), (1, math.nan), (2, 3.0)], "b": [(0, 2.0)], "none": []}, "epoch", diagonal=True
    )
    curves = [node for node in marks(picture, "polyline") if float(node.get("points").split(",")[0]) < 500]
    assert [len(node.get("points").split()) for node in curves] == [2, 1]
    assert len({node.get("stroke-dasharray") for node in curves}) == 2
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in curves[0].get("points").split())
    assert x0 < x1 and y0 > y1  # up is smaller
    assert "Nothing to draw" in lines("t", {"a": []})


def test_bars_are_as_long_as_their_values():
    one, two, three = (float(node.get("width")) for node in marks(bars("t", [("a", 1), ("b", 2), ("c", 0)]), "rect"))
    assert two == pytest.approx(2 * one, abs=0.1) and three == 0


def test_a_report_with_charts_fetches_nothing():
    page = render_report("T", [Section("S", figures=[bars("b", [("a", 1.0)])], headers=["x"], rows=[[1]])])
    assert "<svg" in page and "http" not in page and "<script" not in page and 'scope="col"' in page
    assert "prefers-color-scheme: dark" in page and "@media print" in page
