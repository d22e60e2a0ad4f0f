"""The autopilot: what it fits, how it judges, what it leaves behind."""

import dataclasses
import json

import pytest

from pairlight.errors import ConfigError, DataError, PairlightError
from pairlight.models.checkpoint import read_checkpoint
from pairlight.output import Output
from pairlight.recipes import load_recipe
from pairlight.train import autopilot as module
from pairlight.train.autopilot import autopilot, fitted, judge


@pytest.mark.parametrize("count", [2, 9, 40, 200, 1000, 6000, 100_000])
def test_batches_and_epochs_suit_the_number_of_photos(count):
    base = load_recipe("small")
    owns, steps = (base.stages[0], base.stages[-1]), (2, 8)
    for stage, own, least in zip(fitted(base, count), owns, steps, strict=True):
        assert 2 <= stage.batch_size <= own.batch_size
        assert own.epochs <= stage.epochs <= 60
        if count >= 64:
            assert count // stage.batch_size >= least  # an epoch has steps to take


def test_heads_of_few_photos_see_many_at_once():
    heads, tune = fitted(load_recipe("small"), 180)
    assert (heads.batch_size, tune.batch_size) == (64, 16)


def test_thousands_of_photos_get_the_recipe_as_it_is():
    base = load_recipe("small")
    heads, tune = fitted(base, 6000)
    assert (heads.batch_size, tune.batch_size) == (512, 256)
    assert abs(tune.epochs - base.stages[-1].epochs) <= 1


def history(heads, probe):
    """Entries of a heads stage and a probe with these (rsum, loss)."""
    entry = lambda stage, s: {"stage": stage, "val": {"rsum": s[0], "loss": s[1]}}  # noqa: E731
    return [*(entry("heads", s) for s in heads), *(entry("probe", s) for s in probe)]


@pytest.mark.parametrize(
    ("probe", "pays"),
    [
        ([(210.0, 2.5)], True),
        ([(190.0, 1.9)], True),
        ([(190.0, 2.5)], False),
        ([(150.0, 3.0), (205.0, 2.1)], True),
    ],
)
def test_unfreezing_pays_when_the_held_out_photos_say_so(probe, pays):
    base = load_recipe("small")
    heads, tune = fitted(base, 500)
    stages = heads, dataclasses.replace(tune, name="probe"), tune
    choice = judge(base, history([(180.0, 2.4), (200.0, 2.0)], probe), stages, 100)
    assert [stage.name for stage in choice.recipe.stages] == (
        [heads.name, tune.name] if pays else [heads.name]
    )
    assert "200.0 with frozen encoders" in choice.reasons[0]
    assert any("learn these photos by heart" in reason for reason in choice.reasons) != pays


@pytest.mark.parametrize(
    ("kept", "loss", "pays", "said"),
    [
        (True, 1.9, True, "photos by heart"),
        (False, 2.03, True, "it may still win; if not, the heads stay"),
        (False, 2.1, False, "photos by heart"),
    ],
)
def test_a_probe_is_judged_where_it_steps_back_to(kept, loss, pays, said):
    base = load_recipe("small")
    heads, tune = fitted(base, 500)
    stages = heads, dataclasses.replace(tune, name="probe"), tune
    stepped = {"kept": kept, "share": 0.4, "val": {"rsum": 195.0, "loss": loss}}
    told = history([(200.0, 2.0)], [(150.0, 3.0)])
    choice = judge(base, told, stages, 100, stepped)
    assert len(choice.recipe.stages) == 1 + pays
    assert "195.0 after a short fine-tuning, 0.4 of its way; loss 2.000" in choice.reasons[0]
    assert any(said in reason for reason in choice.reasons) != (kept and pays)
    assert choice.probe["loss"]["probe"] == loss
    # One that won as it was needs no stepping back to be told of.
    won = judge(base, history([(200.0, 2.0)], [(210.0, 3.0)]), stages, 100, stepped)
    assert "210.0 after a short fine-tuning; loss" in won.reasons[0]


