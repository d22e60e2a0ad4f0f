"""Names of classes: where the classifier comes from, what it sees, and that models follow it."""

import dataclasses
import json

import numpy as np
import pytest
import timm
import torch
from torch.nn import functional as F

from pairlight import losses
from pairlight.config import ModelConfig
from pairlight.data.manifest import read_manifest
from pairlight.errors import ConfigError
from pairlight.models import image_encoders
from pairlight.models.checkpoint import load_checkpoint
from pairlight.models.classifier import classifier_of
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.image_encoders import build_image_encoder
from pairlight.output import Output
from pairlight.threads import untracked
from pairlight.train import objective
from pairlight.train.class_names import DRAWN, ask_classifier
from pairlight.train.head_init import fit_heads
from pairlight.train.kept import Kept
from pairlight.train.stem import Stem
from pairlight.train.trainer import Trainer, train

QUIET = Output(quiet=True)


@pytest.fixture(scope="module")
def photos(sample_manifest):
    return [photo for photo in read_manifest(sample_manifest, "train") if photo.captions]


@pytest.fixture(scope="module")
def with_classes(tmp_path_factory, tiny_recipe, photos):
    """The tiny recipe with weights from a file, whose classifier tells these photos apart."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("weights")
    state = timm.create_model("test_efficientnet").state_dict()
    path = folder / "tiny.pth"
    torch.save(state, path)
    model = dataclasses.replace(
        tiny_recipe.model, pretrained=True, image_weights=str(path), projection="linear"
    )
    kept = Kept(Stem(DualEncoder.build(model), 0, 0), photos, folder, "cpu", untracked)
    features = torch.from_numpy(np.array(kept.images(0))).float()
    weight = torch.randn(state["classifier.weight"].shape)
    weight *= 5 / ((features - features.mean(0)) @ weight.T).std()
    state["classifier.weight"], state["classifier.bias"] = weight, -weight @ features.mean(0)
    torch.save(state, path)
    train = dataclasses.replace(tiny_recipe.train, class_names=1.0)
    return dataclasses.replace(tiny_recipe, model=model, train=train)


def asked(recipe, photos, folder):
    torch.manual_seed(0)
    model = DualEncoder.build(recipe.model)
    return ask_classifier(model, recipe.model, photos, folder, "cpu", QUIET)


def test_the_packaged_encoder_sees_a_pizza(tmp_path, tiny_bert, sample_manifest):
    pizza = [p for p in read_manifest(sample_manifest) if "pizza" in p.captions[0].lower()][:1]
    config = ModelConfig(image_encoder="efficientnet_lite2", text_encoder=str(tiny_bert))
    config = dataclasses.replace(config, max_tokens=16, embed_dim=16, image_size=256)
    model = DualEncoder.build(config)
    classes = ask_classifier(model, config, pizza, tmp_path, "cpu", QUIET)
    assert len(classes.classifier.names) == 1000
    likely = classes.wanted(torch.tensor([0]))[0].topk(1)
    assert classes.classifier.names[likely.indices[0]] == "pizza"
    assert likely.values[0] > 0.5


def test_a_classifier_is_what_its_file_holds(with_classes):
    encoder = build_image_encoder(
        "timm:test_efficientnet", weights=with_classes.model.image_weights
    )
    found = classifier_of(with_classes.model, encoder)
    state = torch.load(with_classes.model.image_weights, weights_only=True)
    assert torch.equal(found.weight, state["classifier.weight"])
    assert torch.equal(found.bias, state["classifier.bias"])
    assert found.names[0] == "tench" and len(found.names) == 1000


@pytest.mark.parametrize("name", ["resnet50", "timm:test_efficientnet"])
def test_downloaded_networks_are_asked_too(name, monkeypatch):
    """With a stand-in for the download, which random weights are."""
    import torchvision

    get_model, create = torchvision.models.get_model, timm.create_model
    torch.manual_seed(0)
    nets = {
        "resnet50": get_model("resnet50"),
        "timm:test_efficientnet": create("test_efficientnet"),
    }
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: nets["resnet50"])
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: nets["timm:test_efficientnet"])
    state = {key: value.clone() for key, value in nets[name].state_dict().items()}
    assert image_encoders.full_state(name).keys() == state.keys()
    dim = {"resnet50": 2048, "timm:test_efficientnet": 256}[name]
    encoder = type("Encoder", (), {"dim": dim, "divisible": True})()
    found = classifier_of(ModelConfig(image_encoder=name), encoder)
    assert torch.equal(
        found.weight, state[{"resnet50": "fc.weight"}.get(name, "classifier.weight")]
    )


def test_without_classes_training_says_so_and_goes_on(
    tmp_path, tiny_recipe, sample_manifest, capsys
):
    recipe = dataclasses.replace(
        tiny_recipe,
        stages=tiny_recipe.stages[:1],
        train=dataclasses.replace(tiny_recipe.train, class_names=1.0),
    )
    found = train(sample_manifest, recipe, tmp_path, output=Output(), device="cpu")
    assert "hold no classes of ImageNet" in capsys.readouterr().out
    assert len(found.history) == 2


def test_english_names_are_no_help_to_captions_in_other_languages(
    tmp_path, with_classes, photos, capsys
):
    model, wanted = DualEncoder.build(with_classes.model), with_classes.model
    for text, language in (
        ("一只狗在沙滩上跑", "Chinese"),
        ("ein Hund und eine Frau auf dem Eis", "German"),
    ):
        other = [dataclasses.replace(photo, captions=(text, "a dog")) for photo in photos]
        assert ask_classifier(model, wanted, other, tmp_path, "cpu", Output()) is None
        assert f"captions are {language}, names of classes English" in capsys.readouterr().out
    unsure = [dataclasses.replace(photo, captions=("dog",)) for photo in photos]
    assert ask_classifier(model, wanted, unsure, tmp_path, "cpu", QUIET) is not None


def test_encoders_whose_classifier_takes_no_mean_have_none():
    encoder = build_image_encoder("timm:test_vit", size=160, pretrained=False)
    assert classifier_of(ModelConfig(image_encoder="timm:test_vit"), encoder) is None


def test_the_loss_is_a_cross_entropy_over_names():
    images, names = (F.normalize(torch.randn(n, 6), dim=1) for n in (3, 5))
    wanted = torch.rand(3, 5).softmax(1)
    found = losses.class_names(images, names, torch.tensor(4.0), wanted)
    torch.testing.assert_close(found, F.cross_entropy(4 * images @ names.T, wanted))
    # An image whose classes are not among the names has no say.
    wanted[1] = 0
    rest = F.cross_entropy(4 * images[[0, 2]] @ names.T, wanted[[0, 2]])
    torch.testing.assert_close(losses.class_names(images, names, torch.tensor(4.0), wanted), rest)


def test_names_are_drawn_by_what_the_batch_shows(tmp_path, with_classes, photos):
    classes = asked(with_classes, photos, tmp_path)
    torch.manual_seed(0)
    wanted = torch.full((4, 1000), 1e-9)
    wanted[:, :50] = 0.02
    drawn = [classes._draw(wanted).tolist() for _ in range(20)]
    assert all(len(set(each)) == DRAWN for each in drawn)
    # Nine tenths of the chance lie on what is seen, and a tenth on all alike.
    assert all(set(range(50)) <= set(each) for each in drawn)
    assert len(set().union(*map(set, drawn))) > 800


def test_features_of_names_follow_a_text_encoder_that_is_trained(tmp_path, with_classes, photos):
    classes = asked(with_classes, photos, tmp_path)
    model = classes.model
    model.set_trainable(0, 0)
    assert classes._text_rests()
    before = classes.features()
    model.set_trainable(0, 1)
    assert not classes._text_rests()
    with torch.no_grad():
        model.text_encoder.layers[-1].output.dense.weight.mul_(2)
    assert not torch.allclose(before, classes.features())


def nearness(checkpoint, recipe, photos, folder):
    """Mean share that the names of seen classes have, by the model, of all names."""
    model, _ = load_checkpoint(checkpoint)
    classes = ask_classifier(model.eval(), recipe.model, photos, folder, "cpu", QUIET)
    kept = Kept(Stem(model, 0, 0), photos, folder, "cpu", untracked)
    rows = torch.arange(len(photos))
    with torch.no_grad():
        images = model.project_images(torch.from_numpy(np.array(kept.images(0))).float())
        names = model.project_texts(classes.features())
        return losses.class_names(images, names, torch.tensor(20.0), classes.wanted(rows)).item()


@pytest.mark.parametrize("views", [0, 1])
def test_models_that_keep_their_classes_find_them(
    tmp_path, with_classes, sample_manifest, photos, views
):
    stage = dataclasses.replace(
        with_classes.stages[1], epochs=12, views=views, lr=3e-3, image_lr=3e-3, text_lr=3e-3
    )
    found = {}
    for weight in (0.0, 3.0):
        recipe = dataclasses.replace(
            with_classes,
            stages=(stage,),
            train=dataclasses.replace(with_classes.train, class_names=weight, patience=99),
        )
        last = train(sample_manifest, recipe, tmp_path / str(weight), device="cpu").last
        found[weight] = nearness(last, recipe, photos, tmp_path)
    # By chance it is log(1000) = 6.9, which is also what captions alone lead to.
    assert found[0.0] > 6.85 and found[3.0] < found[0.0] - 0.1


def test_heads_start_with_the_names_of_classes(tmp_path, with_classes, photos):
    classes = asked(with_classes, photos, tmp_path)
    model = classes.model
    kept = Kept(Stem(model, 0, 0), photos, tmp_path, "cpu", untracked)
    weight = classes.classifier.weight
    looks_for = torch.from_numpy(np.array(kept.images(0))).float().mean(0) + 20 * (
        weight - weight.mean(0)
    )
    ranks = {}
    for name, given in (("without", None), ("with", classes)):
        fit_heads(model, kept, 0.1, 4, given)
        with torch.no_grad():
            found = model.project_images(looks_for) @ model.project_texts(classes.features()).T
        own = found.diagonal().unsqueeze(1)
        ranks[name] = (found > own).float().mean().item()
    assert ranks["with"] < 0.75 * ranks["without"]


def test_a_run_resumes_to_the_same_weights(tmp_path, with_classes, sample_manifest):
    recipe = dataclasses.replace(with_classes, stages=with_classes.stages[1:])
    whole = train(sample_manifest, recipe, tmp_path / "whole", device="cpu")
    epoch = Trainer._run_epoch

    def interrupted(self, *args):
        if len(self.history) == 1:
            raise KeyboardInterrupt
        epoch(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_run_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(sample_manifest, recipe, tmp_path / "cut", device="cpu")
    resumed = train(sample_manifest, recipe, tmp_path / "cut", resume=True, device="cpu")
    assert [e["loss"] for e in resumed.history] == [e["loss"] for e in whole.history]
    assert load_checkpoint(resumed.last)[1]["class_names"][0] == "tench"
    with pytest.MonkeyPatch.context() as patch:  # of a run that has ended nothing is asked again
        patch.setattr(objective, "ask_classifier", lambda *_: pytest.fail("asked"))
        train(sample_manifest, recipe, tmp_path / "cut", resume=True, device="cpu")
    start = json.loads((tmp_path / "cut" / "log.jsonl").read_text().splitlines()[0])
    assert start["recipe"]["train"]["class_names"] == 1.0


def test_a_negative_weight_is_refused(tiny_recipe):
    with pytest.raises(ConfigError, match=r"train\.class_names must not be negative"):
        dataclasses.replace(tiny_recipe.train, class_names=-0.1)
