"""Models and embeddings through the public interface."""

import dataclasses
import sys

import numpy as np
import pytest

import pairlight
import pairlight.embed
from pairlight.data.manifest import read_manifest
from pairlight.embed import embed_photos, load_model, pick_device
from pairlight.errors import DataError, MissingDependency, ModelError
from pairlight.imaging import load_square
from pairlight.sample import sample_dir


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return pairlight.load(str(tiny_checkpoint), device="cpu")


PHOTOS = sorted((sample_dir() / "images").glob("*.jpg"))


def test_the_public_interface(model):
    images = model.encode_images([str(path) for path in PHOTOS[:3]])
    texts = model.encode_texts(["a dog", "一只狗", '🐶 "quoted"\tand tabbed', ""])
    assert images.shape == (3, 16) and texts.shape == (4, 16)
    for rows in (images, texts):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert len(model.sha256) == 64 and model.name == "tiny" and model.parameters > 1000


def test_nothing_gives_nothing(model):
    assert model.encode_images([]).shape == (0, 16)
    assert model.encode_texts([]).shape == (0, 16)
    assert model.encode_texts(text for text in ("a dog", "a cat")).shape == (2, 16)
    for single in ("a dog", [None]):
        with pytest.raises(TypeError, match="a list of texts was expected"):
            model.encode_texts(single)
    with pytest.raises(TypeError, match="a list of image files was expected"):
        model.encode_images("a.jpg")


def test_order_and_company_change_nothing(model):
    """Texts are grouped by length and images by chunk; neither may show."""
    texts = ["a dog", "a man in a kitchen is making pizzas for all of us", "two", "a cat"] * 40
    together = model.encode_texts(texts)
    alone = np.concatenate([model.encode_texts([text]) for text in texts[:4]])
    np.testing.assert_allclose(together[:4], alone, atol=1e-5)
    np.testing.assert_allclose(together[-4:], alone, atol=1e-5)
    whole = model.encode_images(PHOTOS)  # 35: two chunks
    np.testing.assert_allclose(whole[33:], model.encode_images(PHOTOS[33:]), atol=1e-5)


def test_a_bad_image_is_named(model, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not an image")
    with pytest.raises(DataError, match="bad.jpg"):
        model.encode_images([PHOTOS[0], bad])


def test_unreadable_photos_are_skipped_with_their_captions(model, sample_manifest, tmp_path):
    photos = read_manifest(sample_manifest, "val")
    whole = embed_photos(model, photos)
    photos[2] = dataclasses.replace(photos[2], image=tmp_path / "gone.jpg")
    found = embed_photos(model, photos)
    assert found.skipped == (photos[2].image_id,)
    assert len(found.images) == len(photos) - 1
    kept = whole.owner != 2
    np.testing.assert_allclose(found.texts, whole.texts[kept], atol=1e-5)
    assert [found.image_ids[n] for n in found.owner] == [
        whole.image_ids[n] for n in whole.owner[kept]
    ]


def test_without_the_released_model(monkeypatch, tmp_path):
    monkeypatch.setattr(pairlight.embed, "PRETRAINED", tmp_path / "absent")
    with pytest.raises(ModelError, match="give a checkpoint file or a folder"):
        load_model("pretrained")


def test_the_released_model_is_an_exported_folder(monkeypatch, tmp_path):
    """Its folder is opened as any exported one is, and told apart from a checkpoint."""
    monkeypatch.setattr(pairlight.embed, "PRETRAINED", tmp_path)
    with pytest.raises(ModelError, match="not an exported model: it has no model.json"):
        load_model("pretrained")


def test_pixels_are_what_files_give(model):
    pixels = np.stack([load_square(path, model.image_size) for path in PHOTOS])
    found = model.encode_pixels(pixels)
    assert found.dtype == np.float32 and model.encode_pixels(pixels[:0]).shape == (0, 16)
    np.testing.assert_allclose(found, model.encode_images(PHOTOS), atol=1e-6)


def test_progress_is_told(model, sample_manifest):
    told = []

    def track(items, what, total=None):
        told.append((what, total))
        return items

    embed_photos(model, read_manifest(sample_manifest), track)
    assert told == [("images", 2), ("captions", 3)]


def test_an_unknown_device():
    with pytest.raises(ModelError, match="is not on this machine"):
        pick_device("cuda:99")


def test_without_torch_it_says_what_to_install(monkeypatch, tiny_checkpoint):
    for name in [name for name in sys.modules if name.startswith("pairlight.models")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"pip install 'pairlight\[train\]'"):
        load_model(tiny_checkpoint)
