"""Word vectors are learnt from photos and their captions, and judged on other photos."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pairlight.export import word_vectors as module
from pairlight.export.word_vectors import (
    fit_word_vectors,
    mean_average_precision,
    short_texts,
    try_word_vectors,
)

WORDS = ["dog", "cat", "beach", "snow", "ball", "tree"]


def photos(count, seed):
    """Embeddings in which each word has a direction, and captions that say which are there."""
    rng = np.random.default_rng(seed)
    there = rng.random((count, len(WORDS))) < 0.3
    there[np.arange(count), rng.integers(len(WORDS), size=count)] = True
    images = there @ np.random.default_rng(0).normal(size=(len(WORDS), 16))
    images += 0.2 * rng.normal(size=images.shape)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    captions = [[f"a {WORDS[n]}" for n in np.flatnonzero(row)] for row in there]
    return images.astype(np.float32), captions


def blind(texts):
    """Encode every text the same."""
    return np.tile(np.full(16, 0.25, np.float32), (len(texts), 1))


def test_they_find_the_photos_of_a_word():
    vectors = fit_word_vectors(*photos(400, 1), scale=10.0)
    assert sorted(vectors.words) == sorted(WORDS)
    images, captions = photos(200, 2)
    texts = short_texts(captions)
    asked = vectors.added(list(texts), np.zeros((len(texts), 16), np.float32) + 1e-6)
    assert mean_average_precision(asked @ images.T, list(texts.values())) > 0.9


def test_they_are_over_the_logit_scale():
    small, large = (fit_word_vectors(*photos(400, 1), scale=scale) for scale in (5.0, 10.0))
    assert np.allclose(small.scales, 2 * large.scales, rtol=1e-3)


def test_rare_words_and_words_of_every_photo_have_none():
    images, captions = photos(100, 1)
    captions = [[*own, "a photograph"] for own in captions]
    captions[0].append("a zebra")
    assert sorted(fit_word_vectors(images, captions, 10.0).words) == sorted(WORDS)
    assert fit_word_vectors(images[:5], captions[:5], 10.0) is None
    assert fit_word_vectors(images, [["\u72d7"]] * 100, 10.0) is None


def test_short_texts_and_which_photos_show_them():
    captions = [["a dog on the beach"], ["a dog"], ["two dogs in snow"], ["a brown dog"], ["a cat"]]
    found = short_texts(captions)
    assert set(found) == {"a dog", "two dogs"}  # the others are of fewer than three photos
    assert found["a dog"].tolist() == [True, True, True, True, False]


def test_mean_average_precision_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores, right = rng.normal(size=(7, 30)), list(rng.random((7, 30)) < 0.3)
    expected = np.mean([average_precision_score(y, s) for y, s in zip(right, scores, strict=True)])
    assert mean_average_precision(scores, right) == pytest.approx(expected)


def test_what_does_not_help_is_not_kept(monkeypatch):
    bank, held_out = photos(400, 1), photos(200, 2)
    trial = try_word_vectors(*bank, *held_out, 10.0, blind)
    assert trial.kept and trial.after > 0.8 > trial.before
    told = trial.to_json()
    assert told["words"] == 6 and told["photos"] == 400 and told["mAP"]["with"] > 0.8
    # Of a bank whose captions are another photo's nothing can be learnt.
    mixed = [bank[1][n] for n in np.random.default_rng(3).permutation(400)]
    perfect = fit_word_vectors(*bank, 10.0)
    wrong = try_word_vectors(bank[0], mixed, *held_out, 10.0,
                             lambda texts: perfect.added(texts, blind(texts)))  # fmt: skip
    assert not wrong.kept
    assert try_word_vectors(*bank, held_out[0], [["\u72d7"]] * 200, 10.0, blind) is None
    monkeypatch.setattr(module, "LEAST", 1000)
    assert try_word_vectors(*bank, *held_out, 10.0, blind) is None
