"""Tests what is kept of embeddings, and that only what fits and is whole is used again."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from pairlight.data.manifest import read_manifest
from pairlight.report.cache import cache_key, cached_embeddings


@pytest.fixture
def photos(sample_manifest):
    return read_manifest(sample_manifest)[:5]


def files(folder):
    return sorted(folder.glob("*.npz"))


def test_the_second_time_the_model_is_not_run(tmp_path, toy, photos, monkeypatch):
    made, cached = cached_embeddings(toy, photos, tmp_path / "new")
    assert not cached and len(files(tmp_path / "new")) == 1
    monkeypatch.setattr(type(toy), "encode_pixels", None)
    found, cached = cached_embeddings(toy, photos, tmp_path / "new")
    assert cached
    for name in ("images", "texts", "owner"):
        assert (getattr(found, name) == getattr(made, name)).all()
        assert getattr(found, name).dtype == getattr(made, name).dtype
    for name in ("image_ids", "captions", "paths", "skipped", "categories"):
        assert getattr(found, name) == getattr(made, name)


def test_without_a_folder_nothing_is_kept(tmp_path, toy, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not cached_embeddings(toy, photos, None)[1]
    assert not list(tmp_path.iterdir())


def test_another_model_photo_or_caption_has_another_key(toy, photos):
    keys = {cache_key(toy, photos), cache_key(toy, photos[:4]), cache_key(toy, photos[::-1])}
    for change in ({"sha256": "0" * 64}, {"captions": ("other",)}, {"image_id": "other"}):
        keys.add(cache_key(toy, [dataclasses.replace(photos[0], **change), *photos[1:]]))
    other = type("Other", (type(toy),), {"sha256": "1" * 64})()
    keys.add(cache_key(other, photos))
    assert len(keys) == 7
    moved = [dataclasses.replace(photo, image=photo.image / "moved") for photo in photos]
    assert cache_key(toy, moved) == cache_key(toy, photos)


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "pickle", "array", "shape"])
def test_a_damaged_file_is_made_anew(tmp_path, toy, photos, harm):
    made, _ = cached_embeddings(toy, photos, tmp_path)
    path = files(tmp_path)[0]
    content = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "flip":
        content[400] ^= 1
        path.write_bytes(content)
    elif harm == "pickle":
        np.savez(path, images=np.array([{}], dtype=object))
    elif harm == "array":
        with path.open("wb") as file:
            np.save(file, made.images)
    else:
        arrays = dict(np.load(path))
        np.savez(path, **{**arrays, "images": arrays["images"][:, :3]})
    found, cached = cached_embeddings(toy, photos, tmp_path)
    assert not cached and (found.images == made.images).all()
    assert cached_embeddings(toy, photos, tmp_path)[1]  # and whole again


def test_a_photo_that_could_not_be_read_is_tried_again(tmp_path, toy, photos):
    late = tmp_path / "late.png"
    listed = [*photos, dataclasses.replace(photos[0], image_id="late", image=late)]
    found, _ = cached_embeddings(toy, listed, tmp_path / "c")
    assert found.skipped == ("late",) and len(found.images) == 5
    found, cached = cached_embeddings(toy, listed, tmp_path / "c")
    assert cached and found.skipped == ("late",)
    Image.effect_noise((64, 64), 50).save(late)
    found, cached = cached_embeddings(toy, listed, tmp_path / "c")
    assert not cached and found.skipped == () and len(found.images) == 6


def test_photos_that_moved_are_still_embedded(tmp_path, toy, photos):
    cached_embeddings(toy, photos, tmp_path)
    moved = [dataclasses.replace(photo, image=tmp_path / "gone") for photo in photos]
    found, cached = cached_embeddings(toy, moved, tmp_path)
    assert cached and found.paths == (tmp_path / "gone",) * 5


def test_embeddings_that_are_not_finite_are_not_kept(tmp_path, toy, photos, monkeypatch):
    broken = np.full((5, 16), np.nan, np.float32)
    monkeypatch.setattr(type(toy), "encode_pixels", lambda self, pixels: broken[: len(pixels)])
    found, cached = cached_embeddings(toy, photos, tmp_path)
    assert not cached and np.isnan(found.images).all()
    assert files(tmp_path) == []
