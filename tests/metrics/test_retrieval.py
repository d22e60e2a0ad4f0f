"""Checks ranks against a slow obvious twin, against peers, and on ties in every chunk size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    coverage_error,
    label_ranking_average_precision_score,
    top_k_accuracy_score,
)

from pairlight.errors import DataError
from pairlight.metrics.retrieval import check, ranks, recall_at_k, summary


def unit(rng, n, d):
    rows = rng.normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def world(n=60, m=200, d=32, seed=0):
    """Images, captions somewhat like them, and owners; some images may have no caption."""
    rng = np.random.default_rng(seed)
    images = unit(rng, n, d)
    owner = rng.integers(n, size=m)
    texts = images[owner] + 2.5 * unit(rng, m, d)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    return images, texts, owner


def slow_ranks(images, texts, owner):
    """The definition, word by word, in Python's whole numbers: no rounding error at all."""
    a = [[round(float(x) * 2**26) for x in row] for row in images]
    b = [[round(float(x) * 2**26) for x in row] for row in texts]
    scores = [[sum(x * y for x, y in zip(i, j, strict=True)) for j in b] for i in a]
    i2t = []
    for i in range(len(a)):
        own = [scores[i][j] for j in range(len(b)) if owner[j] == i]
        others = [scores[i][j] for j in range(len(b)) if owner[j] != i]
        i2t.append(1 + sum(s >= max(own) for s in others) if own else 0)
    t2i = []
    for j in range(len(b)):
        own = scores[owner[j]][j]
        t2i.append(1 + sum(scores[i][j] >= own for i in range(len(a)) if i != owner[j]))
    return i2t, t2i


