"""Recipes: every one that ships, overrides, and clear refusals."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.cluster import MiniBatchKMeans

from pairlight.config import AugmentConfig, ModelConfig, Recipe, StageConfig, TrainConfig
from pairlight.errors import ConfigError
from pairlight.recipes import CONFIG_DIR, describe, field_help, from_dict, load_recipe

RECIPES = sorted(path.stem for path in CONFIG_DIR.glob("*.yaml"))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_loads_and_names_itself(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert from_dict(Recipe, dataclasses.asdict(recipe)) == recipe


def test_the_contract_names_are_there():
    assert {"small", "reference"} <= set(RECIPES)
    assert load_recipe("reference").model.image_encoder == "resnet50"


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("dim", [256, 512])
def test_overrides(name, dim):
    recipe = load_recipe(name, [f"model.embed_dim={dim}", "stages.0.lr=1e-4", "train.seed=7"])
    assert recipe.model.embed_dim == dim
    assert recipe.stages[0].lr == 1e-4
    assert recipe.train.seed == 7


@pytest.mark.parametrize("cls", [ModelConfig, AugmentConfig, StageConfig, TrainConfig, Recipe])
def test_every_field_says_what_it_is(cls):
    assert set(field_help(cls)) == {field.name for field in dataclasses.fields(cls)}
    assert all(text.endswith(".") for text in field_help(cls).values())


def test_describe_shows_values_and_help():
    text = describe(load_recipe("small"))
    assert "train.seed = 0\n    Seed of every random choice." in text
    assert "stages.1.image_blocks" in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.sed=1", "unknown key 'sed' in TrainConfig; known: seed,"),
        ("train.seed", "write KEY=VALUE"),
        ("train.seed=x", "expected a whole number, got 'x'"),
        ("augment.image_size=x", "expected a whole number or null, got 'x'"),
        ("model.image_weights=3", "expected a text or null, got 3"),
        ("train.gradient_caching=3", "expected true, false or null, got 3"),
        ("train.grad_clip=x", "expected a number, got 'x'"),
        ("stages.9.lr=1", "'9' is not one of 0..1"),
        ("name.deep=1", "name holds a value, not fields"),
        ("model=1", "expected fields, got 1"),
        ("stages=1", "expected a list, got 1"),
        ("stages=[]", "at least one stage"),
        ("stages.1.name=heads", "two stages share a name"),
        ("stages.0.name=a/b", "it names a file"),
        ("stages.0.lr=0", "lr must be positive"),
        ("stages.0.name=model", "best_model is taken"),
        ("stages.1.name=HEADS", "two stages share a name"),
        ("stages.0.batch_size=1", "batch_size must be at least 2"),
        ("stages.1.image_lr=0", "image_blocks and image_lr go together"),
        ("stages.².epochs=1", "is not one of 0..1"),
        ("train.seed=[1", "is no YAML value"),
        ("train.seed=-1", "train.seed must be from 0 to 4294967295, got -1"),
        ("train.seed=4294967296", "train.seed must be from 0 to 4294967295, got 4294967296"),
        ("augment.seed=4294967296", "augment.seed must be from 0 to 4294967295"),
        ("stages.0.lr=1e38", "stage heads: lr must be from 0 to 1000000, got 1e.38"),
        ("stages.1.image_lr=1e38", "image_lr must be from 0 to 1000000"),
        ("stages.1.text_lr=1e38", "text_lr must be from 0 to 1000000"),
        ("train.scale_rate=1e38", "scale_rate must be from 0 to 1000000"),
        ("model.max_logit_scale=1e308", "max_logit_scale must be from 1 to 1000000, got 1e.308"),
        ("train.weight_decay=-1", "weight_decay must not be negative"),
        ("stages.0.epochs=0", "epochs must be positive"),
        ("model.embed_dim=0", "embed_dim must be positive"),
        ("model.dropout=1", r"dropout must be in \[0, 1\)"),
        ("augment.flip=2", r"flip must be from 0 to 1"),
        ("train.precision=int8", "choose from auto, bf16, fp16, fp32"),
    ],
)
def test_bad_overrides_are_told_in_one_line(override, message):
    with pytest.raises(ConfigError, match=message) as told:
        load_recipe("small", [override])
    assert "\n" not in str(told.value)


def test_a_wrong_recipe_name_lists_the_choices():
    with pytest.raises(ConfigError, match="choose from quick, reference, small"):
        load_recipe("smal")


@pytest.mark.parametrize(
    "text", ["1: a\nfoo: b", "a: [", "- 1", "name: 3", b"\xff\xfe".decode("latin1")]
)
def test_files_that_are_no_recipe(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(ConfigError, match="r.yaml"):
        load_recipe(str(path))


def test_a_recipe_of_ones_own(tmp_path):
    path: Path = tmp_path / "mine.yaml"
    mine = dataclasses.replace(load_recipe("small"), name="mine")
    path.write_text(yaml.safe_dump(dataclasses.asdict(mine)))
    assert load_recipe(str(path)) == mine


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
def test_numbers_without_end_are_refused(value):
    with pytest.raises(ConfigError, match="head_ridge: expected a finite number"):
        load_recipe("small", [f"train.head_ridge={value}"])


def test_the_largest_seed_is_one_for_all_that_draw():
    seed = load_recipe("small", ["train.seed=4294967295"]).train.seed
    np.random.default_rng([seed, 1, 2])
    torch.manual_seed(seed)
    points = np.random.default_rng(seed).normal(size=(8, 2))
    assert len(MiniBatchKMeans(2, random_state=seed, n_init=1).fit(points).cluster_centers_) == 2


def test_shown_values_can_be_set():
    shown = describe(load_recipe("small"))
    assert "train.gradient_caching = null" in shown and "model.pretrained = true" in shown
    assert load_recipe("small", ["train.gradient_caching=null"]) == load_recipe("small")
    told = "gradient_caching: expected true, false or null, got 'maybe'"
    with pytest.raises(ConfigError, match=told):
        load_recipe("small", ["train.gradient_caching=maybe"])
