"""What is kept of the frozen part: same numbers, views, damage, lost photos, full disks."""

import dataclasses
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from pairlight.config import AugmentConfig
from pairlight.data.manifest import read_manifest
from pairlight.errors import DataError, PairlightError
from pairlight.imaging import load_square
from pairlight.models.dual_encoder import DualEncoder
from pairlight.threads import untracked
from pairlight.train.kept import Kept
from pairlight.train.stem import Stem
from pairlight.train.trainer import train
from pairlight.train.validate import embed_kept


@pytest.fixture(scope="module")
def photos(sample_manifest):
    return read_manifest(sample_manifest, "train")[:6]


def build(recipe, **changes):
    torch.manual_seed(0)
    return DualEncoder.build(dataclasses.replace(recipe.model, **changes)).eval()


def keep(model, photos, folder, blocks=0, layers=0, **options):
    return Kept(Stem(model, blocks, layers), photos, folder, "cpu", untracked, **options)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
@pytest.mark.parametrize(("blocks", "layers"), [(0, 0), (2, 1), (2, 0), (0, 2)])
def test_kept_features_give_the_model_s_own_embeddings(
    tmp_path, tiny_recipe, photos, pooling, blocks, layers
):
    model = build(tiny_recipe, image_pooling=pooling, text_pooling=pooling)
    images, texts, owner = embed_kept(model, keep(model, photos, tmp_path, blocks, layers))
    with torch.no_grad():
        squares = np.stack([load_square(photo.image, 64) for photo in photos])
        pixels = torch.from_numpy(squares).permute(0, 3, 1, 2)
        captions = [text for photo in photos for text in photo.captions]
        tokens, mask = model.tokenizer.pad([each.ids for each in model.tokenizer(captions)])
        want_images, want_texts = model(pixels, tokens, mask)
    np.testing.assert_allclose(images, want_images, atol=2e-3)  # they were kept in half precision
    np.testing.assert_allclose(texts, want_texts, atol=2e-3)
    assert owner.tolist() == [n for n, photo in enumerate(photos) for _ in photo.captions]


def test_views_differ_repeat_and_are_found_again(tmp_path, tiny_recipe, photos):
    model = build(tiny_recipe)
    kept = keep(model, photos, tmp_path, 2, 1, varied=AugmentConfig(), views=2)
    first, second = np.array(kept.images(0)), np.array(kept.images(1))
    assert not np.array_equal(first, second)
    assert kept.images(2) is kept.images(0)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = keep(model, photos, tmp_path, 2, 1, varied=AugmentConfig(), views=2)
    assert np.array_equal(again.images(1), second)
    of_words = AugmentConfig(token_dropout=0.5, word_dropout=0.5, region_dropout=0.5)
    found = keep(model, photos, tmp_path, 2, 1, varied=of_words, views=2)
    assert np.array_equal(found.images(1), second)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    other = keep(model, photos, tmp_path, 2, 1, varied=AugmentConfig(seed=1), views=2)
    assert not np.array_equal(other.images(0), first)


def test_a_moved_block_below_makes_new_files_one_above_does_not(tmp_path, tiny_recipe, photos):
    model = build(tiny_recipe)
    keep(model, photos, tmp_path).images(0)
    count = len(list(tmp_path.iterdir()))
    with torch.no_grad():
        model.image_head.linear.weight.add_(1)
    keep(model, photos, tmp_path).images(0)
    assert len(list(tmp_path.iterdir())) == count
    with torch.no_grad():
        next(model.image_encoder.parameters()).add_(1)
    keep(model, photos, tmp_path).images(0)
    assert len(list(tmp_path.iterdir())) == count + 1


def test_a_damaged_file_is_made_anew(tmp_path, tiny_recipe, photos):
    model = build(tiny_recipe)
    want = np.array(keep(model, photos, tmp_path).images(0))
    for path in list(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes()[:90])
    assert np.array_equal(keep(model, photos, tmp_path).images(0), want)


def test_lost_photos_are_left_out_and_their_file_is_not_found_again(tmp_path, tiny_recipe, photos):
    model = build(tiny_recipe)
    gone = dataclasses.replace(photos[2], image=Path("/nowhere/photo.jpg"))
    some = [*photos[:2], gone, *photos[3:]]
    kept = keep(model, some, tmp_path)
    kept.images(0)
    assert kept.rows() == [0, 1, 3, 4, 5]
    images, texts, owner = embed_kept(model, kept)
    assert len(images) == 5 and owner.max() == 4
    assert len(texts) == sum(len(photo.captions) for n, photo in enumerate(some) if n != 2)
    again = keep(model, some, tmp_path)
    again.images(0)
    assert again.lost == {2}
    with pytest.raises(DataError, match="no image of the split could be read"):
        keep(model, [gone, gone], tmp_path).images(0)


def test_too_little_disk_is_said_before_it_is_full(tmp_path, tiny_recipe, photos, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100))
    kept = keep(build(tiny_recipe), photos, tmp_path, 2, 1, varied=AugmentConfig(), views=3)
    with pytest.raises(PairlightError, match="GB are needed for 3 views.*--cache DIR"):
        kept.images(0)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("images")]


def levers(recipe, teacher):
    stage = dataclasses.replace(recipe.stages[1], views=2, epochs=3)
    extras = {"ema": 0.9, "soft_targets": 0.3, "hard_negatives": 0.5, "caption_pairs": 0.2}
    extras |= {"teachers": (str(teacher),), "distillation": 0.3, "gradient_caching": True}
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, image_pooling="attention", text_pooling="gpo"),
        augment=dataclasses.replace(recipe.augment, region_dropout=0.2),
        train=dataclasses.replace(recipe.train, **extras),
        stages=(recipe.stages[0], stage),
    )


def test_every_lever_at_once_resumes_exactly(
    tmp_path, tiny_recipe, tiny_checkpoint, sample_manifest, monkeypatch
):
    from pairlight.train.trainer import Trainer

    recipe = levers(tiny_recipe, tiny_checkpoint)
    options = {"device": "cpu", "cache": tmp_path / "cache"}
    whole = train(sample_manifest, recipe, tmp_path / "whole", **options)
    saved = Trainer._save_last

    def stop_at_four(self, state):
        saved(self, state)
        if len(self.history) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_save_last", stop_at_four)
    with pytest.raises(KeyboardInterrupt):
        train(sample_manifest, recipe, tmp_path / "cut", **options)
    monkeypatch.undo()
    resumed = train(sample_manifest, recipe, tmp_path / "cut", resume=True, **options)
    assert [e["loss"] for e in resumed.history] == [e["loss"] for e in whole.history]
    assert [e["val"] for e in resumed.history] == [e["val"] for e in whole.history]


def test_the_cache_goes_with_a_complete_run_unless_it_was_asked_for(
    tmp_path, tiny_recipe, sample_manifest
):
    heads = dataclasses.replace(tiny_recipe, stages=tiny_recipe.stages[:1])
    train(sample_manifest, heads, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "cache").exists()
    train(sample_manifest, heads, tmp_path / "other", device="cpu", cache=tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 4  # images and texts of train and val
