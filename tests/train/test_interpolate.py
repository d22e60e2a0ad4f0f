"""Stepping back to the start: where the image encoder ends, what decides, and when it is tried."""

import dataclasses
import json

import pytest
import torch

from pairlight.cli.main import main
from pairlight.data.manifest import read_manifest
from pairlight.errors import ConfigError, ModelError
from pairlight.models.checkpoint import load_checkpoint, read_checkpoint
from pairlight.output import Output
from pairlight.train import interpolate as module
from pairlight.train import run
from pairlight.train.interpolate import SHARES, Interpolation, between, image_weights, interpolate
from pairlight.train.runs import train_runs
from pairlight.train.soup import greedy_soup
from pairlight.train.trainer import train
from pairlight.train.validate import FEW_JUDGES, validate

QUIET = Output(quiet=True)


@pytest.fixture
def recipe(tiny_recipe):
    config = dataclasses.replace(tiny_recipe.train, interpolate=True)
    return dataclasses.replace(tiny_recipe, train=config)


@pytest.fixture
def held_out(sample_manifest):
    return [photo for photo in read_manifest(sample_manifest, "val") if photo.captions]


@pytest.fixture
def heads(tiny_run):
    """The checkpoint that the fine-tuning of `tiny_run` set out from."""
    return tiny_run[0] / "checkpoints" / "best_heads_16.pth"


def judged(monkeypatch, *losses):
    """Let the losses of the trained encoder, then of each share, be `losses`."""
    left = iter(losses)
    monkeypatch.setattr(module, "scores", lambda *args: scored(next(left)))


def scored(loss):
    return {"rsum": 100 - loss, "loss": loss}


def away(model, size):
    """Put noise of `size` times their own deviation on the image encoder's weights."""
    torch.manual_seed(0)
    with torch.no_grad():
        for each in model.image_encoder.parameters():
            each.add_(size * each.std(correction=0) * torch.randn_like(each))


def test_it_stops_where_held_out_photos_are_found_best_and_leaves_the_rest(
    tiny_checkpoint, held_out, monkeypatch, capsys
):
    model, _ = load_checkpoint(tiny_checkpoint)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    start = image_weights(model)
    away(model, 0.5)
    end = image_weights(model)
    judged(monkeypatch, 2.0, 1.8, 1.5, 1.6, 1.9, 2.2, 2.3, 2.4)
    found = interpolate(model, start, held_out, "cpu", Output())
    assert found == Interpolation(scored(2.0), scored(1.5), len(held_out), SHARES[1])
    said = capsys.readouterr().out
    assert "image encoder at 0.8 of the way from the start: rsum" in said
    assert "0.5 of the way: rsum 97.8, loss 2.200" in said
    for name, each in image_weights(model).items():
        assert torch.allclose(each, start[name] + 0.8 * (end[name] - start[name]), atol=1e-6)
    others = [name for name in before if not name.startswith("image_encoder.")]
    assert all(torch.equal(before[name], model.state_dict()[name]) for name in others)


def test_what_was_scored_is_what_the_model_then_is(tiny_checkpoint, held_out, monkeypatch):
    model, _ = load_checkpoint(tiny_checkpoint)
    start = image_weights(model)
    away(model, 1.0)
    trained = validate(model, held_out, "cpu", QUIET)
    monkeypatch.setattr(Interpolation, "kept", True)
    found = interpolate(model, start, held_out, "cpu", QUIET)
    assert found.before == trained
    again = validate(model, held_out, "cpu", QUIET)
    assert again["loss"] == pytest.approx(found.after["loss"], rel=1e-5)
    assert again["i2t"] == found.after["i2t"] and again["t2i"] == found.after["t2i"]


def test_the_model_is_as_it_was_where_nothing_between_is_better(
    tiny_checkpoint, held_out, monkeypatch
):
    model, _ = load_checkpoint(tiny_checkpoint)
    start = image_weights(model)
    away(model, 0.5)
    end = image_weights(model)
    judged(monkeypatch, 1.0, *[2.0] * len(SHARES))
    assert not interpolate(model, start, held_out, "cpu", QUIET).kept
    assert all(torch.equal(end[name], each) for name, each in image_weights(model).items())


@pytest.mark.parametrize("what", ["photos", "way"])
def test_without_judges_or_a_way_nothing_is_tried(tiny_checkpoint, held_out, what):
    model, _ = load_checkpoint(tiny_checkpoint)
    start = image_weights(model)
    if what == "photos":
        away(model, 0.5)
        held_out = []
    assert interpolate(model, start, held_out, "cpu", QUIET) is None


def test_of_many_judges_the_rsum_decides_of_few_the_loss():
    one = {"rsum": 300.0, "loss": 2.0}, {"rsum": 310.0, "loss": 2.1}
    other = {"rsum": 300.0, "loss": 2.0}, {"rsum": 305.0, "loss": 1.9}
    for judges, best in ((FEW_JUDGES, one), (FEW_JUDGES - 1, other)):
        both = [Interpolation(*each, judges, 0.9) for each in (one, other)]
        assert max(both, key=lambda each: each.merit).after == best[1]


def test_between_keeps_what_is_not_a_number_of_the_network():
    start = {"weight": torch.zeros(2), "count": torch.tensor(3)}
    end = {"weight": torch.ones(2), "count": torch.tensor(7)}
    found = between(start, end, 0.25)
    assert found["weight"].tolist() == [0.25, 0.25] and found["count"] == 7


