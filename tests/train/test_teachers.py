"""Learning from finished models: their logits, their cache, and that a student follows them."""

import dataclasses

import numpy as np
import pytest
import torch

from pairlight.config import TrainConfig
from pairlight.data.manifest import read_manifest
from pairlight.embed import embed_photos, load_model
from pairlight.errors import ConfigError, ModelError
from pairlight.output import Output
from pairlight.train.teachers import ask_teachers
from pairlight.train.trainer import train

QUIET = Output(quiet=True)


@pytest.fixture(scope="module")
def photos(sample_manifest):
    return [photo for photo in read_manifest(sample_manifest, "train") if photo.captions][:6]


@pytest.fixture(scope="module")
def second(tmp_path_factory, tiny_recipe, sample_manifest):
    recipe = dataclasses.replace(
        tiny_recipe, stages=tiny_recipe.stages[:1], train=TrainConfig(precision="fp32", seed=5)
    )
    return train(sample_manifest, recipe, tmp_path_factory.mktemp("second"), device="cpu").best


def logits(checkpoint, photos):
    model = load_model(checkpoint, "cpu")
    found = embed_photos(model, photos)
    return model.logit_scale * found.images @ found.texts.T, found.owner


def test_logits_are_the_mean_of_the_teachers_own(tmp_path, tiny_checkpoint, second, photos):
    names = [str(tiny_checkpoint), str(second)]
    taught = ask_teachers(names, photos, tmp_path, "cpu", QUIET)
    (one, owner), (two, _) = (logits(name, photos) for name in names)
    rows = [4, 1, 3]  # a batch in an order of its own, two captions each
    captions = [n for row in rows for n in np.flatnonzero(owner == row)[:2]]
    places = torch.tensor([0, 0, 1, 1, 2, 2])
    found = taught.logits(torch.tensor(captions), places, 3)
    np.testing.assert_allclose(found, ((one + two) / 2)[np.ix_(rows, captions)], atol=1e-3)


def test_a_teacher_is_asked_once_and_again_when_its_answer_is_damaged(
    tmp_path, tiny_checkpoint, photos, monkeypatch
):
    names = [str(tiny_checkpoint)]
    first = ask_teachers(names, photos, tmp_path, "cpu", QUIET)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = ask_teachers(names, photos, tmp_path, "cpu", QUIET)
    assert torch.equal(first.images, again.images)
    assert file.stat().st_mtime_ns == written
    for damaged in (b"no archive", file.read_bytes()[:1000]):
        file.write_bytes(damaged)
        mended = ask_teachers(names, photos, tmp_path, "cpu", QUIET)
        assert torch.equal(first.texts, mended.texts)
    ask_teachers(names, photos[:4], tmp_path, "cpu", QUIET)
    assert len(list(tmp_path.iterdir())) == 2  # other photos are another answer


def test_a_lost_photo_does_not_shift_the_others(tmp_path, tiny_checkpoint, photos):
    gone = [dataclasses.replace(photos[0], image=tmp_path / "gone.jpg"), *photos[1:]]
    whole = ask_teachers([str(tiny_checkpoint)], photos, tmp_path / "a", "cpu", QUIET)
    partly = ask_teachers([str(tiny_checkpoint)], gone, tmp_path / "b", "cpu", QUIET)
    assert not partly.images[0].any()
    torch.testing.assert_close(partly.images[1:], whole.images[1:])
    own = len(photos[0].captions)
    torch.testing.assert_close(partly.texts[own:], whole.texts[own:])


def agreement(checkpoint, wanted, photos):
    """Correlation of a model's similarities with the teacher's."""
    return np.corrcoef(logits(checkpoint, photos)[0].ravel(), wanted.ravel())[0, 1]


def test_a_student_comes_to_rank_as_its_teacher(tmp_path, tiny_recipe, sample_manifest, second):
    photos = read_manifest(sample_manifest, "train")
    wanted, _ = logits(second, photos)
    found = []
    for share in (0.0, 1.0):
        config = dataclasses.replace(
            tiny_recipe.train, teachers=(str(second),) if share else (), distillation=share
        )
        stage = dataclasses.replace(tiny_recipe.stages[0], epochs=30, lr=1e-2)
        recipe = dataclasses.replace(tiny_recipe, train=config, stages=(stage,))
        result = train(sample_manifest, recipe, tmp_path / str(share), device="cpu")
        found.append(agreement(result.last, wanted, photos))
    assert found[1] > found[0] + 0.1


def test_teachers_and_their_share_go_together():
    with pytest.raises(ConfigError, match="go together"):
        TrainConfig(distillation=0.5)
    with pytest.raises(ConfigError, match="go together"):
        TrainConfig(teachers=("a.pth",))


def test_a_missing_teacher_is_told_before_training(tmp_path, tiny_recipe, sample_manifest):
    config = dataclasses.replace(tiny_recipe.train, teachers=("gone.pth",), distillation=0.5)
    recipe = dataclasses.replace(tiny_recipe, train=config)
    with pytest.raises(ModelError, match="gone.pth: model not found"):
        train(sample_manifest, recipe, tmp_path / "run", device="cpu")
