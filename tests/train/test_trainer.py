"""Training runs: files, learning, resume, early stop, refusals."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pairlight import losses
from pairlight.config import AugmentConfig, StageConfig
from pairlight.data.manifest import read_manifest
from pairlight.embed import embed_photos, load_model
from pairlight.errors import DataError, PairlightError
from pairlight.metrics.retrieval import ranks, summary
from pairlight.models.checkpoint import read_checkpoint
from pairlight.output import Output
from pairlight.train.trainer import Trainer, train


def run(manifest, recipe, out, **options):
    return train(manifest, recipe, out, device="cpu", **options)


def weights(path):
    return read_checkpoint(path)["state_dict"]


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_leaves_the_promised_files(tiny_run):
    out, result = tiny_run
    for name in ("best_model_16.pth", "last_16.pth", "best_heads_16.pth", "best_finetune_16.pth"):
        assert (out / "checkpoints" / name).is_file()
    stored = torch.load(out / "training_history_16.pth", weights_only=True)
    assert stored["history"] == result.history
    assert [entry["stage"] for entry in result.history] == ["heads"] * 2 + ["finetune"] * 2
    assert any((out / "tensorboard").iterdir())


def test_the_log_says_what_ran_on_what(tiny_run, tiny_recipe):
    out, _ = tiny_run
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    start = events[0]
    assert start["event"] == "start"
    assert start["recipe"]["train"]["seed"] == tiny_recipe.train.seed
    assert start["data"]["train"] == 21 and len(start["data"]["sha256"]) == 64
    assert start["packages"]["torch"] == torch.__version__.split("+")[0]
    assert {"git_commit", "device", "cores"} <= set(start)
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1, 2, 3, 4]


def test_best_is_the_epoch_with_the_best_rsum(tiny_run):
    _, result = tiny_run
    best = read_checkpoint(result.best)
    scores = [entry["val"]["rsum"] for entry in result.history]
    assert best["epoch"] == scores.index(max(scores)) + 1
    assert best["val"]["rsum"] == max(scores)


def test_the_best_checkpoint_scores_what_its_history_says(tiny_run, sample_manifest):
    _, result = tiny_run
    found = embed_photos(load_model(result.best, "cpu"), read_manifest(sample_manifest, "val"))
    i2t, t2i = ranks(found.images, found.texts, found.owner)
    stored = read_checkpoint(result.best)["val"]
    assert summary(i2t) == stored["i2t"] and summary(t2i) == stored["t2i"]


def test_it_learns_the_training_photos(tmp_path, tiny_recipe, sample_manifest):
    """Through both encoders, from random weights: guessing would stay at the first loss."""
    stage = dataclasses.replace(
        tiny_recipe.stages[1], name="learn", epochs=30, image_blocks=9, text_layers=2, warmup=0.05,
        batch_size=7, captions_per_image=5, lr=3e-3, image_lr=3e-3, text_lr=3e-3,
    )  # fmt: skip
    recipe = dataclasses.replace(
        tiny_recipe,
        model=dataclasses.replace(tiny_recipe.model, embed_dim=64),
        stages=(stage,),
        augment=AugmentConfig(crop_scale=1, jitter=0, flip=0, token_dropout=0),
        train=dataclasses.replace(tiny_recipe.train, patience=30),
    )
    result = run(sample_manifest, recipe, tmp_path)
    assert result.history[-1]["loss"] < 0.75 * result.history[0]["loss"]
    photos = read_manifest(sample_manifest, "train")
    found = embed_photos(load_model(result.last, "cpu"), photos)
    chance = 100 / len(photos)
    assert summary(ranks(found.images, found.texts, found.owner)[1])["R@1"] > 4 * chance


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_resume_gives_what_an_unbroken_run_gives(
    tmp_path, tiny_run, tiny_recipe, sample_manifest, monkeypatch, stop_after
):
    _, unbroken = tiny_run
    whole_epoch = Trainer._run_epoch

    def interrupted(self, *args):
        if len(self.history) == stop_after:
            raise KeyboardInterrupt
        whole_epoch(self, *args)

    monkeypatch.setattr(Trainer, "_run_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(sample_manifest, tiny_recipe, tmp_path)
    monkeypatch.undo()
    resumed = run(sample_manifest, tiny_recipe, tmp_path, resume=True)
    losses = [entry["loss"] for entry in unbroken.history]
    assert [entry["loss"] for entry in resumed.history] == losses
    assert same(weights(resumed.last), weights(unbroken.last))
    again = run(sample_manifest, tiny_recipe, tmp_path, resume=True)  # nothing is left to do
    assert again.history == resumed.history


def test_seeds_decide(tmp_path, tiny_run, tiny_recipe, sample_manifest):
    _, first = tiny_run
    heads = dataclasses.replace(tiny_recipe, stages=tiny_recipe.stages[:1])
    again = run(sample_manifest, heads, tmp_path / "a")
    other_seed = dataclasses.replace(heads, train=dataclasses.replace(heads.train, seed=1))
    other = run(sample_manifest, other_seed, tmp_path / "b")
    assert [e["loss"] for e in again.history] == [e["loss"] for e in first.history[:2]]
    assert other.history[0]["loss"] != again.history[0]["loss"]


def test_a_history_that_fell_behind_is_made_whole(tmp_path, tiny_recipe, sample_manifest):
    heads = dataclasses.replace(tiny_recipe, stages=tiny_recipe.stages[:1])
    done = run(sample_manifest, heads, tmp_path)
    (tmp_path / "training_history_16.pth").unlink()
    run(sample_manifest, heads, tmp_path, resume=True)
    stored = torch.load(tmp_path / "training_history_16.pth", weights_only=True)
    assert stored["history"] == done.history


def test_early_stop_ends_the_stage_and_the_next_starts_from_its_best(
    tmp_path, tiny_recipe, sample_manifest, monkeypatch
):
    from pairlight.train import inputs

    scores = iter([10.0, 20.0, 5.0, 5.0, 1.0])

    def scored(*args):
        one = {f"R@{k}": 0.0 for k in (1, 5, 10)}
        return {"i2t": one, "t2i": one, "loss": 1.0, "rsum": next(scores)}

    monkeypatch.setattr(inputs, "validate", scored)
    recipe = dataclasses.replace(
        tiny_recipe,
        train=dataclasses.replace(tiny_recipe.train, patience=2),
        stages=(
            StageConfig(name="heads", epochs=9, batch_size=8),
            StageConfig(name="more", epochs=1, batch_size=8, lr=1e-30),
        ),
    )
    result = run(sample_manifest, recipe, tmp_path)
    assert [entry["stage"] for entry in result.history] == ["heads"] * 4 + ["more"]
    # A rate of next to zero: what the second stage ends with is what it began with.
    best = weights(tmp_path / "checkpoints" / "best_heads_16.pth")
    assert same(weights(result.last), best)
    assert read_checkpoint(result.best)["epoch"] == 2


def test_without_val_the_latest_counts(tmp_path, tiny_recipe, copy_of_manifest, capsys):
    manifest = copy_of_manifest(lambda photo: dataclasses.replace(photo, split="train"))
    heads = dataclasses.replace(tiny_recipe, stages=tiny_recipe.stages[:1])
    result = run(manifest, heads, tmp_path, output=Output())
    assert all(entry["val"] is None for entry in result.history)
    assert read_checkpoint(result.best)["epoch"] == 2
    said = capsys.readouterr().out
    assert "no validation split" in said and "images/s" in said


def test_few_photos_that_judge_are_told_of(tiny_recipe, sample_manifest, tmp_path, capsys):
    heads = dataclasses.replace(tiny_recipe, stages=tiny_recipe.stages[:1])
    run(sample_manifest, heads, tmp_path, output=Output())
    assert "only 7 photos in the val split" in capsys.readouterr().out


def test_unsplit_data_says_what_to_run(tmp_path, tiny_recipe, copy_of_manifest):
    manifest = copy_of_manifest(lambda photo: dataclasses.replace(photo, split=None))
    with pytest.raises(DataError, match="0 photos in the train split.*pairlight split --manifest"):
        run(manifest, tiny_recipe, tmp_path)


def test_a_batch_larger_than_the_data_is_said(tmp_path, tiny_recipe, sample_manifest, capsys):
    stage = dataclasses.replace(tiny_recipe.stages[0], epochs=1, batch_size=512)
    recipe = dataclasses.replace(tiny_recipe, stages=(stage,))
    run(sample_manifest, recipe, tmp_path, output=Output())
    assert "batch size 512 is cut to the 21 photos" in capsys.readouterr().out


def test_lost_photos_are_counted_and_the_run_goes_on(
    tmp_path, tiny_recipe, copy_of_manifest, capsys
):
    lost = iter(range(99))

    def lose_two(photo):
        if photo.split == "train" and next(lost) < 2:
            return dataclasses.replace(photo, image=tmp_path / "gone" / photo.image.name)
        return photo

    manifest = copy_of_manifest(lose_two)
    result = run(manifest, tiny_recipe, tmp_path / "out", output=Output())
    said = capsys.readouterr().out
    assert "2 of 21 photos could not be read" in said
    assert len(result.history) == 4


def broken(images, texts, owner, scale):
    return (images.sum() + texts.sum()) * math.nan


def test_a_loss_that_is_not_finite_stops_with_advice(
    tmp_path, tiny_recipe, sample_manifest, monkeypatch
):
    monkeypatch.setitem(losses.LOSSES, "info_nce", broken)
    advice = "the loss is nan; lower the stage's learning rates and start anew, with --overwrite"
    with pytest.raises(PairlightError, match=advice):
        run(sample_manifest, tiny_recipe, tmp_path)


def test_the_advice_to_set_out_from_the_best_epoch_can_be_followed(
    tmp_path, tiny_recipe, sample_manifest, monkeypatch
):
    whole_epoch = Trainer._run_epoch

    def breaking(self, state, inputs):
        if not state.stage.frozen:
            monkeypatch.setitem(losses.LOSSES, "info_nce", broken)
        whole_epoch(self, state, inputs)

    monkeypatch.setattr(Trainer, "_run_epoch", breaking)
    with pytest.raises(PairlightError, match="--init .* and another --out") as told:
        run(sample_manifest, tiny_recipe, tmp_path / "a")
    monkeypatch.undo()
    named = Path(str(told.value).partition("--init ")[2].removesuffix(" and another --out"))
    tuning = dataclasses.replace(tiny_recipe.stages[1], lr=1e-4, epochs=1)
    gentler = dataclasses.replace(tiny_recipe, stages=(tiny_recipe.stages[0], tuning))
    result = run(sample_manifest, gentler, tmp_path / "b", init=named)
    assert [entry["stage"] for entry in result.history] == ["finetune"]


def test_chunks_change_nothing(tiny_recipe, sample_manifest):
    from pairlight.data.dataset import CaptionedPhotos
    from pairlight.data.loader import epoch_loader
    from pairlight.models.dual_encoder import DualEncoder
    from pairlight.train.epoch import embed_batch
    from pairlight.train.precision import Precision

    torch.manual_seed(0)
    model = DualEncoder.build(tiny_recipe.model).eval()
    photos = read_manifest(sample_manifest, "train")[:7]
    tokens = [model.tokenizer(list(photo.captions)) for photo in photos]
    data = CaptionedPhotos(photos, tokens, model.tokenizer.mask_id, 64, tiny_recipe.augment, 2, 0)
    (batch,) = epoch_loader(data, [list(range(7))], 1, model.tokenizer.pad, 1)
    with torch.no_grad():
        whole = embed_batch(model, batch, Precision("fp32", "cpu"), 32)
        parts = embed_batch(model, batch, Precision("fp32", "cpu"), 2)
    for name in ("images", "texts", "owner", "captions"):
        one, two = getattr(whole, name), getattr(parts, name)
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-5)
