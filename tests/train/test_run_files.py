"""What lies in a run's folder: never written over unasked, and replaced as a whole when asked."""

import dataclasses
import json

import pytest

from pairlight.errors import ConfigError, DataError, ModelError, PairlightError
from pairlight.train.trainer import train


def run(manifest, recipe, out, **options):
    return train(manifest, recipe, out, device="cpu", **options)


def test_a_run_is_not_written_over_unasked(tiny_run, tiny_recipe, sample_manifest):
    out, _ = tiny_run
    before = (out / "checkpoints" / "last_16.pth").read_bytes()
    with pytest.raises(PairlightError, match="--resume continues it, --overwrite starts anew"):
        run(sample_manifest, tiny_recipe, out)
    changed = dataclasses.replace(tiny_recipe, train=dataclasses.replace(tiny_recipe.train, seed=5))
    with pytest.raises(ConfigError, match="train.seed is 5, the run had 0"):
        run(sample_manifest, changed, out, resume=True)
    assert (out / "checkpoints" / "last_16.pth").read_bytes() == before


@pytest.mark.parametrize("name", ["best_model_16.pth", "best_heads_16.pth", "best_gone_16.pth"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_best_checkpoint_by_itself_is_not_written_over_unasked(
    tmp_path, tiny_recipe, sample_manifest, name, resume
):
    path = tmp_path / "checkpoints" / name
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(PairlightError, match=f"{name}: is in the way, and without last_16.pth"):
        run(sample_manifest, tiny_recipe, tmp_path, resume=resume)
    assert path.read_bytes() == b"mine" and not (tmp_path / "log.jsonl").exists()


def test_checkpoints_of_another_length_are_not_in_the_way(tmp_path, tiny_recipe, sample_manifest):
    path = tmp_path / "checkpoints" / "best_model_256.pth"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    heads = dataclasses.replace(tiny_recipe, stages=tiny_recipe.stages[:1])
    run(sample_manifest, heads, tmp_path)
    run(sample_manifest, heads, tmp_path, overwrite=True)
    assert path.read_bytes() == b"mine"


def test_other_data_is_not_resumed(tiny_run, tiny_recipe, copy_of_manifest):
    out, _ = tiny_run
    other = copy_of_manifest(lambda photo: dataclasses.replace(photo, captions=("a dog",)))
    with pytest.raises(DataError, match="was trained on other data"):
        run(other, tiny_recipe, out, resume=True)


def test_overwrite_starts_anew(tmp_path, tiny_recipe, sample_manifest):
    heads = dataclasses.replace(tiny_recipe, stages=tiny_recipe.stages[:1])
    first = run(sample_manifest, heads, tmp_path)
    second = run(sample_manifest, heads, tmp_path, overwrite=True)
    assert [e["loss"] for e in first.history] == [e["loss"] for e in second.history]
    events = [json.loads(line)["event"] for line in (tmp_path / "log.jsonl").open()]
    assert events.count("start") == 2  # a log is added to, never lost
    assert len(list((tmp_path / "tensorboard" / "16").iterdir())) == 1


@pytest.mark.parametrize("mistake", ["device", "weights"])
def test_overwrite_harms_nothing_when_the_new_run_cannot_start(
    tmp_path, tiny_recipe, sample_manifest, mistake
):
    heads = dataclasses.replace(tiny_recipe, stages=tiny_recipe.stages[:1])
    run(sample_manifest, heads, tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    bad_model = dataclasses.replace(heads.model, image_weights="/no/such.pth")
    wrong = dataclasses.replace(heads, model=bad_model) if mistake == "weights" else heads
    device = "cuda:99" if mistake == "device" else "cpu"
    with pytest.raises(ModelError):
        train(sample_manifest, wrong, tmp_path, overwrite=True, device=device)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_an_out_that_cannot_be_one(tmp_path, tiny_recipe, sample_manifest):
    (tmp_path / "file").touch()
    with pytest.raises(PairlightError, match="cannot make this folder"):
        run(sample_manifest, tiny_recipe, tmp_path / "file")


def test_a_best_checkpoint_is_not_resumed_as_a_last_one(
    tmp_path, tiny_run, tiny_recipe, sample_manifest
):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last_16.pth").write_bytes(tiny_run[1].best.read_bytes())
    with pytest.raises(ModelError, match="is no last checkpoint of a run"):
        run(sample_manifest, tiny_recipe, tmp_path, resume=True)
