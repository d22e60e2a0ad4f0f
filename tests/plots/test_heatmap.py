"""Tests the similarity heatmap."""

import numpy as np
import pytest
from matplotlib import colormaps

from pairlight.errors import DataError
from pairlight.plots.canvas import VERMILION
from pairlight.plots.heatmap import plot_similarity


def similarity(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.1, (n, n)) + 0.3 * np.eye(n)


@pytest.mark.parametrize("n", [1, 2, 10])
def test_cells_thumbnails_and_outlines(tmp_path, photos, captions, drawn, has_color, n):
    path = tmp_path / "similarity_matrix.png"
    assert plot_similarity(photos[:n], captions[:n], similarity(n), path) == []
    pixels = drawn(path)
    one_outline = 4 * 80 * 4 * 0.5  # four sides, ~80 pixels long and ~4 wide, less their soft rims
    assert has_color(pixels, VERMILION) > n * one_outline


def test_rows_are_images_and_columns_captions(tmp_path, photos, captions, drawn, has_color):
    scores = np.zeros((3, 3))
    scores[0, 2] = 1.0  # image 0 with caption 2: first column, last row of the picture
    plot_similarity(photos[:3], captions[:3], scores, tmp_path / "s.png")
    pixels = drawn(tmp_path / "s.png")
    top = colormaps["cividis"](1.0, bytes=True)[:3]
    bright = (pixels == top).all(axis=-1)
    bright[:, int(pixels.shape[1] * 0.78) :] = False  # the colour bar has it too
    rows, columns = np.nonzero(bright)
    assert len(rows) > 2000
    assert rows.mean() > 0.6 * pixels.shape[0]
    assert columns.mean() < 0.6 * pixels.shape[1]


def test_all_equal_scores_still_draw(tmp_path, photos, captions, drawn):
    plot_similarity(photos[:3], captions[:3], np.full((3, 3), 0.5), tmp_path / "s.png")
    drawn(tmp_path / "s.png")


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (np.zeros((2, 3)), r"expected shape \(3, 3\), got \(2, 3\)"),
        (np.full((3, 3), np.nan), "NaN or infinity"),
        (np.full((3, 3), np.inf), "NaN or infinity"),
    ],
)
def test_bad_scores_are_errors(tmp_path, photos, captions, scores, words):
    with pytest.raises(DataError, match=words):
        plot_similarity(photos[:3], captions[:3], scores, tmp_path / "s.png")
    assert not list(tmp_path.iterdir())


def test_wrong_numbers_of_pairs_are_errors(tmp_path, photos, captions):
    with pytest.raises(DataError, match="1 to 20 pairs, not 0"):
        plot_similarity([], [], np.zeros((0, 0)), tmp_path / "s.png")
    with pytest.raises(DataError, match="1 to 20 pairs, not 21"):
        plot_similarity(photos[:21], captions[:21], np.zeros((21, 21)), tmp_path / "s.png")
    with pytest.raises(DataError, match="3 images needs one caption, but there are 2"):
        plot_similarity(photos[:3], captions[:2], np.zeros((3, 3)), tmp_path / "s.png")


def test_an_unreadable_photo_is_said_and_the_rest_drawn(tmp_path, photos, captions, drawn):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photos[0].read_bytes()[:500])
    paths = [broken, *photos[1:3]]
    notes = plot_similarity(paths, captions[:3], similarity(3), tmp_path / "s.png")
    assert len(notes) == 1 and "broken.jpg" in notes[0]
    drawn(tmp_path / "s.png")


def test_dollars_are_no_mathematics(tmp_path, photos, drawn):
    words = ["$5 and $10 a kilo", r"a \frac{sign $x^{"]
    assert plot_similarity(photos[:2], words, similarity(2), tmp_path / "s.png") == []
    drawn(tmp_path / "s.png")
