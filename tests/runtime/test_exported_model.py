"""Exported models give the embeddings of their checkpoint, whatever the company."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pairlight
from pairlight.data.manifest import read_manifest
from pairlight.embed import Model, embed_photos
from pairlight.errors import DataError
from pairlight.imaging import load_square
from pairlight.runtime.model import ExportedModel
from pairlight.sample import sample_dir

PHOTOS = sorted((sample_dir() / "images").glob("*.jpg"))


@pytest.fixture(scope="module")
def torch_model(tiny_checkpoint):
    return pairlight.load(str(tiny_checkpoint), device="cpu")


@pytest.fixture(scope="module")
def model(exported):
    return pairlight.load(str(exported))


@pytest.fixture(scope="module")
def int8(exported_int8):
    return pairlight.load(str(exported_int8))


def test_the_same_facts_as_the_checkpoint(model, torch_model):
    assert isinstance(model, ExportedModel) and isinstance(torch_model, Model)
    for fact in ("name", "embed_dim", "image_size", "parameters", "logit_scale"):
        assert getattr(model, fact) == getattr(torch_model, fact), fact
    assert len(model.sha256) == 64 and model.sha256 != torch_model.sha256


def test_the_same_embeddings_as_the_checkpoint(model, torch_model):
    texts = ["a dog", "一只狗", '🐶 "quoted"\tand tabbed', "", "ÉCLAIR " * 50, "Ünïcödé"]
    for ours, theirs in (
        (model.encode_texts(texts), torch_model.encode_texts(texts)),
        (model.encode_images(PHOTOS[:9]), torch_model.encode_images(PHOTOS[:9])),
    ):
        assert ours.dtype == np.float32 and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_int8_is_near(int8, torch_model):
    texts = [text for photo in PHOTOS[:3] for text in (photo.stem, f"a dog and {photo.stem}")]
    for ours, theirs in (
        (int8.encode_texts(texts), torch_model.encode_texts(texts)),
        (int8.encode_images(PHOTOS[:9]), torch_model.encode_images(PHOTOS[:9])),
    ):
        assert (ours * theirs).sum(1).min() > 0.99
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 33])
def test_any_number_of_images(model, int8, torch_model, count):
    pixels = np.random.default_rng(count).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    theirs = torch_model.encode_pixels(pixels)
    assert theirs.shape == (count, 16) and theirs.dtype == np.float32
    np.testing.assert_allclose(model.encode_pixels(pixels), theirs, atol=1e-5)
    alone = [int8.encode_pixels(pixels[n : n + 1]) for n in range(count)]
    np.testing.assert_allclose(
        int8.encode_pixels(pixels), np.reshape(alone, (count, 16)), atol=1e-5
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(exported, model, threads):
    pixels = np.random.default_rng(0).integers(0, 256, (21, 64, 64, 3), dtype=np.uint8)
    ours = ExportedModel(exported, threads=threads)
    np.testing.assert_allclose(ours.encode_pixels(pixels), model.encode_pixels(pixels), atol=1e-5)


def test_pixels_are_what_files_give(model, torch_model):
    pixels = np.stack([load_square(path, 64) for path in PHOTOS[:3]])
    for each in (model, torch_model):
        np.testing.assert_allclose(
            each.encode_pixels(pixels), each.encode_images(PHOTOS[:3]), atol=1e-6
        )


@pytest.mark.parametrize("length", range(1, 17))
def test_any_length(model, torch_model, length):
    """Graphs were traced at one length; they must hold for all, 1 and the longest included."""
    rng = np.random.default_rng(length)
    tokens = rng.integers(5, 100, (3, length))
    mask = np.ones((3, length), bool)
    mask[1, max(1, length // 2) :] = False
    session = model._session("text")
    ours = session.run(None, {"tokens": tokens, "mask": mask})[0]
    import torch

    dual = torch_model.dual
    with torch.inference_mode():
        features = dual.text_features(torch.from_numpy(tokens), torch.from_numpy(mask))
        theirs = dual.project_texts(features).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=70))
def test_company_changes_no_text(int8, texts):
    """What else is in a batch may not show, in int8 neither."""
    together = int8.encode_texts(texts)
    assert together.shape == (len(texts), 16)
    for row in range(0, len(texts), 9):
        np.testing.assert_allclose(together[row], int8.encode_texts([texts[row]])[0], atol=1e-5)


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
    np.testing.assert_allclose(found.texts, whole.texts[whole.owner != 2], atol=1e-5)


def test_a_tower_loads_when_it_is_used(exported):
    model = ExportedModel(exported)
    model.encode_texts(["a dog"])
    assert list(model._sessions) == ["text"]


def test_progress_is_told(model):
    told = []

    def track(items, what, total=None):
        told.append((what, total))
        return items

    model.encode_images(PHOTOS[:9], track)
    model.encode_texts(["a"] * 33, track)
    assert told == [("images", 2), ("captions", 2)]


def test_everything_works_without_torch(command_without, exported, sample_manifest, tmp_path):
    """Evaluates in a process where torch and its company cannot be imported."""
    missing = ["torch", "torchvision", "timm", "transformers", "matplotlib", "sklearn"]
    missing += ["safetensors", "onnx", "scipy"]
    argv = ["evaluate", "--model", exported, "--manifest", sample_manifest]
    done = command_without(missing, *argv, "--json", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    assert "text to image" in done.stdout and (tmp_path / "r.json").is_file()
