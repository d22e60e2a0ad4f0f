"""The ranking of doubtful captions, on invented embeddings whose truth is known."""

import numpy as np
import pytest

from pairlight.doctor.evidence import sibling_table
from pairlight.doctor.logistic import fit_logistic
from pairlight.doctor.mapping import correlate, unit
from pairlight.doctor.mismatch import SURE, Judge, better_photos, doubts, gather


def world(photos=200, each=5, noise=0.6, shared=True, seed=0):
    """Photos and captions as noisy views of the same meanings; not shared: in rotated spaces."""
    rng = np.random.default_rng(seed)
    meaning = rng.normal(size=(photos, 16))
    owner = np.repeat(np.arange(photos), each)
    images = meaning + noise * rng.normal(size=meaning.shape)
    texts = meaning[owner] + noise * rng.normal(size=(len(owner), 16))
    if not shared:
        images = images @ rng.normal(size=(16, 40))
        texts = texts @ rng.normal(size=(16, 24))
    return unit(images), unit(texts), owner


def plant(owner, count, seed=0):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(owner.max() + 1, count, replace=False)
    captions = np.array([np.flatnonzero(owner == photo)[0] for photo in chosen])
    moved = owner.copy()
    moved[captions] = np.roll(chosen, 1)
    return moved, captions


def judged(images, texts, owner, shared, seed=0):
    return Judge(images, texts, owner, shared, np.random.default_rng(seed))


@pytest.mark.parametrize("shared", [True, False])
def test_planted_captions_come_first(shared):
    images, texts, owner = world(shared=shared)
    moved, captions = plant(owner, 20)
    judge = judged(images, texts, moved, shared)
    doubt = doubts(gather(judge))
    first = np.argsort(-doubt)[:25]
    assert len(np.intersect1d(first, captions)) >= 18
    # A chance of one in a hundred before, far above a half after.
    assert (doubt[captions] >= SURE).mean() > 0.5
    assert (np.delete(doubt, captions) >= SURE).mean() < 0.01


def test_clean_captions_are_hardly_ever_findings():
    images, texts, owner = world(seed=3)
    assert (doubts(gather(judged(images, texts, owner, True))) >= SURE).mean() < 0.005


def test_the_better_photo_is_where_the_caption_came_from():
    images, texts, owner = world(noise=0.3)
    moved, captions = plant(owner, 20)
    judge = judged(images, texts, moved, True)
    own, best, score = better_photos(judge, captions)
    assert (best == owner[captions]).mean() > 0.9
    assert (score > own).all()
    assert (best != moved[captions]).all()


def test_photos_of_one_caption_are_judged_by_the_photo_alone():
    images, texts, owner = world(photos=300, each=1, noise=0.3)
    moved, captions = plant(owner, 20)
    doubt = doubts(gather(judged(images, texts, moved, True)))
    assert np.isfinite(doubt).all()
    assert len(np.intersect1d(np.argsort(-doubt)[:30], captions)) >= 15


def test_no_caption_is_judged_by_a_map_that_saw_it():
    """Noise that only the fold itself knows must not make its captions look right."""
    rng = np.random.default_rng(0)
    images, texts = unit(rng.normal(size=(60, 50))), unit(rng.normal(size=(60, 50)))
    judge = judged(images, texts, np.arange(60), False)
    scores = np.zeros(60)
    for fold, captions, _ in judge.folds():
        (space,) = judge.spaces(fold)
        scores[captions] = (space.texts[captions] * space.images[captions]).sum(axis=1)
    assert abs(scores.mean()) < 0.12
    # The same map fitted on everything does know them by heart.
    to_image, to_text = correlate(images, texts, np.arange(60), 50)
    known = (unit(images @ to_image) * unit(texts @ to_text)).sum(axis=1)
    assert known.mean() > 0.5


def test_the_same_seed_gives_the_same_doubts():
    images, texts, owner = world(photos=60)
    first, second = (doubts(gather(judged(images, texts, owner, True, 1))) for _ in range(2))
    assert (first == second).all()


def test_sibling_table_holds_each_photos_captions():
    owner = np.array([2, 0, 2, 1, 2])
    table = sibling_table(owner, 4, np.random.default_rng(0))
    assert table.shape == (4, 3)
    found = [set(row[row >= 0].tolist()) for row in table]
    assert found == [{1}, {3}, {0, 2, 4}, set()]


def test_logistic_finds_the_weights_that_made_the_data():
    rng = np.random.default_rng(0)
    found = rng.normal(3, 2, (20000, 2))
    chance = 1 / (1 + np.exp(-(found @ [1.5, -0.5] - 1)))
    weights, bias = fit_logistic(found, rng.random(20000) < chance, ridge=1e-6)
    assert np.allclose(weights, [1.5, -0.5], atol=0.1) and abs(bias + 1) < 0.15


def test_logistic_of_a_signal_that_says_nothing():
    found = np.column_stack([np.zeros(10), np.arange(10.0)])
    weights, bias = fit_logistic(found, np.arange(10) > 4)
    assert np.isfinite(weights).all() and np.isfinite(bias) and abs(weights[0]) < 1e-6


def test_correlation_joins_what_belongs_together():
    images, texts, owner = world(photos=300, each=2, noise=0.2, shared=False)
    images, texts = images - images.mean(axis=0), texts - texts.mean(axis=0)
    half = owner < 150
    to_image, to_text = correlate(images, texts[half], owner[half], 16)
    a, b = unit(images[150:] @ to_image), unit(texts[~half] @ to_text)
    right = (a @ b.T).argmax(axis=0) == owner[~half] - 150
    assert right.mean() > 0.8
