"""Fitting hub correction: to a bank with a planted hub, at the end of training, to soups."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from pairlight.data.manifest import read_manifest, write_manifest
from pairlight.errors import ConfigError, DataError, ModelError
from pairlight.models.checkpoint import load_checkpoint, read_checkpoint
from pairlight.output import Output
from pairlight.train import hubs
from pairlight.train.hubs import correct_hubs, corrected, fit_hubs
from pairlight.train.soup import greedy_soup
from pairlight.train.trainer import train
from pairlight.train.validate import Trial, scores
from pairlight.types import Embeddings


def planted(rng, pairs, dim=16):
    """Return noisy pairs of embeddings; a third of the images lean to where all captions are."""
    common = np.eye(dim)[0]
    base = rng.normal(size=(pairs, dim)) + 2.5 * common
    images = base + 0.9 * rng.normal(size=(pairs, dim))
    images[: pairs // 3] += 4 * common  # these are near to every caption
    texts = base + 0.9 * rng.normal(size=(pairs, dim))
    for each in (images, texts):
        each[:, -2:] *= 0.05  # real embeddings have directions that can be spared
        each /= np.linalg.norm(each, axis=1, keepdims=True)
    return Embeddings(images.astype(np.float32), texts.astype(np.float32), np.arange(pairs))


def share_of_planted(found):
    """Return which part of all captions' first ten the planted third of the images takes."""
    first = np.argsort(-(found.texts @ found.images.T), axis=1)[:, :10]
    return (first < len(found.images) // 3).mean()


@pytest.mark.parametrize("count", [40, 1000])
def test_planted_hubs_are_held_back(count):
    rng = np.random.default_rng(0)
    bank, unseen = planted(rng, 300), planted(rng, 200)
    found = fit_hubs(bank, unseen, 0.07, count, seed=0)
    after = corrected(found, unseen)
    taken = [share_of_planted(each) for each in (unseen, after)]
    assert taken[0] > 0.42 and taken[1] < 0.3  # a third would be even
    assert scores(after, 10)["rsum"] > scores(unseen, 10)["rsum"] + 5
    assert [each.linear.out_features for each in found] == [14 + min(count, 300)] * 2
    again = fit_hubs(bank, unseen, 0.07, count, seed=0)
    for one, two in zip(found, again, strict=True):
        for name, each in one.state_dict().items():
            torch.testing.assert_close(two.state_dict()[name], each)


@pytest.fixture
def recipe(tiny_recipe):
    config = dataclasses.replace(tiny_recipe.train, hub_prototypes=8)
    return dataclasses.replace(tiny_recipe, train=config)


def scored(rsum):
    return {"rsum": rsum, "loss": 3 - rsum}


def test_few_photos_judge_by_the_loss_and_many_by_recall():
    worse_found_but_surer = {"rsum": 449.6, "loss": 1.987}
    before = {"rsum": 450.8, "loss": 2.076}
    few, many = (Trial(before, worse_found_but_surer, n) for n in (499, 500))
    assert few.kept and str(few) == "rsum 450.8 -> 449.6, loss 2.076 -> 1.987, kept"
    assert not many.kept and str(many) == "rsum 450.8 -> 449.6, left out"
    much_worse_found = worse_found_but_surer | {"rsum": 430.0}
    assert not Trial(before, much_worse_found, 100).kept
    assert not Trial(before, before, 20).kept and not Trial(before, before, 1000).kept


@pytest.mark.parametrize("better", [True, False])
def test_training_ends_with_it_where_it_helps(
    tmp_path, recipe, sample_manifest, monkeypatch, better
):
    rsums = iter([1.0, 2.0 if better else 1.0])
    monkeypatch.setattr(hubs, "scores", lambda *args: scored(next(rsums)))
    result = train(sample_manifest, recipe, tmp_path, device="cpu")
    model, content = load_checkpoint(result.best)
    assert model.corrects_hubs == better
    assert ("val_before_hubs" in content) == better
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    (found,) = (line for line in lines if line["event"] == "hubs")
    after = scored(2.0 if better else 1.0)
    assert (found["kept"], found["before"], found["val"]) == (better, scored(1.0), after)
    # What a resumed run goes on from is as training left it, and so is each stage's best.
    others = [path for path in result.best.parent.glob("*.pth") if path != result.best]
    assert len(others) == 3
    for path in others:
        assert not any("hubs" in name for name in read_checkpoint(path)["state_dict"])


@pytest.mark.parametrize("after", [2.0, 1.0])
def test_a_resumed_and_finished_run_is_not_corrected_twice(
    tmp_path, recipe, sample_manifest, monkeypatch, after
):
    rsums = iter([1.0, after])
    monkeypatch.setattr(hubs, "scores", lambda *args: scored(next(rsums)))
    result = train(sample_manifest, recipe, tmp_path, device="cpu")
    before = result.best.read_bytes()
    train(sample_manifest, recipe, tmp_path, resume=True, device="cpu")
    assert result.best.read_bytes() == before


def test_frozen_runs_fit_it_to_kept_features(tmp_path, recipe, sample_manifest, monkeypatch):
    rsums = iter([1.0, 2.0])
    monkeypatch.setattr(hubs, "scores", lambda *args: scored(next(rsums)))
    found = {}
    fit = hubs.fit_hubs

    def watched(bank, held_out, *args):
        found.update(bank=bank, held_out=held_out)
        return fit(bank, held_out, *args)

    monkeypatch.setattr(hubs, "fit_hubs", watched)
    frozen = dataclasses.replace(recipe, stages=recipe.stages[:1])
    result = train(sample_manifest, frozen, tmp_path, device="cpu")
    assert not found["bank"].paths  # photos that are embedded anew have some
    # The same, to half precision, as photos embedded with the best checkpoint.
    model, _ = load_checkpoint(result.best)
    model.forget_hubs()
    photos = read_manifest(sample_manifest)
    splits = [[photo for photo in photos if photo.split == name] for name in ("train", "val")]
    kept = dict(found)
    monkeypatch.setattr(hubs, "scores", lambda *args: scored(0.0))
    correct_hubs(model, tuple(splits), 8, "cpu", Output(quiet=True))
    for name in ("bank", "held_out"):
        np.testing.assert_allclose(found[name].images, kept[name].images, atol=2e-3)
        np.testing.assert_allclose(found[name].texts, kept[name].texts, atol=2e-3)


def test_without_held_out_captions_it_is_left_out(tiny_run, sample_manifest, capsys):
    model, _ = load_checkpoint(tiny_run[1].best)
    photos = read_manifest(sample_manifest)
    assert correct_hubs(model, (photos, []), 8, "cpu", Output()) is None
    assert not model.corrects_hubs
    assert "left out" in capsys.readouterr().out


def test_a_soup_of_one_gets_it_and_training_sets_out_without_it(
    tmp_path, tiny_run, tiny_recipe, sample_manifest, monkeypatch, capsys
):
    rsums = iter([1.0, 2.0])
    monkeypatch.setattr(hubs, "scores", lambda *args: scored(next(rsums)))
    out = tmp_path / "corrected.pth"
    made = greedy_soup([tiny_run[1].best], sample_manifest, out, hub_prototypes=8, device="cpu")
    assert made.val == scored(2.0)
    model, _ = load_checkpoint(out)
    assert model.corrects_hubs
    with pytest.raises(ConfigError, match="--hub-prototypes"):
        greedy_soup([out], sample_manifest, tmp_path / "no.pth", device="cpu")
    rsums = iter([2.0, 1.0])
    with pytest.raises(ModelError, match="no correction of hubs helps"):
        greedy_soup([out], sample_manifest, tmp_path / "no.pth", hub_prototypes=8, device="cpu")
    rest = [photo for photo in read_manifest(sample_manifest) if photo.split != "train"]
    write_manifest(tmp_path / "rest.jsonl", rest)
    with pytest.raises(DataError, match="needs a train split"):
        greedy_soup([out], tmp_path / "rest.jsonl", tmp_path / "no.pth", hub_prototypes=8)
    assert not (tmp_path / "no.pth").exists()
    # A corrected checkpoint can be averaged with others, and trained on.
    runs = [out, tiny_run[1].best]
    greedy_soup(runs, sample_manifest, tmp_path / "both.pth", hub_prototypes=0, device="cpu")
    assert not load_checkpoint(tmp_path / "both.pth")[0].corrects_hubs
    capsys.readouterr()
    told = Output()
    result = train(
        sample_manifest, tiny_recipe, tmp_path / "on", output=told, device="cpu", init=out
    )
    assert not load_checkpoint(result.best)[0].corrects_hubs
    assert "correction of hubs is put aside" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"hub_prototypes": -1}, "hub_prototypes must be from"), ({"hub_prototypes": 8}, "embed_dim")],
)
def test_bad_sizes_are_refused(tiny_recipe, changes, message):
    narrow = dataclasses.replace(tiny_recipe.model, embed_dim=2)
    with pytest.raises(ConfigError, match=message):
        config = dataclasses.replace(tiny_recipe.train, **changes)
        dataclasses.replace(tiny_recipe, model=narrow, train=config)
