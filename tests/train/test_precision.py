"""The choice of number format by measuring."""

import dataclasses
import time

import pytest
import torch

from pairlight.models.dual_encoder import DualEncoder
from pairlight.train import precision
from pairlight.train.precision import Precision, choose_precision, probe_step
from pairlight.train.trainer import train


@pytest.mark.parametrize("fast", ["bf16", "fp32"])
def test_auto_takes_what_is_faster_here(monkeypatch, fast):
    monkeypatch.setattr(precision, "_candidates", lambda device: ["fp32", "bf16"])

    def step(chosen):
        time.sleep(0 if chosen.name == fast else 0.05)

    chosen, seconds = choose_precision("auto", "cpu", step)
    assert chosen == Precision(fast, "cpu")
    assert set(seconds) == {"fp32", "bf16"} and min(seconds, key=seconds.get) == fast


def test_what_disturbs_a_few_steps_decides_nothing(monkeypatch):
    """Other work ran beside two of the three steps that time bf16, which is faster."""
    monkeypatch.setattr(precision, "_candidates", lambda device: ["bf16", "fp32"])
    steps = iter(range(100))

    def step(chosen):
        disturbed = next(steps) in (2, 4)
        time.sleep(0.1 if disturbed else {"bf16": 0.01, "fp32": 0.04}[chosen.name])

    assert choose_precision("auto", "cpu", step)[0].name == "bf16"


def test_bf16_without_hardware_is_never_run(monkeypatch):
    monkeypatch.setattr(precision, "_product", lambda dtype: {torch.bfloat16: 1}.get(dtype, 0.01))

    def step(chosen):
        raise AssertionError("not to be run")

    assert choose_precision("auto", "cpu", step)[0].name == "fp32"


def test_what_is_asked_is_taken_unmeasured():
    assert choose_precision("bf16", "cpu", lambda chosen: 1 / 0) == (Precision("bf16", "cpu"), {})


def test_the_probe_leaves_no_gradient(tiny_recipe):
    model = DualEncoder.build(tiny_recipe.model)
    model.set_trainable(1, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    chosen, seconds = choose_precision("auto", "cpu", lambda p: probe_step(model, 2, p))
    assert chosen.name in ("fp32", "bf16")
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_training_in_a_shorter_format(tmp_path, tiny_recipe, sample_manifest, name):
    """Two epochs end near where float32 ends; the saved weights are float32."""
    if name == "fp16" and not torch.cuda.is_available():
        pytest.skip("fp16 is chosen on GPUs only, and there is none here")
    stage = dataclasses.replace(tiny_recipe.stages[1], lr=1e-4, image_lr=1e-4, text_lr=1e-4)
    losses = {}
    for each in ("fp32", name):
        setting = dataclasses.replace(tiny_recipe.train, precision=each)
        recipe = dataclasses.replace(tiny_recipe, stages=(stage,), train=setting)
        result = train(sample_manifest, recipe, tmp_path / each)
        losses[each] = [entry["loss"] for entry in result.history]
    assert losses[name] == pytest.approx(losses["fp32"], rel=0.02)
    assert losses[name] != losses["fp32"]
    stored = torch.load(result.last, weights_only=True)["state_dict"]
    assert {value.dtype for value in stored.values()} == {torch.float32}
