"""Batches: ownership, padding, lost images."""

import dataclasses

import pytest
import torch

from pairlight.config import AugmentConfig
from pairlight.data.dataset import CaptionedPhotos
from pairlight.data.loader import epoch_loader
from pairlight.data.manifest import read_manifest
from pairlight.errors import DataError
from pairlight.models.tokenizer import Tokens


def pad(ids):
    length = max(map(len, ids))
    tokens = torch.tensor([each + [0] * (length - len(each)) for each in ids])
    return tokens, tokens > 0


def make(photos, captions=2):
    # Each caption's ids name its photo, so that ownership can be checked.
    tokens = [
        [Tokens([101, 1000 + row, 102], [None, 0, None]) for _ in photo.captions]
        for row, photo in enumerate(photos)
    ]
    config = AugmentConfig(token_dropout=0)
    return CaptionedPhotos(photos, tokens, 103, 32, config, captions, 0)


@pytest.fixture
def photos(sample_manifest):
    return read_manifest(sample_manifest)[:4]


def test_every_caption_belongs_to_its_image(photos):
    photos[1] = dataclasses.replace(photos[1], captions=photos[1].captions[:1])
    (batch,) = epoch_loader(make(photos), [[2, 1, 0, 3]], 1, pad, threads=2)
    assert batch.pixels.shape == (4, 3, 32, 32) and batch.pixels.dtype == torch.uint8
    assert batch.owner.tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert (batch.tokens[:, 1] - 1000).tolist() == [2, 2, 1, 0, 0, 3, 3]


def test_a_lost_image_takes_its_captions_with_it(photos, tmp_path):
    photos[0] = dataclasses.replace(photos[0], image=tmp_path / "gone.jpg")
    (batch,) = epoch_loader(make(photos), [[0, 1, 2, 3]], 1, pad, threads=1)
    assert len(batch.pixels) == 3
    assert (batch.tokens[:, 1] - 1000).tolist() == [1, 1, 2, 2, 3, 3]
    assert batch.owner.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_batch_of_lost_images_is_passed_over_and_all_lost_is_an_error(photos, tmp_path):
    for row in (0, 1):
        photos[row] = dataclasses.replace(photos[row], image=tmp_path / "gone.jpg")
    batches = list(epoch_loader(make(photos), [[0, 1], [2, 3]], 1, pad, threads=1))
    assert len(batches) == 1
    with pytest.raises(DataError, match="no training image could be read"):
        list(epoch_loader(make(photos), [[0, 1]], 1, pad, threads=1))
