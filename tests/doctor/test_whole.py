"""Photos that have all the captions of another, on invented embeddings whose truth is known."""

import numpy as np
import pytest
from test_mismatch import judged, world

from pairlight.doctor.mismatch import SURE, doubts, gather
from pairlight.doctor.whole import better_photo, photo_doubts


def exchange(owner, pairs, seed=0):
    """Return owners after `pairs` pairs of photos exchanged all captions, and those photos."""
    chosen = np.random.default_rng(seed).choice(owner.max() + 1, 2 * pairs, replace=False)
    to = np.arange(owner.max() + 1)
    to[chosen[:pairs]], to[chosen[pairs:]] = chosen[pairs:], chosen[:pairs]
    return to[owner], chosen


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("each", [1, 5])
def test_exchanged_photos_come_first(shared, each):
    images, texts, owner = world(photos=400, each=each, noise=0.4, shared=shared)
    moved, chosen = exchange(owner, 2)
    doubt = photo_doubts(judged(images, texts, moved, shared))
    assert set(np.argsort(-doubt)[:6]) >= set(chosen)
    assert np.median(np.delete(doubt, chosen)) < 0


def test_they_are_findings_and_clean_photos_are_not():
    images, texts, owner = world(photos=600, noise=0.4, seed=2)
    moved, chosen = exchange(owner, 2)
    doubt = photo_doubts(judged(images, texts, moved, True))
    assert (doubt[chosen] >= SURE).all()
    assert (np.delete(doubt, chosen) >= SURE).mean() < 0.005
    assert (photo_doubts(judged(images, texts, owner, True)) >= SURE).mean() < 0.005


def test_one_caption_at_a_time_does_not_see_them():
    """Captions that came together vouch for each other: why whole sets are judged, too."""
    images, texts, owner = world(photos=400, noise=0.4)
    moved, chosen = exchange(owner, 2)
    judge = judged(images, texts, moved, True)
    captions = np.flatnonzero(np.isin(moved, chosen))
    assert not (doubts(gather(judge))[captions] >= SURE).all()


def test_the_better_photo_is_the_one_exchanged_with():
    images, texts, owner = world(photos=100, noise=0.3)
    moved, (one, other) = exchange(owner, 1)
    judge = judged(images, texts, moved, True)
    own, best, score = better_photo(judge, int(one))
    assert best == other and score > own


def test_photos_without_captions_are_not_judged():
    images, texts, owner = world(photos=60)
    kept = owner >= 20
    doubt = photo_doubts(judged(images, texts[kept], owner[kept], True))
    assert np.isnan(doubt[:20]).all() and np.isfinite(doubt[20:]).all()
    lonely = photo_doubts(judged(images, texts[:1], owner[:1], True))
    assert np.isnan(lonely).all()
