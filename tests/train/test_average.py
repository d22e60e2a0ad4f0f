"""The running average of the weights."""

import pytest
import torch

from pairlight.models.dual_encoder import DualEncoder
from pairlight.train.average import WeightAverage


@pytest.fixture
def model(tiny_recipe):
    torch.manual_seed(0)
    built = DualEncoder.build(tiny_recipe.model)
    built.set_trainable(0, 0)
    return built


def test_average_is_the_slow_obvious_one_and_comes_and_goes(model):
    average = WeightAverage(model, 0.5)
    bias = model.image_head.linear.bias
    want = bias.detach().clone()
    for step in (1, 2, 3, 4, 5, 6, 7, 8, 9):
        with torch.no_grad():
            bias.add_(float(step))
        average.update(model)
        keep = min(0.5, (1 + step) / (10 + step))
        want = keep * want + (1 - keep) * bias.detach()
    last = bias.detach().clone()
    with average.applied(model):
        assert torch.allclose(bias, want, atol=1e-5)
    assert torch.equal(bias, last)


def test_frozen_weights_are_not_held_twice(model):
    held = WeightAverage(model, 0.9).weights
    assert held and not any(name.startswith(("image_encoder", "text_encoder")) for name in held)


def test_an_error_inside_puts_the_weights_back(model):
    average = WeightAverage(model, 0.9)
    with torch.no_grad():
        model.log_scale.add_(1)
    now = model.log_scale.item()
    with pytest.raises(KeyboardInterrupt), average.applied(model):
        raise KeyboardInterrupt
    assert model.log_scale.item() == now