def test_the_probe_steps_back_as_the_run_will(tmp_path, tiny_recipe, sample_manifest, monkeypatch):
    config = dataclasses.replace(tiny_recipe.train, interpolate=True)
    base = dataclasses.replace(tiny_recipe, train=config)
    monkeypatch.setattr(module, "ENOUGH_TO_JUDGE", 5)
    seen = []
    monkeypatch.setattr(module, "judge", lambda *args: seen.append(args[-1]))
    folder, cache = tmp_path / "probe", tmp_path / "cache"
    module.choose(sample_manifest, base, folder, Output(quiet=True), "cpu", cache)
    assert {"kept", "val", "share"} <= set(seen[0])


def test_a_whole_flight_leaves_a_run_and_its_reasons(
    tmp_path, tiny_recipe, sample_manifest, monkeypatch, capsys
):
    monkeypatch.setattr(module, "ENOUGH_TO_JUDGE", 5)
    result = autopilot(sample_manifest, tiny_recipe, tmp_path, output=Output(), device="cpu")
    said = capsys.readouterr().out
    assert "21 photos to learn from, 7 to judge by" in said
    assert "held-out recall sum" in said and "heads: at most" in said
    written = json.loads((tmp_path / "autopilot.json").read_text())
    assert all(f"autopilot: {reason}" in said for reason in written["reasons"])
    assert read_checkpoint(result.best)["recipe_name"] == "auto"
    assert not (tmp_path / "probe").exists() and not (tmp_path / "cache").exists()
    assert len(result.history) <= sum(s["epochs"] for s in written["recipe"]["stages"])
    with pytest.raises(PairlightError, match="holds a run already"):
        autopilot(sample_manifest, tiny_recipe, tmp_path, device="cpu")
    again = autopilot(sample_manifest, tiny_recipe, tmp_path, resume=True, device="cpu")
    assert again.history == result.history
    for part, changes in (("model", {"embed_dim": 24}), ("train", {"seed": 5})):
        own = dataclasses.replace(getattr(tiny_recipe, part), **changes)
        other = dataclasses.replace(tiny_recipe, **{part: own})
        with pytest.raises(ConfigError, match=f"--resume: {part}.{next(iter(changes))} is"):
            autopilot(sample_manifest, other, tmp_path, resume=True, device="cpu")


class _Reached(Exception):
    pass


def test_a_file_from_before_the_base_was_kept_goes_on(
    tmp_path, tiny_recipe, sample_manifest, monkeypatch
):
    def trained(manifest, recipe, *args):
        assert recipe == tiny_recipe
        raise _Reached

    monkeypatch.setattr(module, "train_runs", trained)
    facts = {"reasons": [], "probe": {}, "recipe": dataclasses.asdict(tiny_recipe)}
    (tmp_path / "autopilot.json").write_text(json.dumps(facts))
    other = dataclasses.replace(tiny_recipe, name="other")
    with pytest.raises(_Reached):
        autopilot(sample_manifest, other, tmp_path, resume=True, device="cpu")


@pytest.mark.parametrize(
    "text",
    [
        *('{"recipe": {"na', "", "[]", "{}", "3", "\udcff", '{"recipe": {}}', '{"recipe": []}'),
        *('{"recipe": {"nam": "x"}}', '{"recipe": {"name": "x"}, "base": []}'),
    ],
)
def test_a_damaged_choice_is_told_with_the_way_out(tmp_path, tiny_recipe, sample_manifest, text):
    path = tmp_path / "autopilot.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"autopilot\.json: cannot be resumed.*--overwrite") as told:
        autopilot(sample_manifest, tiny_recipe, tmp_path, resume=True, device="cpu")
    assert "\n" not in str(told.value)


def test_too_few_to_judge_by_is_said(tmp_path, tiny_recipe, sample_manifest):
    with pytest.raises(DataError, match="7 photos in the val split; the autopilot needs at least"):
        autopilot(sample_manifest, tiny_recipe, tmp_path, device="cpu")
