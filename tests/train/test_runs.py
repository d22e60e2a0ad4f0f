"""Several runs of a recipe from the same heads, and the average that they end in."""

import dataclasses
import json

import pytest
import torch
import yaml

from pairlight.cli.main import app, run
from pairlight.config import MAX_SEED
from pairlight.data.manifest import read_manifest, write_manifest
from pairlight.errors import ConfigError, DataError, PairlightError
from pairlight.models.checkpoint import load_checkpoint, read_checkpoint
from pairlight.output import Output
from pairlight.train import runs as module
from pairlight.train.run import TrainResult
from pairlight.train.runs import train_runs
from pairlight.train.validate import SLACK


def with_runs(recipe, number, **changes):
    train = dataclasses.replace(recipe.train, runs=number, **changes)
    return dataclasses.replace(recipe, train=train)


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_recipe, sample_manifest):
    out = tmp_path_factory.mktemp("runs")
    recipe = with_runs(tiny_recipe, 2, seed=5, hub_prototypes=8)
    return out, recipe, train_runs(sample_manifest, recipe, out, device="cpu")


def test_the_second_run_has_the_next_seed_and_sets_out_from_the_firsts_heads(made):
    out, recipe, result = made
    first, second = ([json.loads(line) for line in (folder / "log.jsonl").open()]
                     for folder in (out, out / "run2"))  # fmt: skip
    assert (first[0]["recipe"]["train"]["seed"], second[0]["recipe"]["train"]["seed"]) == (5, 6)
    assert second[0]["init"] == str(out / "checkpoints" / "best_heads_16.pth")
    assert [each["stage"] for each in second if each["event"] == "epoch"] == ["finetune"] * 2
    assert [entry["stage"] for entry in result.history] == ["heads"] * 2 + ["finetune"] * 2
    assert not any(each["event"] == "hubs" for each in [*first, *second])  # the average gets it
    (soup,) = (each for each in first if each["event"] == "soup")
    assert soup["of"] == 2 and len(soup["alone"]) == 2
    # Few photos judge the correction of hubs, which may cost so much of their recall.
    assert soup["val"]["rsum"] >= max(soup["alone"].values()) - SLACK
    assert not (out / "cache").exists() and not list(out.rglob("average_*"))


def test_the_best_checkpoint_is_what_the_soup_says(made):
    out, _, result = made
    content = read_checkpoint(result.best)
    assert result.best == out / "checkpoints" / "best_model_16.pth"
    assert len(content["soup"]) == result.average["taken"]
    assert content["val"]["rsum"] == result.average["val"]["rsum"]
    assert (out / "run2" / "checkpoints" / "best_model_16.pth").exists()
    load_checkpoint(result.best)


def test_a_finished_average_is_not_made_again(made, sample_manifest, monkeypatch, capsys):
    out, recipe, result = made
    monkeypatch.setattr(module, "train", None)
    again = train_runs(sample_manifest, recipe, out, resume=True, device="cpu", output=Output())
    assert again.average == result.average and again.history == result.history
    assert "made already" in capsys.readouterr().out
    with pytest.raises(PairlightError, match="--resume continues it"):
        train_runs(sample_manifest, recipe, out, device="cpu")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 6}, "train.seed is 6, the run had 5"),
        ({"runs": 3}, "train.runs is 3, the run had 2"),
        ({"weight_decay": 0.5}, "train.weight_decay is 0.5, the run had 0.05"),
    ],
)
def test_a_finished_average_is_that_of_its_own_recipe(made, sample_manifest, changes, told):
    out, recipe, _ = made
    other = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, **changes))
    with pytest.raises(ConfigError, match=told):
        train_runs(sample_manifest, other, out, resume=True, device="cpu")


def test_a_finished_average_is_that_of_its_own_data(made, copy_of_manifest):
    other = copy_of_manifest(lambda photo: dataclasses.replace(photo, captions=("a dog",)))
    with pytest.raises(DataError, match="was trained on other data"):
        train_runs(other, made[1], made[0], resume=True, device="cpu")


