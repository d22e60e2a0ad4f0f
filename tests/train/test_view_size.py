"""Views smaller than the photos in use: what is fed, what is kept, what is refused."""

import dataclasses

import pytest
import torch

from pairlight.config import AugmentConfig, ModelConfig
from pairlight.errors import ConfigError
from pairlight.models.image_encoders import ImageEncoder
from pairlight.output import Output
from pairlight.train.run import starting_model
from pairlight.train.trainer import train


def with_views(recipe, size, views):
    """Return the recipe with views of `size` in its second stage; photos stay 64 pixels a side."""
    stage = dataclasses.replace(recipe.stages[1], epochs=1, views=views)
    stages = dataclasses.replace(recipe.stages[0], epochs=1), stage
    augment = dataclasses.replace(recipe.augment, image_size=size)
    return dataclasses.replace(recipe, stages=stages, augment=augment)


@pytest.mark.parametrize("views", [0, 1])
def test_views_are_smaller_and_whole_photos_are_not(
    tmp_path, tiny_recipe, sample_manifest, monkeypatch, views
):
    seen = []

    def watch(module, pixels):
        if isinstance(module, ImageEncoder):
            seen.append(pixels.shape[-1])
        return plain(module, pixels)

    plain = ImageEncoder._normalised
    monkeypatch.setattr(ImageEncoder, "_normalised", watch)
    recipe = with_views(tiny_recipe, 32, views)
    result = train(sample_manifest, recipe, tmp_path, device="cpu")
    assert set(seen) == {32, 64}
    first = seen.index(32, seen.index(32) + 1)  # the second: before it the size was only tried
    assert 64 in seen[first:]  # validation after views
    model = torch.load(result.best, weights_only=True)["model"]
    assert model["image_size"] == 64


def test_an_encoder_of_one_size_is_refused(tiny_recipe):
    name = "timm:vit_tiny_patch16_224"
    model = dataclasses.replace(tiny_recipe.model, image_encoder=name, image_size=160)
    recipe = dataclasses.replace(tiny_recipe, model=model, augment=AugmentConfig(image_size=128))
    with pytest.raises(ConfigError, match=f"{name} does not take views of 128 pixels beside"):
        starting_model(recipe, None, Output(quiet=True))


def test_view_size_is_the_model_s_unless_given(tiny_recipe):
    assert tiny_recipe.view_size == 64
    assert with_views(tiny_recipe, 48, 0).view_size == 48


@pytest.mark.parametrize("size", [8, 4000])
def test_sizes_out_of_bounds_are_refused(size):
    with pytest.raises(
        ConfigError, match=f"image_size must be null or from 32 to 1024, got {size}"
    ):
        AugmentConfig(image_size=size)
    with pytest.raises(ConfigError, match=f"image_size must be from 32 to 1024, got {size}"):
        ModelConfig(image_size=size)