@st.composite
def galleries(draw):
    """Small galleries whose rows come from a small pool, so that ties abound."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d = draw(st.sampled_from([1, 2, 3, 8, 33]))
    pool = unit(rng, draw(st.integers(1, 12)), d)
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 20))
    images, texts = pool[rng.integers(len(pool), size=n)], pool[rng.integers(len(pool), size=m)]
    return images, texts, rng.integers(n, size=m), draw(st.sampled_from([1, 2, 3, 5, 64]))


@settings(max_examples=150, deadline=None)
@given(galleries())
def test_equals_the_slow_twin(gallery):
    images, texts, owner, chunk = gallery
    i2t, t2i = ranks(images, texts, owner, chunk=chunk)
    want_i2t, want_t2i = slow_ranks(images, texts, owner)
    assert i2t.tolist() == want_i2t
    assert t2i.tolist() == want_t2i


def test_equals_the_slow_twin_on_a_model_like_gallery():
    images, texts, owner = world(n=40, m=90)
    i2t, t2i = ranks(images, texts, owner, chunk=17)
    want_i2t, want_t2i = slow_ranks(images, texts, owner)
    assert i2t.tolist() == want_i2t and t2i.tolist() == want_t2i
    assert max(want_t2i) > 1 and 0 in want_i2t  # neither trivial nor without a bare image


@pytest.mark.parametrize("d", [63, 256, 257])
def test_equal_rows_tie_in_every_chunk_size(d):
    rng = np.random.default_rng(1)
    images = np.repeat(unit(rng, 37, d), 3, axis=0)  # each image three times
    owner = np.arange(len(images))
    texts = np.repeat(unit(rng, 37, d), 3, axis=0)
    shuffled = rng.permutation(len(images))
    images, texts = images[shuffled], texts[shuffled]
    results = [ranks(images, texts, owner, chunk) for chunk in (1, 2, 7, 16, 64, 110, 111, 5000)]
    for i2t, t2i in results:
        assert (i2t == results[0][0]).all() and (t2i == results[0][1]).all()
        assert (i2t % 3 == 0).all() and (t2i % 3 == 0).all()  # whole triples are in front


@pytest.mark.parametrize("chunk", [8, 100, 1024])
def test_a_collapsed_model_is_last(chunk):
    n, each = 300, 5
    row = unit(np.random.default_rng(2), 1, 48)
    owner = np.repeat(np.arange(n), each)
    i2t, t2i = ranks(np.repeat(row, n, 0), np.repeat(row, n * each, 0), owner, chunk)
    assert (i2t == 1 + (n - 1) * each).all()
    assert (t2i == n).all()


def test_near_ties_are_told_apart():
    # 1e-7 apart in score: less than the error bound of a float32 dot product of 512 terms.
    rng = np.random.default_rng(3)
    text = unit(rng, 1, 512)
    images = np.repeat(text, 200, axis=0)
    images[np.arange(200), np.arange(200)] += np.float32(2e-3) * np.linspace(0, 1, 200)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    owner = np.array([0])
    for own in (0, 50, 199):
        order = np.r_[own, np.delete(np.arange(200), own)]
        _, t2i = ranks(images[order], text, owner, chunk=33)
        assert t2i.tolist() == slow_ranks(images[order], text, owner)[1]


def test_agrees_with_plain_float64_scores():
    images, texts, owner = world(n=500, m=1500, d=256, seed=4)
    scores = images.astype(float) @ texts.T.astype(float)
    own = scores[owner, np.arange(len(owner))]
    _, t2i = ranks(images, texts, owner, chunk=128)
    assert (t2i == (scores >= own - 1e-12).sum(axis=0)).mean() > 0.999


def test_agrees_with_scikit_learn():
    images, texts, owner = world()
    _, t2i = ranks(images, texts, owner)
    scores = texts.astype(float) @ images.T.astype(float)
    for k in (1, 5, 10):
        want = 100 * top_k_accuracy_score(owner, scores, k=k, labels=np.arange(len(images)))
        assert recall_at_k(t2i, k) == pytest.approx(want)
    right = np.eye(len(images), dtype=int)[owner]
    assert np.mean(1 / t2i) == pytest.approx(label_ranking_average_precision_score(right, scores))


def test_agrees_with_scikit_learn_on_ties():
    rng = np.random.default_rng(5)
    grid = np.eye(8, dtype=np.float32)  # scores are 0 or 1: nearly everything ties
    images, texts = grid[rng.integers(8, size=30)], grid[rng.integers(8, size=70)]
    owner = rng.integers(30, size=70)
    _, t2i = ranks(images, texts, owner, chunk=9)
    assert np.mean(t2i) == pytest.approx(coverage_error(np.eye(30)[owner], texts @ images.T))


def test_agrees_with_torchmetrics():
    torch = pytest.importorskip("torch")
    retrieval = pytest.importorskip("torchmetrics.retrieval")
    images, texts, owner = world(n=30, m=80, seed=6)
    i2t, t2i = ranks(images, texts, owner)
    scores = torch.from_numpy(images @ texts.T)
    right = torch.from_numpy(owner[None, :] == np.arange(len(images))[:, None])
    rows = torch.arange(len(images))[:, None].expand_as(scores)
    columns = torch.arange(len(texts))[None, :].expand_as(scores)
    for k in (1, 5, 10):
        hit = retrieval.RetrievalHitRate(top_k=k, empty_target_action="skip")
        want = hit(scores.flatten(), right.flatten(), indexes=rows.flatten())
        assert recall_at_k(i2t, k) == pytest.approx(100 * float(want), abs=1e-4)
        found = retrieval.RetrievalRecall(top_k=k)
        want = found(scores.T.flatten(), right.T.flatten(), indexes=columns.T.flatten())
        assert recall_at_k(t2i, k) == pytest.approx(100 * float(want), abs=1e-4)


def test_image_without_captions_is_a_distractor_only():
    images = np.eye(3, dtype=np.float32)
    texts = images[[1, 1]]
    i2t, t2i = ranks(images, texts, np.array([0, 1]))
    # Image 2 asks nothing; caption 0 finds images 1 and then 0 and 2 tied.
    assert i2t.tolist() == [2, 2, 0] and t2i.tolist() == [3, 1]
    assert recall_at_k(i2t, 2) == 100.0


def test_summary_by_hand():
    assert summary(np.array([1, 2, 0, 6, 11])) == {
        "R@1": 25.0,
        "R@5": 50.0,
        "R@10": 75.0,
        "median_rank": 4.0,
        "mean_rank": 5.0,
    }
    with pytest.raises(DataError, match="no query"):
        recall_at_k(np.zeros(3, int), 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["image", "text"])
def test_a_broken_embedding_is_an_error_not_a_score(bad, side):
    images, texts, owner = world()
    (images if side == "image" else texts)[7, 3] = bad
    with pytest.raises(DataError, match=f"{side} embedding 7 holds NaN or infinity"):
        ranks(images, texts, owner)


def test_what_does_not_fit_is_refused():
    images, texts, owner = world()
    with pytest.raises(DataError, match="text embedding 0 has length 2"):
        check(images, texts * 2, owner)
    with pytest.raises(DataError, match="nothing to rank"):
        check(images, texts[:0], owner[:0])
    with pytest.raises(DataError, match="one model"):
        check(images, unit(np.random.default_rng(0), len(texts), 8), owner)
    with pytest.raises(DataError, match="one for each caption"):
        check(images, texts, owner[1:])
    with pytest.raises(DataError, match="one for each caption"):
        check(images, texts, owner.astype(float))
    with pytest.raises(DataError, match="outside 0..59"):
        check(images, texts, owner + 60)
    with pytest.raises(DataError, match="chunk"):
        ranks(images, texts, owner, chunk=0)
