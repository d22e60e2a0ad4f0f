"""Tests the histograms of similarities and ranks."""

import numpy as np
import pytest

from pairlight.plots.canvas import BLUE, VERMILION
from pairlight.plots.histograms import overlap_words, plot_histograms, rank_shares, shares


def spread(overlap=0.1):
    edges = np.linspace(-0.5, 1, 41).tolist()
    bell = [int(1000 * np.exp(-((n - 12) ** 2) / 20)) for n in range(40)]
    right = {"counts": bell[::-1], "mean": 0.5, "std": 0.1}
    wrong = {"counts": bell, "mean": 0.0, "std": 0.1}
    return {"edges": edges, "positive": right, "negative": wrong, "overlap": overlap, "auc": 0.985}


def test_the_picture_changes_with_its_numbers(tmp_path, drawn, has_color):
    ranks = np.array([1, 1, 3, 7, 120])
    assert plot_histograms(spread(), ranks, ranks, tmp_path / "a.png") == []
    moved = spread()
    moved["positive"]["counts"] = moved["negative"]["counts"]
    plot_histograms(moved, ranks, np.array([1, 1]), tmp_path / "b.png")
    a, b = drawn(tmp_path / "a.png"), drawn(tmp_path / "b.png")
    assert has_color(a, BLUE) > 1000 and has_color(a, VERMILION) > 1000
    assert (a != b).any(axis=-1).sum() > 5000


@pytest.mark.parametrize("side", [{}, {"counts": None, "mean": None, "std": None},
                                  {"counts": [0] * 40, "mean": None, "std": None}])  # fmt: skip
def test_what_is_unknown_is_left_out(tmp_path, drawn, side):
    numbers = {**spread(), "negative": side, "overlap": None, "auc": None}
    assert plot_histograms(numbers, np.array([1]), np.array([1, 0]), tmp_path / "h.png") == []
    plot_histograms({}, np.array([1]), np.array([1]), tmp_path / "none.png")
    assert (drawn(tmp_path / "h.png").shape) == drawn(tmp_path / "none.png").shape
    assert "Too few" in overlap_words(numbers)


def test_words_for_the_overlap():
    assert overlap_words(spread(0.117)).startswith("The two histograms overlap by 11.7 %.")
    assert "98.5 times out of 100" in overlap_words(spread())


def test_bars_of_ranks():
    bars = rank_shares(np.array([0, 1, 1, 2, 5, 6, 101, 5000]))
    assert [(label, count) for label, count, _ in bars] == [
        ("1", 2), ("2–5", 2), ("6–10", 1), ("11–20", 0), ("21–50", 0), ("51–100", 0), (">100", 2),
    ]  # fmt: skip
    assert sum(share for _, _, share in bars) == pytest.approx(100)
    assert rank_shares(np.array([1, 1])) == [("1", 2, 100.0)]
    assert rank_shares(np.array([0])) == [("1", 0, 0.0)]


def test_shares_of_counts():
    assert shares([1, 3]).tolist() == [25.0, 75.0]
    assert shares(None) is None and shares([0, 0]) is None
