"""Tests the report's SVG charts."""

import xml.etree.ElementTree as ET

import pytest

from pairlight.report.charts import (
    Scale,
    Series,
    bar_chart,
    line_chart,
    recall_chart,
    similarity_chart,
)


def shapes(chart, name):
    return [each.attrib for each in ET.fromstring(chart).iter(name)]


def path_of(chart):
    return next(each["d"] for each in shapes(chart, "path") if "line" in each["class"])


def test_lines_leave_gaps_and_follow_their_values():
    chart = line_chart("Loss", [Series("a", [3.0, None, 2.0, 1.0], "s1")])
    assert path_of(chart).count("M") == 2 and path_of(chart).count("L") == 1
    dots = [float(each["cy"]) for each in shapes(chart, "circle")]
    assert len(dots) == 3 and dots == sorted(dots)  # a falling loss goes down the page


def test_a_logarithmic_axis_has_powers_of_ten_and_skips_zero():
    chart = line_chart("Rate", [Series("a", [1e-3, 0.0, 1e-5], "s1")], log=True)
    assert len(shapes(chart, "circle")) == 2
    words = [each.text for each in ET.fromstring(chart).iter("text")]
    assert "0.001" in words and "1e-5" in words


def test_stages_are_marked_and_nothing_is_said():
    chart = line_chart("x", [Series("a", [1.0, 2.0, 3.0], "s1")], stages=["heads", "<t>", "<t>"])
    assert sum(each.get("class") == "mark" for each in shapes(chart, "line")) == 1
    assert "&lt;t&gt;" in chart
    assert "nothing to draw" in line_chart("x", [Series("a", [None, None], "s1")])


def test_bars_of_ranks():
    chart = bar_chart("Ranks", [("1", 30, 75.0), ("2–5", 10, 25.0)], "rank")
    heights = [float(each["height"]) for each in shapes(chart, "rect")]
    assert heights[0] == pytest.approx(3 * heights[1], rel=0.01)


def test_recalls_with_whiskers_and_chance():
    chart = recall_chart("Recall", [("a", "good", 40.0, 35.0, 45.0, 1.0)])
    bar = shapes(chart, "rect")[0]
    right = float(bar["x"]) + float(bar["width"])
    whisker = next(each["d"] for each in shapes(chart, "path"))
    assert float(whisker[1:].split()[0]) < right < float(whisker.split("H")[1].split("M")[0])


def test_histograms_close_their_shapes():
    sides = [Series("wrong", [10.0, 90.0], "bad"), Series("right", [50.0, 50.0], "good")]
    chart = similarity_chart("Cosine", [-1.0, 0.0, 1.0], sides)
    assert [each["d"].endswith("Z") for each in shapes(chart, "path")] == [True, True]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 100), (-0.6, 0.9), (0.04, 0.08), (0, 7.3)])
def test_ticks_are_round_few_and_inside(low, high):
    ticks = Scale(low, high, 0, 100).ticks()
    assert 3 <= len(ticks) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert all(len(f"{tick:g}") <= 6 for tick in ticks)
