"""Checks that intervals resample images with their captions, by seed, and cover."""

import numpy as np
import pytest

from pairlight.metrics.bootstrap import KS, recall_intervals


def slow_intervals(i2t, t2i, owner, resamples, seed):
    """Draw images, list their captions and count, one query at a time."""
    rng = np.random.default_rng(seed)
    asking = [i for i in range(len(i2t)) if i2t[i] > 0]
    values = []
    for _ in range(resamples):
        drawn = [asking[x] for x in rng.integers(len(asking), size=len(asking))]
        captions = [j for i in drawn for j in range(len(owner)) if owner[j] == i]
        row = [100 * np.mean([i2t[i] <= k for i in drawn]) for k in KS]
        row += [100 * np.mean([t2i[j] <= k for j in captions]) for k in KS]
        values.append([*row, sum(row)])
    return np.percentile(values, [2.5, 97.5], axis=0)


def some_ranks(n, seed=0):
    rng = np.random.default_rng(seed)
    owner = rng.integers(n, size=3 * n)
    i2t = np.where(np.bincount(owner, minlength=n) > 0, rng.integers(1, 15, size=n), 0)
    return i2t, rng.integers(1, 15, size=3 * n), owner


def test_equals_the_slow_twin():
    i2t, t2i, owner = some_ranks(25)
    assert (i2t == 0).any()
    low, high = slow_intervals(i2t, t2i, owner, 60, seed=3)
    got = recall_intervals(i2t, t2i, owner, resamples=60, seed=3)
    sides = [f"{side}_R@{k}" for side in ("i2t", "t2i") for k in KS]
    assert list(got) == [*sides, "rsum"]
    assert np.allclose(list(got.values()), np.stack([low, high], axis=1))


def test_the_seed_decides():
    ranks = some_ranks(40)
    assert recall_intervals(*ranks, seed=1) == recall_intervals(*ranks, seed=1)
    assert recall_intervals(*ranks, seed=1) != recall_intervals(*ranks, seed=2)


def test_captions_of_one_image_are_not_independent():
    # Five captions an image, all right or all wrong: as uncertain as one caption an image.
    n = 400
    right = np.random.default_rng(0).random(n) < 0.4
    ranks = np.where(right, 1, 20)
    low, high = recall_intervals(ranks, np.repeat(ranks, 5), np.repeat(np.arange(n), 5))["t2i_R@1"]
    share = right.mean()
    assert high - low == pytest.approx(2 * 1.96 * 100 * (share * (1 - share) / n) ** 0.5, rel=0.1)


def test_covers_the_true_recall_about_95_times_in_100():
    rng = np.random.default_rng(7)
    n, truth, covered = 120, 0.35, 0
    for trial in range(200):
        i2t = np.where(rng.random(n) < truth, 1, 20)
        low, high = recall_intervals(i2t, i2t, np.arange(n), resamples=200, seed=trial)["i2t_R@1"]
        covered += low <= 100 * truth <= high
    assert 180 <= covered <= 199


def test_a_certain_recall_has_no_width():
    ones = np.ones(6, int)
    got = recall_intervals(ones, ones, np.arange(6), resamples=20)
    assert got["t2i_R@10"] == [100, 100] and got["rsum"] == [600, 600]
