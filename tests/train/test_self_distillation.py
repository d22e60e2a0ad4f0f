"""Self-distillation: its looks and mixed photos, what it trains, what it keeps, when it runs."""

import copy
import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from pairlight.cli.main import main
from pairlight.data.manifest import read_manifest, write_manifest
from pairlight.errors import ConfigError, DataError, ModelError
from pairlight.imaging import load_square
from pairlight.models.checkpoint import load_checkpoint, read_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train import self_distillation as module
from pairlight.train.self_distillation import distil_looks, looks, mixed
from pairlight.train.soup import greedy_soup
from pairlight.train.trainer import train


@pytest.fixture
def recipe(tiny_recipe):
    config = dataclasses.replace(tiny_recipe.train, self_distillation=2)
    return dataclasses.replace(tiny_recipe, train=config)


@pytest.fixture
def splits(sample_manifest):
    photos = read_manifest(sample_manifest)
    return tuple([p for p in photos if p.split == name] for name in ("train", "val"))


def judged(monkeypatch, *rsums):
    """Let the model's scores before and after be `rsums`."""
    scores = iter(rsums)
    monkeypatch.setattr(module, "validate", lambda *args: scored(next(scores)))


def scored(rsum):
    return {"rsum": rsum, "loss": 3 - rsum}


def test_looks_are_the_photo_its_mirror_image_and_its_middle():
    pixels = torch.full((2, 3, 40, 40), 200.0)
    pixels[:, :, 3:-3, 3:20] = 100  # dark left half within a bright frame
    photo, mirror, middle = looks(pixels, mirrored=False)
    assert torch.equal(photo, pixels)
    assert torch.equal(mirror.flip(3), pixels)
    assert middle.shape == pixels.shape
    assert (middle[..., 0] - 100).abs().max() < 1  # the frame is outside
    assert (middle[..., -1] - 200).abs().max() < 1
    assert torch.equal(looks(pixels, mirrored=True)[2], middle.flip(3))


def test_half_of_the_photos_get_up_to_half_of_another():
    pixels = (torch.arange(400) % 250).to(torch.uint8).view(400, 1, 1, 1).expand(-1, 3, -1, -1)
    found = mixed(pixels, np.random.default_rng(0))
    changed = (found != pixels.float())[:, 0, 0, 0]
    assert 0.4 < changed.float().mean() < 0.6
    assert (found >= pixels / 2).all() and (found <= 125 + pixels / 2).all()
    assert torch.equal(found, mixed(pixels, np.random.default_rng(0)))


def nearness(model, teacher, pixels):
    """Return the mean cosine of one look by `model` to the mean of all looks by `teacher`."""

    def embed(one, each):
        return one.project_images(one.image_features(each))

    with torch.inference_mode():
        wanted = sum(embed(teacher, each) for each in looks(pixels, mirrored=False))
        wanted = torch.nn.functional.normalize(wanted, dim=1)
        return (embed(model, pixels) * wanted).sum(1).mean().item()


@pytest.mark.parametrize("encoder", ["timm:test_efficientnet", "timm:test_vit"])
def test_one_look_comes_nearer_to_the_mean_of_several(recipe, splits, monkeypatch, encoder):
    """Also where the encoder has no lower part that teacher and student could share."""
    torch.manual_seed(0)
    config = dataclasses.replace(recipe.model, image_encoder=encoder, projection="linear")
    model = DualEncoder.build(config).eval()
    found = np.stack([load_square(photo.image, 64) for photo in splits[0]])
    pixels = torch.from_numpy(found).permute(0, 3, 1, 2).float()
    with torch.no_grad():  # features of random encoders are much alike: what differs shall count
        typical = model.image_features(pixels).mean(0)
        model.image_head.bias.copy_(-model.image_head.weight @ typical)
    teacher = copy.deepcopy(model)
    judged(monkeypatch, 1.0, 2.0)
    monkeypatch.setattr(module, "RATE", 3e-5)
    longer = dataclasses.replace(recipe.train, self_distillation=60)
    longer = dataclasses.replace(recipe, model=config, train=longer)
    trial = distil_looks(model, splits, longer, "cpu", Output(quiet=True))
    assert trial.kept
    before, after = (nearness(each, teacher, pixels) for each in (teacher, model))
    assert 1 - after < 0.95 * (1 - before)
    changed = {
        name
        for name, each in model.state_dict().items()
        if not torch.equal(each, teacher.state_dict()[name])
    }
    assert changed and all(name.startswith(("image_encoder.", "image_head.")) for name in changed)
    assert len(changed) < len([n for n in model.state_dict() if n.startswith("image")])


