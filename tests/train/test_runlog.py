"""Checks the hash of the data, and that half a character in a manifest stops no training."""

import dataclasses
from pathlib import Path

from pairlight.data.manifest import read_manifest
from pairlight.embed import embed_photos, load_model
from pairlight.train.runlog import data_hash
from pairlight.train.trainer import train
from pairlight.types import Photo

HALF = "\ud83d"  # of an emoji, cut in two as programs do that count in UTF-16


def photo(caption):
    return Photo("a 一", Path("a.jpg"), (caption, "狗 🐕"), 4, 3, "0" * 64, "train")


def test_the_data_hash_is_the_one_that_runs_have_stored():
    stored = "15e9d1deb6df3cfc3c42dc2227c299f238900268c7eeb986fe96ae6bfe71d2b8"
    assert data_hash([photo("Un café"), photo("b")]) == stored
    texts = ("A dog", "A dog ?", f"A dog {HALF}")
    assert len({data_hash([photo(text)]) for text in texts}) == len(texts)


def test_half_a_character_trains_and_is_measured(tmp_path, tiny_recipe, copy_of_manifest):
    manifest = copy_of_manifest(
        lambda photo: dataclasses.replace(
            photo,
            image_id=photo.image_id + HALF,
            captions=(photo.captions[0] + HALF, *photo.captions[1:]),
        )
    )
    short = dataclasses.replace(tiny_recipe.stages[0], epochs=1)
    recipe = dataclasses.replace(tiny_recipe, stages=(short,))
    best = train(manifest, recipe, tmp_path / "run", device="cpu").best
    photos = read_manifest(manifest, "val")
    assert photos[0].captions[0].endswith(HALF)
    found = embed_photos(load_model(best, "cpu"), photos)
    assert len(found.images) == 7 and not found.skipped
