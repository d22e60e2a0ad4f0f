"""Checks histograms, overlap and AUC against loops over all pairs, and their special cases."""

import numpy as np
import pytest
from invented import invent, unit
from sklearn.metrics import roc_auc_score

from pairlight.metrics.similarity import similarity


def similar(embeddings, **more):
    return similarity(embeddings.images, embeddings.texts, embeddings.owner, **more)


def slow_scores(e):
    """All scores in loops; rows on a coarse grid, so that float64 has them exactly."""
    right, wrong = [], []
    for i, image in enumerate(e.images.astype(float)):
        for j, text in enumerate(e.texts.astype(float)):
            (right if e.owner[j] == i else wrong).append(float(np.float32(image @ text)))
    return right, wrong


def test_equals_the_slow_twin():
    e = invent(n=15, each=np.arange(15) % 4, noise=1.2)
    right, wrong = slow_scores(e)
    found = similar(e)
    edges = found["edges"]
    assert len(edges) == 41 and edges == sorted(edges)
    assert edges[0] == pytest.approx(min(right + wrong)) and edges[-1] == pytest.approx(
        max(right + wrong)
    )
    for side, values in (("positive", right), ("negative", wrong)):
        assert found[side]["counts"] == np.histogram(values, bins=edges)[0].tolist()
        assert sum(found[side]["counts"]) == len(values)
        assert found[side]["mean"] == pytest.approx(np.mean(values), abs=1e-6)
        assert found[side]["std"] == pytest.approx(np.std(values), abs=1e-6)
    shares = [np.histogram(v, bins=edges)[0] / len(v) for v in (right, wrong)]
    overlap = sum(min(a, b) for a, b in zip(*shares, strict=True))
    assert found["overlap"] == pytest.approx(overlap) and 0 < overlap < 1
    beats = np.mean([(r > w) + (r == w) / 2 for r in right for w in wrong])
    assert found["auc"] == pytest.approx(beats) and 0.5 < beats < 1
    assert found["negative"]["sampled"] is False


def test_auc_is_that_of_scikit_learn():
    e = invent(n=40, noise=2.0)
    scores = (e.images.astype(float) @ e.texts.T.astype(float)).astype(np.float32)
    labels = e.owner[None, :] == np.arange(40)[:, None]
    assert similar(e)["auc"] == pytest.approx(roc_auc_score(labels.ravel(), scores.ravel()))


def test_ties_count_half():
    """A collapsed model tells nothing apart, in whatever order its scores were summed."""
    row = invent(n=1, each=1, d=48).images
    images, texts = np.repeat(row, 37, 0), np.repeat(row, 111, 0)
    found = similarity(images, texts, np.repeat(np.arange(37), 3))
    assert found["auc"] == 0.5 and found["overlap"] == 1
    assert found["edges"][0] < found["positive"]["mean"] < found["edges"][-1]
    assert sum(found["negative"]["counts"]) == 37 * 111 - 111


def test_planted_extremes():
    rows = np.eye(6, dtype=np.float32)
    apart = similarity(rows, rows, np.arange(6))
    assert apart["auc"] == 1 and apart["overlap"] == 0
    assert (apart["positive"]["mean"], apart["negative"]["mean"]) == (1, 0)
    wrong = similarity(rows, rows[[1, 0]], np.arange(2))
    assert wrong["auc"] == pytest.approx(0.5 * 8 / 10)  # level with 8 of 10, below the other two


def test_a_sample_of_wrong_pairs_is_seeded_and_near_the_whole():
    e = invent(n=300, each=2, noise=1.5)
    whole = similar(e)
    parts = [similar(e, most=40_000, seed=seed) for seed in (1, 1, 2)]
    assert parts[0] == parts[1] != parts[2]
    for part in parts:
        assert part["negative"]["sampled"]
        assert 30_000 < sum(part["negative"]["counts"]) <= 40_000
        assert sum(part["positive"]["counts"]) == 600
        assert part["auc"] == pytest.approx(whole["auc"], abs=0.01)
        assert part["negative"]["mean"] == pytest.approx(whole["negative"]["mean"], abs=0.01)
    lopsided = invent(n=2, each=5000)
    found = similar(lopsided, most=1000)
    assert 0 < sum(found["negative"]["counts"]) <= 1000


def test_without_wrong_pairs_nothing_is_compared():
    for e in (invent(n=1, each=1), invent(n=1, each=4)):
        found = similar(e)
        assert found["overlap"] is None and found["auc"] is None
        assert found["negative"]["mean"] is None and sum(found["negative"]["counts"]) == 0
        assert sum(found["positive"]["counts"]) == len(e.texts)


def test_blocks_do_not_change_a_count(monkeypatch):
    import pairlight.metrics.similarity as module

    e = invent(n=31, noise=1.5)
    whole = similar(e)
    monkeypatch.setattr(module, "BLOCK", 100)
    assert similar(e) == whole


def test_unit_rows_of_another_dimension():
    assert similarity(unit(np.ones((1, 3))), unit(np.ones((1, 3))), np.array([0]))["edges"]
