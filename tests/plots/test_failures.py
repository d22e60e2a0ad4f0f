"""Tests which failures are found, and the pictures of the worst of them."""

import numpy as np
import pytest

from pairlight.metrics.retrieval import ranks
from pairlight.plots.canvas import BLUE, VERMILION
from pairlight.plots.failures import plot_failed_captions, plot_failed_images
from pairlight.plots.worst import failed_captions, failed_images
from pairlight.types import Embeddings


def directions(*angles):
    turned = np.radians(angles)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


@pytest.fixture
def swapped(photos, captions):
    """Four images with a caption each and one with two; the captions of 0 and 1 are swapped."""
    return Embeddings(
        directions(0, 20, 90, 180),
        directions(21, 1, 90, 180, 170),
        np.array([0, 1, 2, 3, 3]),
        tuple("abcd"),
        tuple(captions[:5]),
        tuple(photos[:4]),
    )


def test_failures_name_what_was_found_instead(swapped):
    i2t, t2i = ranks(swapped.images, swapped.texts, swapped.owner)
    worst = failed_images(swapped, i2t)
    assert [(each.query, each.rank, each.right, each.found) for each in worst] == [
        (0, 2, 0, (1,)),
        (1, 2, 1, (0,)),
    ]
    assert worst[0].score == pytest.approx(np.cos(np.radians(21)), abs=1e-6)
    assert worst[0].scores[0] == pytest.approx(np.cos(np.radians(1)), abs=1e-6)
    assert [(each.query, each.found) for each in failed_captions(swapped, t2i)] == [
        (0, (1,)),
        (1, (0,)),
    ]


def test_failures_agree_with_a_slow_search():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6)), rng.normal(size=(120, 6))
    unit = [(a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32) for a in (x, y)]
    data = Embeddings(*unit, np.repeat(np.arange(40), 3))
    i2t, t2i = ranks(data.images, data.texts, data.owner)
    found = failed_images(data, i2t, show=3)
    assert [each.rank for each in found] == sorted((r for r in i2t if r > 1), reverse=True)
    for each in found:
        scores = data.texts @ data.images[each.query]
        order = [j for j in np.argsort(-scores) if data.owner[j] != each.query]
        assert list(each.found) == order[: min(3, each.rank - 1)]
        assert all(score >= each.score for score in each.scores)
    for each in failed_captions(data, t2i, show=4):
        order = np.argsort(-(data.images @ data.texts[each.query]))
        assert each.right == data.owner[each.query] == order[each.rank - 1]
        assert list(each.found) == list(order[: min(4, each.rank - 1)])


def test_how_many_failures_are_asked_for():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(9, 4)), rng.normal(size=(45, 4))
    unit = [(a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32) for a in (x, y)]
    data = Embeddings(*unit, np.repeat(np.arange(9), 5))
    i2t, t2i = ranks(data.images, data.texts, data.owner)
    assert len(failed_captions(data, t2i, 3)) == 3
    one = failed_captions(data, t2i, one_an_image=True)
    owners = [int(data.owner[each.query]) for each in one]
    assert len(owners) == len(set(owners))
    assert [each.rank for each in one] == sorted((each.rank for each in one), reverse=True)
    assert len(failed_images(data, i2t, 0)) == 0


def test_an_image_without_captions_does_not_fail(swapped):
    alone = Embeddings(
        swapped.images, swapped.texts[:2], np.array([0, 1]), (), swapped.captions[:2]
    )
    i2t, _ = ranks(alone.images, alone.texts, alone.owner)
    assert {each.query for each in failed_images(alone, i2t)} == {0, 1}


def test_pictures_of_failures(tmp_path, swapped, drawn, has_color):
    i2t, t2i = ranks(swapped.images, swapped.texts, swapped.owner)
    images, texts = failed_images(swapped, i2t), failed_captions(swapped, t2i)
    assert plot_failed_images(swapped, images, 2, tmp_path / "i2t.png") == []
    assert plot_failed_captions(swapped, texts, 2, tmp_path / "t2i.png") == []
    assert plot_failed_captions(swapped, texts[:1], 2, tmp_path / "one.png") == []
    sizes = []
    for name in ("i2t.png", "t2i.png", "one.png"):
        pixels = drawn(tmp_path / name)
        sizes.append(pixels.shape[0])
        assert has_color(pixels, BLUE) > 30 and has_color(pixels, VERMILION) > 30
    assert sizes[1] > sizes[2]


def test_no_failure_is_said_in_a_picture_that_replaces_the_old_one(tmp_path, swapped, drawn):
    path = tmp_path / "failures_i2t.png"
    path.write_bytes(b"old")
    assert plot_failed_images(swapped, [], 0, path) == []
    assert plot_failed_captions(swapped, [], 0, tmp_path / "t2i.png") == []
    assert (drawn(path) < 128).any() and (drawn(tmp_path / "t2i.png") < 128).any()


def test_a_photo_that_is_gone_and_odd_captions_draw(tmp_path, swapped, drawn):
    odd = ("<b>$x^2$</b> & \"'", "שלום עולם", "一只狗", "🐕🐕", "a\nb\tc" * 60)
    paths = (tmp_path / "gone.jpg", *swapped.paths[1:])
    data = Embeddings(swapped.images, swapped.texts, swapped.owner, tuple("abcd"), odd, paths)
    i2t, t2i = ranks(data.images, data.texts, data.owner)
    notes = plot_failed_images(data, failed_images(data, i2t), 2, tmp_path / "i2t.png")
    notes += plot_failed_captions(data, failed_captions(data, t2i), 2, tmp_path / "t2i.png")
    assert any("gone.jpg" in note for note in notes)
    drawn(tmp_path / "i2t.png")
    drawn(tmp_path / "t2i.png")
