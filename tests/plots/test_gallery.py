"""Tests the galleries of search results."""

import pytest

from pairlight.errors import DataError
from pairlight.plots.canvas import BLUE
from pairlight.plots.gallery import plot_image_to_text, plot_text_to_image


def test_more_photos_take_more_rows(tmp_path, photos, drawn):
    heights = []
    for count in (1, 5, 7):
        path = tmp_path / f"{count}.png"
        scores = [0.5 - 0.05 * at for at in range(count)]
        assert plot_text_to_image("a horse", photos[:count], scores, path, gallery=35) == []
        heights.append(drawn(path).shape[0])
    assert heights[0] == heights[1] < heights[2]


def test_an_overlong_query_is_cut(tmp_path, photos, drawn):
    plot_text_to_image("a very long query " * 30, photos[:2], [0.2, 0.1], tmp_path / "q.png")
    pixels = drawn(tmp_path / "q.png")
    assert (pixels[:, -6:] == 255).all()  # nothing runs over the right edge


@pytest.mark.parametrize(
    ("count", "scores", "words"),
    [
        (0, [], "no photo"),
        (2, [0.1], r"expected shape \(2,\)"),
        (2, [0.1, float("nan")], "NaN"),
    ],
)
def test_bad_results_are_errors(tmp_path, photos, count, scores, words):
    with pytest.raises(DataError, match=words):
        plot_text_to_image("a horse", photos[:count], scores, tmp_path / "q.png")
    assert not list(tmp_path.iterdir())


def test_a_missing_photo_is_said_and_the_rest_drawn(tmp_path, photos, drawn):
    notes = plot_text_to_image(
        "a horse", [tmp_path / "gone.jpg", photos[0]], [0.2, 0.1], tmp_path / "q.png"
    )
    assert len(notes) == 1 and "gone.jpg" in notes[0]
    drawn(tmp_path / "q.png")


def test_own_captions_are_marked(tmp_path, photos, captions, drawn, has_color):
    blue = []
    for marks in ([True, True, False], [False, False, False]):
        path = tmp_path / "captions.png"
        plot_image_to_text(photos[:1], [captions[:3]], [[0.3, 0.2, 0.1]], [marks], path, 175)
        pixels = drawn(path)
        blue.append(has_color(pixels[:, pixels.shape[1] // 3 :], BLUE))
    assert blue[0] > 300 and blue[1] == 0


def test_captions_that_do_not_fit_the_photos_are_errors(tmp_path, photos, captions):
    path = tmp_path / "captions.png"
    with pytest.raises(DataError, match="no photo or no caption"):
        plot_image_to_text([], [], [], [], path)
    with pytest.raises(DataError, match="no photo or no caption"):
        plot_image_to_text(photos[:1], [[]], [[]], [[]], path)
    with pytest.raises(DataError, match="its own captions"):
        plot_image_to_text(photos[:2], [captions[:1]], [[0.1]], [[True]], path)
    with pytest.raises(DataError, match="expected shape"):
        plot_image_to_text(photos[:1], [captions[:2]], [[0.1]], [[True, False]], path)
    with pytest.raises(DataError, match="2 captions but 1 marks"):
        plot_image_to_text(photos[:1], [captions[:2]], [[0.2, 0.1]], [[True]], path)
