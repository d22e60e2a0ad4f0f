"""Checks alignment, uniformity and the modality gap against loops and known answers."""

import math

import numpy as np
import pytest

from pairlight.metrics.geometry import alignment, gap, modality_gap, uniformity
from pairlight.metrics.retrieval import ranks, recall_at_k


def unit(seed, n, d):
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_alignment_is_the_mean_squared_distance_of_pairs(chunk):
    images, texts = unit(0, 9, 5), unit(1, 23, 5)
    owner = np.random.default_rng(2).integers(9, size=23)
    want = np.mean([((texts[j] - images[owner[j]]) ** 2).sum() for j in range(23)])
    assert alignment(images, texts, owner, chunk) == pytest.approx(want, rel=1e-6)


def test_alignment_runs_from_zero_to_four():
    rows = unit(0, 5, 3)
    assert alignment(rows, rows, np.arange(5)) == 0
    assert alignment(rows, -rows, np.arange(5)) == pytest.approx(4)


@pytest.mark.parametrize("chunk", [1, 4, 17, 1024])
def test_uniformity_is_over_each_distinct_pair(chunk):
    rows = unit(3, 17, 4)
    terms = [
        math.exp(-2 * float(((rows[i].astype(float) - rows[j]) ** 2).sum()))
        for i in range(17)
        for j in range(i)
    ]
    assert uniformity(rows, chunk=chunk) == pytest.approx(math.log(np.mean(terms)), rel=1e-5)


def test_uniformity_of_known_sets():
    point = np.repeat(unit(4, 1, 64), 30, axis=0)
    assert uniformity(point) == pytest.approx(0, abs=1e-5)
    assert uniformity(np.eye(6, dtype=np.float32)) == pytest.approx(-4)  # all 2 apart, squared
    assert uniformity(point[:1]) is None
    # Random directions in many dimensions are nearly orthogonal.
    assert uniformity(unit(5, 400, 256)) == pytest.approx(-4, abs=0.1)


def test_uniformity_samples_large_sets_by_seed():
    rows = unit(6, 3000, 8)
    whole = uniformity(rows)
    part = uniformity(rows, limit=1000, seed=1)
    assert part == uniformity(rows, limit=1000, seed=1)
    assert part != uniformity(rows, limit=1000, seed=2)
    assert part == pytest.approx(whole, abs=0.03)


def test_modality_gap_is_the_distance_of_the_means():
    images, texts = unit(7, 11, 6), unit(8, 31, 6)
    gap = images.astype(float).mean(0) - texts.astype(float).mean(0)
    assert modality_gap(images, texts) == pytest.approx(math.sqrt((gap**2).sum()), rel=1e-9)
    assert modality_gap(images, images) == 0
    assert modality_gap(images[:1], -images[:1]) == pytest.approx(2)


def test_gap_equals_the_slow_twin():
    images, texts = unit(9, 12, 6), unit(10, 40, 6)
    owner = np.random.default_rng(11).integers(12, size=40)
    found = gap(images, texts, owner)
    x = sum(row.astype(float) for row in images) / 12
    y = sum(row.astype(float) for row in texts) / 40
    assert found["distance"] == pytest.approx(math.dist(x, y))
    assert found["distance"] == pytest.approx(modality_gap(images, texts))
    assert found["centroid_cosine"] == pytest.approx(
        sum(x * y) / math.hypot(*x) / math.hypot(*y), abs=1e-6
    )
    along = whole = 0.0
    for j in range(40):
        apart = images[owner[j]].astype(float) - texts[j]
        along += (apart @ (x - y) / math.dist(x, y)) ** 2
        whole += apart @ apart
    assert found["direction_share"] == pytest.approx(along / whole, rel=1e-5)
    closed = [
        np.array([(r - c) / math.dist(r, c) for r in s]) for s, c in ((images, x), (texts, y))
    ]
    i2t, t2i = ranks(closed[0].astype(np.float32), closed[1].astype(np.float32), owner)
    assert found["closed"]["i2t_R@1"] == pytest.approx(recall_at_k(i2t, 1))
    assert found["closed"]["t2i_R@1"] == pytest.approx(recall_at_k(t2i, 1))
    rsum = sum(recall_at_k(side, k) for side in (i2t, t2i) for k in (1, 5, 10))
    assert found["closed"]["rsum"] == pytest.approx(rsum)


def test_a_planted_gap_is_all_there_is_between_pairs():
    rows = unit(12, 50, 8).astype(float)
    rows[:, 0] = 0
    up, down = (rows / np.linalg.norm(rows, axis=1, keepdims=True) * 0.6 for _ in range(2))
    up[:, 0], down[:, 0] = 0.8, -0.8  # a pair differs in its first coordinate and nowhere else
    found = gap(up.astype(np.float32), down.astype(np.float32), np.arange(50))
    assert found["distance"] == pytest.approx(1.6) and found["centroid_cosine"] < -0.9
    assert found["direction_share"] == pytest.approx(1)
    assert found["closed"] == {"rsum": 600, "i2t_R@1": 100, "t2i_R@1": 100}


def test_no_gap_no_direction():
    rows = unit(13, 20, 6)
    found = gap(rows, rows, np.arange(20))
    assert found["distance"] == 0 and found["direction_share"] is None
    assert found["centroid_cosine"] == pytest.approx(1)
    one = gap(rows[:1], rows[1:2], np.array([0]))
    assert one["closed"] is None and one["direction_share"] == pytest.approx(1)