def test_a_stop_in_the_second_run_costs_no_whole_epoch(
    tmp_path, made, sample_manifest, monkeypatch
):
    recipe = made[1]
    genuine, calls = module.train, []

    def stopped(*args, **options):
        calls.append(args[2])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return genuine(*args, **options)

    monkeypatch.setattr(module, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_runs(sample_manifest, recipe, tmp_path, device="cpu")
    assert "soup" not in read_checkpoint(tmp_path / "checkpoints" / "best_model_16.pth")
    assert (tmp_path / "cache").exists()  # the second run has use for it
    monkeypatch.setattr(module, "train", genuine)
    result = train_runs(sample_manifest, recipe, tmp_path, resume=True, device="cpu")
    want, found = (read_checkpoint(each.best)["state_dict"] for each in (made[2], result))
    assert all(torch.equal(want[name], found[name]) for name in want)


def test_after_the_last_seed_comes_the_first(tmp_path, tiny_recipe, sample_manifest, monkeypatch):
    seeds = []

    def noted(manifest, recipe, out, *args):
        seeds.append(recipe.train.seed)
        return TrainResult(out, out, [])

    monkeypatch.setattr(module, "train", noted)
    monkeypatch.setattr(module, "_average", lambda *args: {})
    recipe = with_runs(tiny_recipe, 3, seed=MAX_SEED - 1)
    train_runs(sample_manifest, recipe, tmp_path, device="cpu")
    assert seeds == [MAX_SEED - 1, MAX_SEED, 0]


def test_another_run_in_the_way_is_found_before_the_first_begins(
    tmp_path, tiny_run, tiny_recipe, sample_manifest
):
    where = tmp_path / "run2" / "checkpoints"
    where.mkdir(parents=True)
    (where / "last_16.pth").write_bytes(tiny_run[1].last.read_bytes())
    with pytest.raises(PairlightError, match="run2: holds a run already"):
        train_runs(sample_manifest, with_runs(tiny_recipe, 2), tmp_path, device="cpu")
    assert not (tmp_path / "log.jsonl").exists()


def test_a_run_that_is_set_out_from_is_not_written_over(made, sample_manifest):
    out, recipe, result = made
    for path in (result.best, out / "run2" / "checkpoints" / "best_model_16.pth"):
        with pytest.raises(ConfigError, match="is used, and is of the run"):
            train_runs(sample_manifest, recipe, out, overwrite=True, init=path)
        taught = with_runs(recipe, 2, teachers=(str(path),), distillation=0.5)
        with pytest.raises(ConfigError, match="is used, and is of the run"):
            train_runs(sample_manifest, taught, out, overwrite=True)
        assert path.exists()


def test_heads_alone_are_one_run(tmp_path, tiny_recipe, sample_manifest, capsys):
    alone = dataclasses.replace(with_runs(tiny_recipe, 3), stages=tiny_recipe.stages[:1])
    result = train_runs(sample_manifest, alone, tmp_path, device="cpu", output=Output())
    assert result.average is None and not (tmp_path / "run2").exists()
    assert "one run" in capsys.readouterr().out


def test_what_cannot_be_averaged(tmp_path, tiny_recipe, sample_manifest):
    bare = dataclasses.replace(with_runs(tiny_recipe, 2), stages=tiny_recipe.stages[1:])
    with pytest.raises(ConfigError, match="or give --init"):
        train_runs(sample_manifest, bare, tmp_path / "a", device="cpu")
    write_manifest(
        tmp_path / "m.jsonl", [p for p in read_manifest(sample_manifest) if p.split != "val"]
    )
    with pytest.raises(ConfigError, match="no val split to judge an average by"):
        train_runs(tmp_path / "m.jsonl", with_runs(tiny_recipe, 2), tmp_path / "a", device="cpu")
    with pytest.raises(ConfigError, match=r"train\.runs must be in \[1, 100\], got 0"):
        with_runs(tiny_recipe, 0)


def test_from_a_checkpoint_and_on_the_command_line(
    tmp_path, tiny_run, tiny_recipe, sample_manifest, capsys
):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(dataclasses.asdict(tiny_recipe)))
    heads = str(tiny_run[0] / "checkpoints" / "best_heads_16.pth")
    argv = ["train", "--manifest", str(sample_manifest), "--recipe", str(recipe)]
    argv += ["--out", str(tmp_path / "two"), "--set", "train.runs=2", "--init", heads]
    argv += ["--device", "cpu", "--json", str(tmp_path / "told.json")]
    assert run(app, argv) == 0
    said = capsys.readouterr().out
    assert "run 2 of 2, seed 1" in said and "best: average of" in said and "of 2 runs" in said
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert told["average"]["taken"] in (1, 2) and told["average"]["val"]["rsum"] > 0
    first = json.loads((tmp_path / "two" / "log.jsonl").open().readline())
    assert first["init"] == heads
    assert run(app, [*argv, "--resume"]) == 0  # `init` leaves stages of the recipe out: the same
    assert "made already" in capsys.readouterr().out