@pytest.mark.parametrize("after", [1.0, 3.0])
def test_training_ends_with_it_once_before_hubs_are_corrected(
    tmp_path, recipe, heads, sample_manifest, monkeypatch, after
):
    judged(monkeypatch, 2.0, after, *[4.0] * (len(SHARES) - 1))
    recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, hub_prototypes=8))
    # From trained heads, so that the best epoch is one that trained the encoder.
    result = train(sample_manifest, recipe, tmp_path, device="cpu", init=heads)
    content, kept = read_checkpoint(result.best), after < 2
    told = {"kept": kept, "before": scored(2.0), "val": scored(after), "share": SHARES[0]}
    assert content["interpolation"] == told
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    last = [each for each in events if each["event"] in ("interpolation", "hubs")]
    assert [each["event"] for each in last] == ["interpolation", "hubs"]
    assert told.items() <= last[0].items()
    finetuned = result.best.with_name("best_finetune_16.pth")
    start, tuned = (read_checkpoint(path)["state_dict"] for path in (heads, finetuned))
    share = SHARES[0] if kept else 1.0
    for name in (name for name in tuned if name.startswith("image_encoder.")):
        wanted = start[name] + share * (tuned[name] - start[name])
        assert torch.allclose(content["state_dict"][name], wanted, atol=1e-6)
    # Resumed, it is not tried again: there are no more scores to judge by.
    written = result.best.read_bytes()
    train(sample_manifest, recipe, tmp_path, resume=True, device="cpu", init=heads)
    assert result.best.read_bytes() == written


@pytest.mark.parametrize("after", [0.1, 30.0])
def test_where_the_heads_were_best_the_best_epoch_since_is_stepped_back(
    tmp_path, recipe, sample_manifest, monkeypatch, after
):
    # Every epoch finds less than the one before it, so the best is the first of the heads.
    monkeypatch.setattr(run, "rsum_of", lambda entry: -entry["epoch"])
    monkeypatch.setattr("pairlight.train.validate.SLACK", 600)  # the loss alone decides
    judged(monkeypatch, after, *[40.0] * (len(SHARES) - 1))
    best = train(sample_manifest, recipe, tmp_path, device="cpu").best
    content, kept = read_checkpoint(best), after < 2
    own = read_checkpoint(best.with_name("best_heads_16.pth"))["val"]
    assert content["interpolation"]["before"] == own and content["interpolation"]["kept"] == kept
    assert content["val"] == (scored(after) if kept else own)
    assert content["stage"] == ("finetune" if kept else "heads")
    heads, tuned = (
        read_checkpoint(best.with_name(f"best_{stage}_16.pth"))["state_dict"]
        for stage in ("heads", "finetune")
    )
    for name, each in content["state_dict"].items():
        if not kept or name.startswith("image_encoder."):
            wanted = torch.lerp(heads[name].float(), tuned[name].float(), SHARES[0] * kept)
        else:
            wanted = tuned[name]
        assert torch.allclose(each.float(), wanted.float(), atol=1e-6), name


def test_a_run_of_heads_alone_has_nothing_to_step_back_from(
    tmp_path, recipe, sample_manifest, monkeypatch
):
    judged(monkeypatch)
    recipe = dataclasses.replace(recipe, stages=recipe.stages[:1])
    content = read_checkpoint(train(sample_manifest, recipe, tmp_path, device="cpu").best)
    assert "interpolation" not in content


def test_an_average_of_runs_steps_back_from_itself(tmp_path, recipe, sample_manifest, monkeypatch):
    given = []

    def soup(*args, start, **options):
        given.append(start)
        return greedy_soup(*args, start=start, **options)

    monkeypatch.setattr("pairlight.train.runs.greedy_soup", soup)
    recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, runs=2))
    result = train_runs(sample_manifest, recipe, tmp_path, device="cpu")
    assert given == [tmp_path / "checkpoints" / "best_heads_16.pth"]
    alone = read_checkpoint(tmp_path / "run2" / "checkpoints" / "best_model_16.pth")
    assert "interpolation" not in alone and "soup" in read_checkpoint(result.best)


def test_a_soup_of_one_gets_it(tmp_path, heads, sample_manifest, monkeypatch, capsys):
    judged(monkeypatch, 2.0, 1.8, 1.5, 1.6, 1.9, 2.2, 2.3, 2.4)
    out, tuned = tmp_path / "back.pth", heads.with_name("best_finetune_16.pth")
    words = ["soup", str(tuned), "--manifest", str(sample_manifest), "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--start", str(heads), "--device", "cpu"])
    assert stop.value.code == 0
    assert "loss 2.000 -> 1.500, kept" in capsys.readouterr().out
    assert read_checkpoint(out)["val"] == scored(1.5)
    judged(monkeypatch, 1.0, *[2.0] * len(SHARES))
    with pytest.raises(ModelError, match="no step back to the start helps it on val"):
        greedy_soup([out], sample_manifest, tmp_path / "no.pth", start=heads, device="cpu")
    assert not (tmp_path / "no.pth").exists()


def test_a_start_of_another_model_is_refused(
    tmp_path, tiny_recipe, tiny_checkpoint, sample_manifest
):
    wide = dataclasses.replace(tiny_recipe.model, embed_dim=24)
    recipe = dataclasses.replace(tiny_recipe, model=wide, stages=tiny_recipe.stages[:1])
    other = train(sample_manifest, recipe, tmp_path / "wide", device="cpu").best
    with pytest.raises(ModelError, match="is another model"):
        greedy_soup([tiny_checkpoint], sample_manifest, tmp_path / "no.pth", start=other)
    with pytest.raises(ConfigError, match="or one and --start"):
        greedy_soup([tiny_checkpoint], sample_manifest, tmp_path / "no.pth")
