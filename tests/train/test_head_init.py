"""Heads that start from canonical correlations: the algebra, the start, and when it is left out."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.cross_decomposition import CCA

from pairlight.config import StageConfig
from pairlight.data.manifest import read_manifest
from pairlight.errors import ConfigError
from pairlight.metrics import retrieval
from pairlight.models.checkpoint import load_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.threads import untracked
from pairlight.train.head_init import Moments, canonical, fit_heads
from pairlight.train.kept import Kept
from pairlight.train.stem import Stem
from pairlight.train.trainer import train
from pairlight.train.validate import embed_kept


@pytest.fixture(scope="module")
def recipe(tiny_recipe):
    return dataclasses.replace(
        tiny_recipe,
        model=dataclasses.replace(tiny_recipe.model, projection="linear"),
        train=dataclasses.replace(tiny_recipe.train, head_init="cca"),
    )


def pairs(n=4000):
    """Two views of three common factors, with noise of different size in each coordinate."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((n, 3))
    x = common @ rng.standard_normal((3, 7)) + rng.standard_normal((n, 7)) * np.arange(1, 8) + 4
    y = common @ rng.standard_normal((3, 5)) + rng.standard_normal((n, 5)) - 2
    return torch.from_numpy(x), torch.from_numpy(y)


def moments(x, y, parts):
    found = Moments()
    for a, b in zip(x.split(parts), y.split(parts), strict=True):
        found.add(a, b)
    return found


def test_moments_do_not_depend_on_the_parts():
    x, y = pairs(500)
    whole = np.concatenate([x, y], 1)
    for parts in (500, 64):
        found = moments(x, y, parts)
        np.testing.assert_allclose(found.mean, whole.mean(0))
        np.testing.assert_allclose(found.covariance, np.cov(whole.T, bias=True))


def test_correlations_are_those_of_scikit_learn():
    x, y = pairs()
    found, left, right = canonical(moments(x, y, 4000).covariance, 7, ridge=1e-9)
    theirs = CCA(n_components=5, max_iter=5000, tol=1e-12).fit_transform(x.numpy(), y.numpy())
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(side.T for side in theirs), strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    mine = np.corrcoef(((x - x.mean(0)) @ left[:, 0]), ((y - y.mean(0)) @ right[:, 0]))[0, 1]
    assert mine == pytest.approx(float(found[0]), abs=1e-6)


def test_the_ridge_tells_noise_from_what_is_common():
    x, y = pairs(40)  # so few rows that unregularised directions fit noise
    free, held = (canonical(moments(x, y, 40).covariance, 7, ridge)[0] for ridge in (1e-9, 5))
    assert (held < free).all() and held[0] > 0
    still = torch.cat([x, torch.zeros(40, 2)], 1)  # coordinates that never vary
    assert torch.isfinite(canonical(moments(still, y, 40).covariance, 9, 5)[1]).all()


def rank_of_pairs(model, kept):
    images, texts, owner = embed_kept(model, kept)
    return np.median(retrieval.ranks(images, texts, owner)[1])


@pytest.mark.parametrize(("blocks", "layers"), [(0, 0), (2, 1)])
def test_heads_match_pairs_before_any_training(tmp_path, recipe, sample_manifest, blocks, layers):
    torch.manual_seed(0)
    model = DualEncoder.build(recipe.model)
    photos = [photo for photo in read_manifest(sample_manifest, "train") if photo.captions]
    kept = Kept(Stem(model, blocks, layers), photos, tmp_path, "cpu", untracked)
    sizes = [head.weight.std().item() for head in (model.image_head, model.text_head)]
    before = rank_of_pairs(model, kept)
    best = fit_heads(model, kept, ridge=0.1, chunk=4)
    assert 0 < best < 1
    assert rank_of_pairs(model, kept) < before / 2
    for head, size in zip((model.image_head, model.text_head), sizes, strict=True):
        assert head.weight.std().item() == pytest.approx(size, rel=0.05)


def test_an_embedding_wider_than_the_features_keeps_small_random_rows(
    tmp_path, recipe, sample_manifest
):
    model = DualEncoder.build(dataclasses.replace(recipe.model, embed_dim=64))
    photos = [photo for photo in read_manifest(sample_manifest, "train") if photo.captions]
    fit_heads(model, Kept(Stem(model, 0, 0), photos, tmp_path, "cpu", untracked), 5.0, 4)
    width = min(model.image_encoder.dim, model.text_encoder.dim)
    assert width < 64
    for head in (model.image_head, model.text_head):
        rest = head.weight[width:].std() / head.weight[:width].std()
        assert 0.05 < rest < 0.2


def test_a_run_says_so_and_its_first_epoch_profits(tmp_path, recipe, sample_manifest, capsys):
    stage = StageConfig(name="heads", epochs=1, batch_size=8, lr=1e-6)
    told = {}
    for start in ("cca", "random"):
        chosen = dataclasses.replace(
            recipe, stages=(stage,), train=dataclasses.replace(recipe.train, head_init=start)
        )
        found = train(sample_manifest, chosen, tmp_path / start, output=Output(), device="cpu")
        told[start] = found.history[0]["loss"], capsys.readouterr().out
    assert told["cca"][0] < told["random"][0]
    assert "heads start from canonical correlations" in told["cca"][1]
    assert "canonical" not in told["random"][1]


def test_heads_that_were_trained_are_not_started_anew(tmp_path, recipe, sample_manifest, capsys):
    still = dataclasses.replace(recipe.stages[0], epochs=1, lr=1e-9)
    recipe = dataclasses.replace(recipe, stages=(still,))
    first = train(sample_manifest, recipe, tmp_path / "a", device="cpu").best
    second = train(
        sample_manifest, recipe, tmp_path / "b", init=first, output=Output(), device="cpu"
    ).best
    assert "canonical" not in capsys.readouterr().out
    (one, _), (two, _) = load_checkpoint(first), load_checkpoint(second)
    torch.testing.assert_close(one.image_head.weight, two.image_head.weight, atol=1e-6, rtol=0)


def test_recipes_that_cannot_are_refused(recipe):
    with pytest.raises(ConfigError, match=r"needs model\.projection: linear"):
        dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, projection="mlp"))
    with pytest.raises(ConfigError, match="first stage with frozen encoders or with views"):
        dataclasses.replace(recipe, stages=recipe.stages[1:])
    with pytest.raises(ConfigError, match=r"unknown train\.head_init 'pca'"):
        dataclasses.replace(recipe.train, head_init="pca")
    with pytest.raises(ConfigError, match="head_ridge must be positive"):
        dataclasses.replace(recipe.train, head_ridge=0)
