"""Batches of pixels and of texts."""

import numpy as np
import pytest

from pairlight.errors import DataError
from pairlight.imaging import load_square
from pairlight.runtime.batches import pixel_batches, text_batches
from pairlight.sample import sample_dir

PHOTOS = sorted((sample_dir() / "images").glob("*.jpg"))[:5]


def test_pixels_come_in_order():
    found = list(pixel_batches(PHOTOS, 32, 2))
    assert [rows for rows, _ in found] == [[0, 1], [2, 3], [4]]
    pixels = np.concatenate([each for _, each in found])
    assert pixels.dtype == np.uint8 and pixels.shape == (5, 32, 32, 3)
    np.testing.assert_array_equal(pixels[3], load_square(PHOTOS[3], 32))


def test_unreadable_files_are_left_out_or_named(tmp_path):
    gone = tmp_path / "gone.jpg"
    paths = [gone, PHOTOS[0], gone, gone, PHOTOS[1]]
    assert [rows for rows, _ in pixel_batches(paths, 32, 2, skip=True)] == [[1], [4]]
    with pytest.raises(DataError, match="gone.jpg"):
        list(pixel_batches(paths, 32, 2))


def test_texts_of_like_length_go_together():
    ids = [[1] * n for n in (5, 1, 4, 2, 3)]
    assert list(text_batches(ids, 2)) == [[1, 3], [4, 2], [0]]
    assert list(text_batches([], 2)) == []
