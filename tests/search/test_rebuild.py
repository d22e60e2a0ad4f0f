"""Vectors of two models are never mixed: refusal, and rebuilding without a gap."""

import shutil

import numpy as np
import pytest
from colours import ColourModel, paint
from test_index_photos import counts

from pairlight.errors import ConfigError


def test_models_are_not_mixed(index, photos, read):
    index(photos)
    other = ColourModel(sha256="f" * 64)
    with pytest.raises(ConfigError, match="--rebuild"):
        index(photos, model=other)
    assert read("model").sha256 == ColourModel.sha256
    report = index(photos, model=other, rebuild=True)
    assert report.counts["embedded"] == 5 and other.encoded == 5
    assert read("model").sha256 == "f" * 64 and len(read("vectors")[0]) == 5
    with pytest.raises(ConfigError):
        index(photos)


def test_the_old_vectors_serve_until_a_rebuild_is_done(index, photos, read):
    for number in range(40):
        paint(photos / f"more{number}.png", "red", seed=number + 1)
    index(photos)
    other = ColourModel(sha256="f" * 64)
    original = other.encode_pixels

    def break_off(pixels):
        if other.encoded >= 32:
            raise KeyboardInterrupt
        return original(pixels)

    other.encode_pixels = break_off
    with pytest.raises(KeyboardInterrupt):
        index(photos, model=other, rebuild=True)
    assert read("model").sha256 == ColourModel.sha256
    assert len(read("vectors")[0]) == 45
    other.encode_pixels = original
    report = index(photos, model=other, rebuild=True)
    assert report.counts["embedded"] == 45 - 32  # it goes on where it was broken off
    assert read("model").sha256 == "f" * 64 and len(read("vectors")[0]) == 45


def test_a_rebuild_with_the_same_model_embeds_everything_again(index, photos, model, read):
    index(photos)
    assert index(photos, rebuild=True).counts["embedded"] == 5
    assert model.encoded == 10 and len(read("vectors")[0]) == 5


@pytest.mark.parametrize("before", [1, 3])
def test_a_rebuild_broken_off_mixes_no_looks(index, photos, model, read, before):
    """The same model, another number of looks: old vectors serve, and a plain run keeps to them."""
    for number in range(40):
        paint(photos / f"more{number}.png", "red", *["blue"] * 9, seed=number + 1)
    index(photos, looks=before)
    old = dict(zip(*map(list, read("vectors")), strict=True))
    original, done = model.encode_pixels, model.encoded
    after = 4 - before

    def break_off(pixels):
        if model.encoded - done >= 32 * after:
            raise KeyboardInterrupt
        return original(pixels)

    model.encode_pixels = break_off
    with pytest.raises(KeyboardInterrupt):
        index(photos, looks=after, rebuild=True)
    model.encode_pixels = original
    assert counts(index(photos)) == {"unchanged": 45} and read("looks") == before
    now = dict(zip(*map(list, read("vectors")), strict=True))
    assert all(np.array_equal(now[each], old[each]) for each in old) and len(now) == 45
    report = index(photos, looks=after, rebuild=True)
    assert report.counts["embedded"] == 45 - 32 and read("looks") == after
    assert len(read("vectors")[0]) == 45


def test_a_rebuild_takes_all_folders_and_refuses_when_one_is_missing(index, photos, tmp_path, read):
    other = tmp_path / "usb"
    paint(other / "yellow.png", "yellow")
    index(photos, other)
    new = ColourModel(sha256="f" * 64)
    shutil.move(other, tmp_path / "unplugged")
    with pytest.raises(ConfigError, match="1 photo cannot be embedded again"):
        index(photos, model=new, rebuild=True)
    assert len(read("vectors")[0]) == 6
    shutil.move(tmp_path / "unplugged", other)
    assert index(photos, model=new, rebuild=True).counts["embedded"] == 6
