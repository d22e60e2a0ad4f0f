"""Embeddings that are kept between check-ups: found again, made anew when damaged."""

import hashlib

import numpy as np
import pytest

from pairlight.doctor.features import features
from pairlight.errors import ModelError


class Counting:
    """An encoder of colours and lengths that counts what it is asked."""

    name, sha256, image_size = "counting", "a" * 64, 8

    def __init__(self):
        self.images = self.texts = 0

    def encode_pixels(self, pixels):
        self.images += len(pixels)
        return pixels.reshape(len(pixels), -1)[:, :4].astype(np.float32)

    def encode_texts(self, texts):
        self.texts += len(texts)
        return np.array([[len(text), 1, 0, 0] for text in texts], np.float32)


@pytest.fixture
def files(ward):
    return [(row, photo.image, photo.sha256) for row, photo in enumerate(ward.photos)]


def test_nothing_is_computed_twice(files, tmp_path):
    encoder = Counting()
    first = features(encoder, files, ["one", "two two", "one"], tmp_path)
    assert (encoder.images, encoder.texts) == (35, 2)
    again = features(encoder, files[::-1], ["two two", "three"], tmp_path)
    assert (encoder.images, encoder.texts) == (35, 3)
    assert (first.images[::-1] == again.images).all() and again.rows == first.rows[::-1]
    assert first.texts[:, 0].tolist() == [3, 7, 3]


def test_another_model_shares_nothing(files, tmp_path):
    encoder = Counting()
    features(encoder, files, ["one"], tmp_path)
    encoder.sha256 = "b" * 64
    features(encoder, files, ["one"], tmp_path)
    assert (encoder.images, encoder.texts) == (70, 2)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"\x80\x04K\x01."])
def test_a_damaged_file_is_made_anew(files, tmp_path, content):
    encoder = Counting()
    right = features(encoder, files, ["one"], tmp_path)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(content)
    again = features(encoder, files, ["one"], tmp_path)
    assert encoder.images == 70 and (right.images == again.images).all()


def test_objects_are_refused(files, tmp_path):
    encoder = Counting()
    features(encoder, files, ["one"], tmp_path)
    (path,) = tmp_path.glob("images_*.npz")
    np.savez(path, names=np.array([{"a": 1}], object), vectors=np.zeros((1, 4), np.float32))
    features(encoder, files, ["one"], tmp_path)
    assert encoder.images == 70


def test_a_file_that_vanished_meanwhile_is_left_out(files, ward):
    ward.photos[4].image.unlink()
    found = features(Counting(), files, ["one"], None)
    assert len(found.images) == 34 and 4 not in found.rows


def test_numbers_that_are_none_are_an_error(ward, monkeypatch):
    class Broken(Counting):
        def encode_texts(self, texts):
            return np.full((len(texts), 4), np.nan, np.float32)

    monkeypatch.setattr("pairlight.doctor.run.open_encoder", lambda name, device: Broken())
    with pytest.raises(ModelError, match="NaN"):
        ward.check(model="broken")


def test_texts_are_kept_by_their_words_not_by_their_place(tmp_path, files):
    features(Counting(), files[:1], ["a", "bb"], tmp_path)
    (path,) = tmp_path.glob("texts_*.npz")
    with np.load(path, allow_pickle=False) as held:
        assert set(held["names"]) == {hashlib.sha256(t.encode()).hexdigest() for t in ("a", "bb")}
