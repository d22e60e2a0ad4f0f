"""The picture of an explanation: what is drawn, and what is told when it cannot be."""

import numpy as np
import pytest
from matplotlib.colors import Normalize

from pairlight.errors import DataError
from pairlight.plots.explain import blend, check_target, plot_explanation


def draw(path, text="a red dog", words=("a", "red", "dog"), values=(0.0, 0.2, -0.1), heat=None):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)
    heat = rng.normal(0, 0.1, (7, 7)) if heat is None else heat
    return plot_explanation(
        pixels, (400, 300), text, words, np.array(values), heat, ["score 0.1"], "occlusion", path
    )


def test_words_and_regions_are_drawn(tmp_path, drawn, has_color):
    assert draw(tmp_path / "why.png") == []
    pixels = drawn(tmp_path / "why.png")
    # Bars of both signs.
    assert has_color(pixels, "#2166AC") > 1000 and has_color(pixels, "#B2182B") > 500


def test_blue_adds_and_red_takes():
    pixels = np.full((40, 40, 3), 128, np.uint8)
    heat = np.zeros((8, 8))
    heat[:, :3], heat[:, 5:] = 1, -1
    mixed = blend(pixels, heat, Normalize(-1, 1)).astype(int)
    assert mixed[20, 5, 2] > mixed[20, 5, 0] + 50  # blue
    assert mixed[20, 35, 0] > mixed[20, 35, 2] + 50  # red
    assert np.ptp(mixed[20, 20]) < 12  # grey


def test_a_text_that_no_font_draws_is_told(tmp_path, drawn):
    notes = draw(tmp_path / "why.png", "𒀀 dog", ("𒀀", "dog"), (0.1, 0.2))
    drawn(tmp_path / "why.png")
    assert notes == [] or "no installed font" in notes[0]


def test_a_very_long_text(tmp_path, drawn):
    words = [f"word{n}" for n in range(70)]
    notes = draw(tmp_path / "why.png", " ".join(words), words, np.linspace(-1, 1, 70))
    assert notes == ["only the first 48 of 70 words are drawn"]
    assert drawn(tmp_path / "why.png").shape[0] > 1500


def test_dollars_are_no_mathematics(tmp_path, drawn):
    draw(tmp_path / "why.png", "$a_b$ $x", ("$a_b$", "$x"), (0.1, 0.2))
    drawn(tmp_path / "why.png")


def test_nothing_at_all_to_see(tmp_path, drawn):
    draw(tmp_path / "why.png", values=(0, 0, 0), heat=np.zeros((7, 7)))
    drawn(tmp_path / "why.png")


def test_numbers_that_are_none_and_folders(tmp_path):
    with pytest.raises(DataError, match="NaN"):
        draw(tmp_path / "why.png", values=(0, np.nan, 0))
    assert not (tmp_path / "why.png").exists()
    with pytest.raises(DataError, match="is a folder"):
        check_target(tmp_path)
