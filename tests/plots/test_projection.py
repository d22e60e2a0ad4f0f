"""Tests the t-SNE picture, the layout below it and the groups in it."""

import numpy as np
import pytest

from pairlight.errors import DataError
from pairlight.plots import projection
from pairlight.plots.canvas import PALETTE
from pairlight.types import Embeddings


def embedded(images, each, width=16, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(images), each)
    x = rng.normal(size=(images, width))
    y = x[owner] + noise * rng.normal(size=(len(owner), width))
    unit = [(a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32) for a in (x, y)]
    captions = tuple(f"thing number {row}" for row in owner)
    return Embeddings(*unit, owner, captions=captions)


@pytest.mark.parametrize(("images", "each"), [(1, 2), (2, 1), (7, 5)])
def test_few_points_draw(tmp_path, drawn, has_color, images, each):
    assert projection.plot_tsne(embedded(images, each), tmp_path / "tsne.png") == []
    pixels = drawn(tmp_path / "tsne.png")
    assert has_color(pixels, PALETTE[0]) > 30


def test_the_same_seed_draws_the_same_picture(tmp_path, monkeypatch, drawn):
    monkeypatch.setattr(projection, "MOST", 8)  # so that the seed has something to choose
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        projection.plot_tsne(embedded(12, 2), tmp_path / name, seed)
    a, b, c = (drawn(tmp_path / name) for name in "abc")
    assert (a == b).all()
    assert (a != c).any()


def test_pairs_land_near_each_other():
    data = embedded(20, 1)
    plane = projection.project(np.concatenate([data.images, data.texts]), seed=0)
    gaps = np.linalg.norm(plane[:20, None] - plane[None, 20:], axis=-1)  # (images, captions)
    assert (gaps.argmin(axis=1) == np.arange(20)).mean() > 0.9


def test_points_that_are_all_alike_draw(tmp_path, drawn):
    one = np.zeros((6, 8), np.float32)
    one[:, 0] = 1
    data = Embeddings(one, one, np.arange(6), captions=("a dog",) * 6)
    assert projection.plot_tsne(data, tmp_path / "tsne.png") == []
    drawn(tmp_path / "tsne.png")


def test_many_points_are_sampled(monkeypatch):
    monkeypatch.setattr(projection, "MOST", 10)
    data = embedded(30, 3)
    layout = projection.lay_out(data)
    assert len(layout.rows) == len(layout.columns) == 10  # ten images, and one caption of each
    assert sorted(data.owner[layout.columns]) == sorted(layout.rows)
    assert len(layout.clusters.images) == len(layout.images) == 10
    other = projection.lay_out(data, seed=1)
    assert set(other.rows) != set(layout.rows)


def test_the_picture_shows_fewer_points_than_the_layout(tmp_path, monkeypatch, drawn):
    data = embedded(30, 1)
    layout = projection.lay_out(data)
    projection.plot_tsne(data, tmp_path / "all.png", layout=layout)
    monkeypatch.setattr(projection, "DRAWN", 5)
    projection.plot_tsne(data, tmp_path / "few.png", layout=layout)
    ink = [(drawn(tmp_path / name) < 200).any(axis=-1).sum() for name in ("all.png", "few.png")]
    assert ink[0] > ink[1] + 1000


def test_captions_without_an_image_drawn_stay_out():
    rng = np.random.default_rng(0)
    owner = np.array([0, 0, 2, 3])
    assert list(projection.captions_of(owner, np.array([0, 3]), rng, 10)) == [0, 1, 3]


def test_images_without_captions_are_laid_out():
    data = embedded(6, 1)
    few = Embeddings(data.images, data.texts[:2], np.array([0, 5]), captions=("a dog", "a cat"))
    layout = projection.lay_out(few)
    assert list(layout.rows) == list(range(6)) and list(layout.columns) == [0, 1]


def test_too_few_points_and_nan_are_errors(tmp_path):
    with pytest.raises(DataError, match="at least 3"):
        projection.plot_tsne(embedded(1, 1), tmp_path / "tsne.png")
    data = embedded(5, 2)
    data.texts[3, 1] = np.nan
    with pytest.raises(DataError, match="caption embeddings: holds NaN"):
        projection.plot_tsne(data, tmp_path / "tsne.png")
    with pytest.raises(DataError, match=r"caption embeddings: expected shape \(10, 16\)"):
        short = embedded(5, 2)
        projection.plot_tsne(
            Embeddings(short.images, short.texts[:-1], short.owner), tmp_path / "tsne.png"
        )
    assert not list(tmp_path.iterdir())
