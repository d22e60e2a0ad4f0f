"""Augmentation: what varies, what must not, and that seeds decide."""

import numpy as np
import pytest
from PIL import Image

from pairlight.config import AugmentConfig
from pairlight.data.augment import augment_image, augment_tokens, crop_box, names_a_side
from pairlight.data.dataset import CaptionedPhotos, draw_captions, epoch_batches
from pairlight.data.manifest import read_manifest
from pairlight.models.tokenizer import Tokens

STILL = AugmentConfig(crop_scale=1, flip=0, jitter=0, token_dropout=0)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def ramp():
    """An image that is dark on the left and bright on the right."""
    row = np.linspace(0, 255, 64).astype(np.uint8)
    return Image.fromarray(np.repeat(np.tile(row, (64, 1))[..., None], 3, axis=2))


def test_nothing_asked_nothing_changed(ramp):
    np.testing.assert_array_equal(augment_image(ramp, 64, STILL, True, rng()), np.asarray(ramp))


def test_flip_only_where_allowed(ramp):
    always = AugmentConfig(crop_scale=1, flip=1, jitter=0)
    kept = augment_image(ramp, 64, always, False, rng())
    flipped = augment_image(ramp, 64, always, True, rng())
    np.testing.assert_array_equal(kept, np.asarray(ramp))
    np.testing.assert_array_equal(flipped, np.asarray(ramp)[:, ::-1])


@pytest.mark.parametrize(
    ("caption", "sided"),
    [
        ("a man on the left waves", True),
        ("her Right hand", True),
        ("两只狗在左边", True),
        ("brightly lit leftovers", False),
    ],
)
def test_captions_that_name_a_side(caption, sided):
    assert names_a_side(["a dog", caption]) is sided


def test_crops_keep_the_promised_area_and_stay_inside():
    generator = rng()
    for _ in range(300):
        left, top, right, bottom = crop_box(400, 300, 0.5, generator)
        assert 0 <= left < right <= 400 and 0 <= top < bottom <= 300
        # The cut at the border can take a little off the area that was drawn.
        assert 0.35 <= (right - left) * (bottom - top) / (400 * 300) <= 1


def test_jitter_changes_colours_not_shapes(ramp):
    changed = augment_image(ramp, 64, AugmentConfig(crop_scale=1, flip=0, jitter=0.5), True, rng(3))
    assert not np.array_equal(changed, np.asarray(ramp))
    assert (np.diff(changed[0, :, 0].astype(int)) >= 0).all()  # still a ramp


IDS = [101, 7, 8, 9, 10, 102]
WORDS = [None, 0, 0, 1, 2, None]


def test_special_tokens_always_stay():
    harsh = AugmentConfig(token_dropout=1)
    assert augment_tokens(IDS, WORDS, 103, harsh, rng()) == [101, 103, 103, 103, 103, 102]


def test_words_leave_whole_and_never_all():
    harsh = AugmentConfig(token_dropout=0, word_dropout=0.6)
    seen = {tuple(augment_tokens(IDS, WORDS, 103, harsh, rng(seed))) for seed in range(60)}
    assert len(seen) > 3
    for ids in seen:
        assert ids[0] == 101 and ids[-1] == 102 and len(ids) > 2
        assert (7 in ids) == (8 in ids)
    assert augment_tokens(IDS, WORDS, 103, AugmentConfig(word_dropout=1, token_dropout=0), rng()) == IDS


def test_without_a_mask_token_nothing_is_masked():
    assert augment_tokens(IDS, WORDS, None, AugmentConfig(token_dropout=1), rng()) == IDS


def test_epochs_are_shuffled_whole_and_seeded():
    batches = epoch_batches(10, 4, seed=0, epoch=1)
    assert [len(batch) for batch in batches] == [4, 4]
    assert len({index for batch in batches for index in batch}) == 8
    assert batches == epoch_batches(10, 4, seed=0, epoch=1)
    assert batches != epoch_batches(10, 4, seed=0, epoch=2)
    assert batches != epoch_batches(10, 4, seed=1, epoch=1)


def test_a_batch_larger_than_the_data_is_cut():
    assert [sorted(batch) for batch in epoch_batches(3, 512, 0, 0)] == [[0, 1, 2]]


def test_captions_are_drawn_without_repeats():
    assert sorted(draw_captions(3, 9, rng())) == [0, 1, 2]
    assert {tuple(draw_captions(5, 2, rng(seed))) for seed in range(99)} >= {(0, 1), (1, 0), (4, 2)}


def dataset(photos, seed=0):
    tokens = [[Tokens(IDS, WORDS) for _ in photo.captions] for photo in photos]
    return CaptionedPhotos(photos, tokens, 103, 32, AugmentConfig(), 2, seed)


def test_items_depend_on_seed_epoch_and_index_alone(sample_manifest):
    photos = read_manifest(sample_manifest)[:3]
    first, again, other = dataset(photos), dataset(photos), dataset(photos, seed=1)
    again[(9, 2)]  # another call in between
    for key in [(1, 0), (1, 1), (2, 0)]:
        np.testing.assert_array_equal(first[key][0], again[key][0])
        assert first[key][1] == again[key][1]
        assert not np.array_equal(first[key][0], other[key][0])
    assert not np.array_equal(first[(1, 0)][0], first[(2, 0)][0])
    pixels, ids = first[(1, 0)]
    assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8 and len(ids) == 2