def test_what_does_not_help_is_undone(recipe, splits, monkeypatch, tiny_checkpoint, capsys):
    model, _ = load_checkpoint(tiny_checkpoint)
    before = copy.deepcopy(model.state_dict())
    judged(monkeypatch, 2.0, 2.0)
    trial = distil_looks(model, splits, recipe, "cpu", Output())
    assert not trial.kept
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    told = capsys.readouterr().out
    assert re.search(r"self-distillation 2/2: cosine [01]\.\d{4} to the mean", told)
    assert "rsum 2.0 -> 2.0, loss 1.000 -> 1.000, left out" in told


def test_seeds_decide_and_lost_photos_are_passed_over(
    tmp_path, recipe, splits, monkeypatch, tiny_checkpoint
):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    train_split = [dataclasses.replace(splits[0][0], image=str(broken)), *splits[0][1:]]
    found = []
    for photos, seed in ((train_split, 0), (train_split, 0), (train_split, 1)):
        model, _ = load_checkpoint(tiny_checkpoint)
        judged(monkeypatch, 1.0, 2.0)
        seeded = dataclasses.replace(recipe.train, seed=seed)
        seeded = dataclasses.replace(recipe, train=seeded)
        distil_looks(model, (photos, splits[1]), seeded, "cpu", Output(quiet=True))
        found.append(model.image_head.state_dict()["linear.weight"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize("what", ["val", "blocks", "photos"])
def test_without_what_it_needs_it_is_left_out(recipe, splits, tiny_checkpoint, capsys, what):
    model, _ = load_checkpoint(tiny_checkpoint)
    photos, val = splits
    if what == "val":
        val = [dataclasses.replace(photo, captions=()) for photo in val]
    elif what == "photos":
        photos = photos[:1]
    else:
        recipe = dataclasses.replace(recipe, stages=recipe.stages[:1])
    assert distil_looks(model, (photos, val), recipe, "cpu", Output()) is None
    assert "left out" in capsys.readouterr().out


@pytest.mark.parametrize("after", [2.0, 1.0])
def test_training_ends_with_it_once_before_hubs_are_corrected(
    tmp_path, recipe, sample_manifest, monkeypatch, after
):
    judged(monkeypatch, 1.0, after)
    recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, hub_prototypes=8))
    result = train(sample_manifest, recipe, tmp_path, device="cpu")
    content = read_checkpoint(result.best)
    found = content["self_distillation"]
    shared = {"judges": 7, "kept": after > 1}
    assert found == {"before": scored(1.0), "after": scored(after)} | shared
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    last = [each for each in events if each["event"] in ("self_distillation", "hubs")]
    assert [each["event"] for each in last] == ["self_distillation", "hubs"]
    assert last[0]["kept"] == (after > 1)
    # Resumed, it is not tried again: there are no more scores to judge by.
    written = result.best.read_bytes()
    train(sample_manifest, recipe, tmp_path, resume=True, device="cpu")
    assert result.best.read_bytes() == written


def test_a_soup_of_one_gets_it(tmp_path, tiny_checkpoint, sample_manifest, monkeypatch, capsys):
    judged(monkeypatch, 1.0, 2.0)
    out = tmp_path / "taught.pth"
    words = ["soup", str(tiny_checkpoint), "--manifest", str(sample_manifest), "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--self-distillation", "1", "--device", "cpu"])
    assert stop.value.code == 0
    assert "rsum 1.0 -> 2.0, loss 2.000 -> 1.000, kept" in capsys.readouterr().out
    assert read_checkpoint(out)["val"] == scored(2.0)
    before, after = (load_checkpoint(path)[0].state_dict() for path in (tiny_checkpoint, out))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed and all(name.startswith("image_") for name in changed)
    judged(monkeypatch, 2.0, 1.0)
    with pytest.raises(ModelError, match="no self-distillation helps it on val; nothing written"):
        greedy_soup([out], sample_manifest, tmp_path / "no.pth", self_distillation=1, device="cpu")
    rest = [photo for photo in read_manifest(sample_manifest) if photo.split != "train"]
    write_manifest(tmp_path / "rest.jsonl", rest)
    with pytest.raises(DataError, match="--self-distillation needs a train split"):
        greedy_soup([out], tmp_path / "rest.jsonl", tmp_path / "no.pth", self_distillation=1)
    assert not (tmp_path / "no.pth").exists()


def test_a_negative_number_of_epochs_is_refused(tiny_recipe):
    with pytest.raises(ConfigError, match="self_distillation must not be negative"):
        dataclasses.replace(tiny_recipe.train, self_distillation=-1)
