"""What lies in a run's folder: never written over unasked, and replaced as a whole when asked."""

import dataclasses
import json
import shutil

import pytest
import torch

from pairlight.errors import ConfigError, DataError, ModelError, PairlightError
from pairlight.train.run import RunPaths, clear_run
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


def test_overwrite_leaves_no_checkpoint_of_a_stage_that_is_no_more(
    tmp_path, tiny_run, tiny_recipe, sample_manifest
):
    copy_run(tiny_run[0], tmp_path)
    mine = tmp_path / "checkpoints" / "mine_16.pth"
    mine.write_bytes(b"mine")
    heads = dataclasses.replace(tiny_recipe, stages=tiny_recipe.stages[:1])
    run(sample_manifest, heads, tmp_path, overwrite=True)
    found = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert found == ["best_heads_16.pth", "best_model_16.pth", "last_16.pth", "mine_16.pth"]
    assert mine.read_bytes() == b"mine"


def copy_run(run, folder):
    """Copy a run without the folders that other tests may have exported it to by now."""
    exported = shutil.ignore_patterns("fp32", "int8", "cache")
    shutil.copytree(run, folder, dirs_exist_ok=True, ignore=exported)


def several(tmp_path, tiny_run, number):
    """Lay the files of a run that asked for `number` runs, and of two in folders below."""
    for folder in (tmp_path, tmp_path / "run2", tmp_path / "run3"):
        copy_run(tiny_run[0], folder)
    last = RunPaths(tmp_path, 16).last
    content = torch.load(last, weights_only=True)
    content["recipe"]["train"]["runs"] = number
    torch.save(content, last)


def test_clearing_several_runs_removes_what_is_theirs_alone(tmp_path, tiny_run):
    several(tmp_path, tiny_run, 3)
    (tmp_path / "run2" / "checkpoints" / "notes.txt").write_text("mine")
    (tmp_path / "run3" / "log.jsonl").unlink()
    clear_run(RunPaths(tmp_path, 16))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"log.jsonl", "run2/log.jsonl", "run2/checkpoints/notes.txt"}
    assert not (tmp_path / "run3").exists()


def test_a_run_of_its_own_in_a_folder_run3_stays(tmp_path, tiny_run):
    several(tmp_path, tiny_run, 2)
    before = RunPaths(tmp_path / "run3", 16).last.read_bytes()
    clear_run(RunPaths(tmp_path, 16))
    assert not RunPaths(tmp_path / "run2", 16).last.exists()
    assert RunPaths(tmp_path / "run3", 16).last.read_bytes() == before
    clear_run(RunPaths(tmp_path, 16))  # nothing is left that could say how many runs there were
    assert RunPaths(tmp_path / "run3", 16).last.read_bytes() == before


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
