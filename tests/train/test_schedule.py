"""Rates and parameter groups."""

import dataclasses

import pytest

from pairlight.config import StageConfig, TrainConfig
from pairlight.errors import ConfigError
from pairlight.models.dual_encoder import DualEncoder
from pairlight.train.schedule import make_optimizer, rate_factor, set_rates, stage_factor


def test_the_rate_rises_then_falls_to_the_floor():
    factors = [rate_factor(step, 100, 0.1, 0.02) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1
    assert all(a >= b for a, b in zip(factors[10:], factors[11:], strict=False))
    assert factors[55] == pytest.approx(0.02 + 0.98 / 2)
    assert 0.02 <= factors[-1] < 0.025
    assert rate_factor(100, 100, 0.1, 0.02) == pytest.approx(0.02)


def test_a_stage_may_have_a_floor_of_its_own():
    config = TrainConfig(min_lr=0.02)
    stage = StageConfig(warmup=0.1)
    assert stage_factor(99, 100, stage, config) == rate_factor(99, 100, 0.1, 0.02) < 0.03
    level = dataclasses.replace(stage, min_lr=1.0)
    assert stage_factor(4, 100, level, config) == 0.5
    assert {stage_factor(step, 100, level, config) for step in range(10, 100)} == {1.0}
    with pytest.raises(ConfigError, match="stage heads: min_lr must be from 0 to 1, got 2"):
        StageConfig(min_lr=2)


def test_one_step_in_all():
    assert rate_factor(0, 1, 0.1, 0.02) == 1


def test_parts_have_rates_of_their_own_and_vectors_do_not_decay(tiny_recipe):
    model = DualEncoder.build(tiny_recipe.model)
    stage = StageConfig(image_blocks=2, text_layers=1, lr=1e-3, image_lr=2e-4, text_lr=1e-4)
    optimizer = make_optimizer(
        model.set_trainable(2, 1), stage, TrainConfig(weight_decay=0.05, scale_rate=2)
    )
    assert set_rates(optimizer, 0.5) == {
        "heads": 5e-4,
        "scale": 1e-3,
        "image": 1e-4,
        "text": 5e-5,
    }
    for group in optimizer.param_groups:
        decays = {parameter.ndim >= 2 for parameter in group["params"]}
        assert len(decays) == 1
        assert group["weight_decay"] == (0.05 if decays.pop() else 0)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}
    assert id(model.log_scale) in held


def test_blocks_without_a_rate_are_refused():
    for wrong in ({"image_blocks": 2}, {"text_layers": 1}, {"image_lr": 1e-4}, {"text_lr": 1e-4}):
        with pytest.raises(ConfigError, match="go together, both positive or both 0"):
            StageConfig(**wrong)
