"""Soups of runs, and runs that set out from a checkpoint."""

import dataclasses

import pytest
import torch

from pairlight.data.manifest import read_manifest
from pairlight.errors import ConfigError, ModelError, PairlightError
from pairlight.models.checkpoint import load_checkpoint, read_checkpoint
from pairlight.output import Output
from pairlight.train import soup
from pairlight.train.soup import greedy_soup
from pairlight.train.trainer import train
from pairlight.train.validate import validate


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_run, tiny_recipe, sample_manifest):
    """Checkpoints of two runs that set out from the same heads."""
    heads = tiny_run[0] / "checkpoints" / "best_heads_16.pth"
    found = []
    for seed in (1, 2):
        recipe = dataclasses.replace(
            tiny_recipe, train=dataclasses.replace(tiny_recipe.train, seed=seed)
        )
        out = tmp_path_factory.mktemp(f"seed{seed}")
        found.append(train(sample_manifest, recipe, out, device="cpu", init=heads))
    return found


def test_init_passes_over_the_heads_and_sets_out_from_its_weights(
    tmp_path, tiny_run, tiny_recipe, sample_manifest, runs
):
    assert [entry["stage"] for entry in runs[0].history] == ["finetune"] * 2
    still = dataclasses.replace(
        tiny_recipe.stages[1], epochs=1, lr=1e-30, image_lr=1e-30, text_lr=1e-30
    )
    recipe = dataclasses.replace(tiny_recipe, stages=(still,))
    heads = tiny_run[0] / "checkpoints" / "best_heads_16.pth"
    result = train(sample_manifest, recipe, tmp_path, device="cpu", init=heads)
    want, found = (read_checkpoint(path)["state_dict"] for path in (heads, result.last))
    assert [name for name in want if not torch.allclose(want[name], found[name])] == []


def test_init_of_another_model_is_refused_with_what_to_set(
    tmp_path, tiny_run, tiny_recipe, sample_manifest
):
    other = dataclasses.replace(tiny_recipe.model, text_pooling="max")
    recipe = dataclasses.replace(tiny_recipe, model=other)
    with pytest.raises(ConfigError, match="--set model.text_pooling=mean"):
        train(sample_manifest, recipe, tmp_path, device="cpu", init=tiny_run[1].best)


def test_a_soup_is_the_mean_of_what_it_takes_and_never_worse(
    tmp_path, runs, sample_manifest, monkeypatch
):
    paths = [run.best for run in runs]
    scores = iter([10.0, 20.0, 25.0])
    monkeypatch.setattr(soup, "validate", lambda *args: {"rsum": next(scores)})
    made = greedy_soup(paths, sample_manifest, tmp_path / "soup.pth", device="cpu")
    assert made.taken == paths[::-1]
    one, two, both = (read_checkpoint(p)["state_dict"] for p in [*paths, tmp_path / "soup.pth"])
    for name in one:
        assert torch.allclose(both[name], (one[name] + two[name]) / 2, atol=1e-6)
    parts = read_checkpoint(tmp_path / "soup.pth")["soup"]
    assert [len(part["sha256"]) for part in parts] == [64, 64]


def test_what_makes_it_worse_is_left_out(tmp_path, runs, sample_manifest, monkeypatch):
    paths = [run.best for run in runs]
    scores = iter([10.0, 20.0, 19.0])
    monkeypatch.setattr(soup, "validate", lambda *args: {"rsum": next(scores)})
    made = greedy_soup(paths, sample_manifest, tmp_path / "soup.pth", device="cpu")
    assert made.taken == [paths[1]] and made.val["rsum"] == 20.0
    best, found = (read_checkpoint(p)["state_dict"] for p in (paths[1], tmp_path / "soup.pth"))
    assert all(torch.equal(best[name], found[name]) for name in best)


def test_real_scores_of_a_soup(tmp_path, runs, sample_manifest):
    made = greedy_soup([r.best for r in runs], sample_manifest, tmp_path / "s.pth", device="cpu")
    assert made.val["rsum"] >= max(made.alone.values())


def test_a_soup_for_larger_photos_is_judged_on_them(tmp_path, runs, sample_manifest):
    paths = [run.best for run in runs]
    plain = greedy_soup(paths, sample_manifest, tmp_path / "s64.pth", device="cpu")
    large = greedy_soup(paths, sample_manifest, tmp_path / "s96.pth", device="cpu", image_size=96)
    model, content = load_checkpoint(tmp_path / "s96.pth")
    assert model.config.image_size == 96
    assert large.val["loss"] != plain.val["loss"]
    photos = [photo for photo in read_manifest(sample_manifest, "val") if photo.captions]
    again = validate(model, photos, "cpu", Output(quiet=True))
    assert again["rsum"] == content["val"]["rsum"] == large.val["rsum"]
    alone = greedy_soup(paths[:1], sample_manifest, tmp_path / "a.pth", device="cpu", image_size=96)
    assert alone.val["rsum"] == large.alone[str(paths[0])]


def test_a_place_that_cannot_be_written_to_is_found_before_the_scoring(
    tmp_path, runs, sample_manifest, monkeypatch
):
    monkeypatch.setattr(soup, "validate", None)
    (tmp_path / "file").touch()
    paths = [run.best for run in runs]
    with pytest.raises(PairlightError, match="cannot make this folder"):
        greedy_soup(paths, sample_manifest, tmp_path / "file" / "soup.pth", device="cpu")


def test_refusals(tmp_path, tiny_recipe, runs, sample_manifest):
    one = runs[0].best
    with pytest.raises(ConfigError, match="two different checkpoints, or one and --start"):
        greedy_soup([one, one], sample_manifest, tmp_path / "soup.pth")
    with pytest.raises(ConfigError, match="exists already"):
        greedy_soup([one, runs[1].best], sample_manifest, one)
    heads = dataclasses.replace(
        tiny_recipe,
        stages=tiny_recipe.stages[:1],
        model=dataclasses.replace(tiny_recipe.model, projection="linear"),
    )
    other = train(sample_manifest, heads, tmp_path / "other", device="cpu").best
    with pytest.raises(ModelError, match="is another model"):
        greedy_soup([one, other], sample_manifest, tmp_path / "soup.pth")
    assert not (tmp_path / "soup.pth").exists()
