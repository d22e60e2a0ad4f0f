"""Tests the t-SNE picture."""

import numpy as np
import pytest

from pairlight.errors import DataError
from pairlight.plots import projection
from pairlight.plots.canvas import BLUE, ORANGE
from pairlight.types import Embeddings


def embedded(images, each, width=16, seed=0):
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(images), each)
    x = rng.normal(size=(images, width))
    y = x[owner] + 0.1 * rng.normal(size=(len(owner), width))
    unit = [(a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32) for a in (x, y)]
    return Embeddings(*unit, owner)


@pytest.mark.parametrize(("images", "each"), [(1, 2), (2, 1), (7, 5)])
def test_few_points_draw(tmp_path, drawn, has_color, images, each):
    assert projection.plot_tsne(embedded(images, each), tmp_path / "tsne.png") == []
    pixels = drawn(tmp_path / "tsne.png")
    assert has_color(pixels, BLUE) > 30 and has_color(pixels, ORANGE) > 30


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


def test_many_points_are_sampled(tmp_path, monkeypatch, drawn):
    monkeypatch.setattr(projection, "MOST", 10)
    seen = []
    monkeypatch.setattr(
        projection, "project", lambda points, seed: seen.append(points) or points[:, :2]
    )
    data = embedded(30, 3)
    projection.plot_tsne(data, tmp_path / "tsne.png")
    drawn(tmp_path / "tsne.png")
    points = seen[0]
    assert len(points) == 20  # ten images, and one caption of each
    rows = [int(np.flatnonzero((data.images == p).all(axis=1))[0]) for p in points[:10]]
    columns = [int(np.flatnonzero((data.texts == p).all(axis=1))[0]) for p in points[10:]]
    assert sorted(data.owner[columns]) == rows == sorted(set(rows))


def test_captions_without_an_image_drawn_stay_out():
    rng = np.random.default_rng(0)
    owner = np.array([0, 0, 2, 3])
    assert list(projection._captions_of(owner, np.array([0, 3]), rng)) == [0, 1, 3]


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
