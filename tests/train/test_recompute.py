"""Gradient caching: the very gradients, without the memory."""

import dataclasses

import pytest
import torch

from pairlight.models.checkpoint import read_checkpoint
from pairlight.train.recompute import direct, recomputed
from pairlight.train.trainer import train


def changed(recipe, views, caching):
    stages = (dataclasses.replace(recipe.stages[1], views=views, epochs=1),)
    config = dataclasses.replace(recipe.train, gradient_caching=caching)
    return dataclasses.replace(recipe, train=config, stages=stages)


@pytest.mark.parametrize("views", [0, 2])
def test_training_with_and_without_ends_with_the_same_weights(
    tmp_path, tiny_recipe, sample_manifest, views
):
    """Dropout and region dropout are on: what is computed again must drop the same."""
    recipe = dataclasses.replace(
        tiny_recipe, augment=dataclasses.replace(tiny_recipe.augment, region_dropout=0.3)
    )
    weights = []
    for caching in (False, True):
        out = tmp_path / str(caching)
        result = train(sample_manifest, changed(recipe, views, caching), out, device="cpu")
        weights.append(read_checkpoint(result.last)["state_dict"])
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=1e-5)


def saved_numbers(call, layers, chunks):
    """Return how many numbers autograd holds on to between forward and backward."""
    held = 0

    def pack(tensor):
        nonlocal held
        held += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = torch.cat([call(layers, chunk) for chunk in chunks])
    out.sum().backward()
    return held


def test_activations_are_not_held_between_forward_and_backward():
    torch.manual_seed(0)
    parts = [torch.nn.Linear(64, 64), torch.nn.GELU(), torch.nn.Dropout(0.5)]
    layers = torch.nn.Sequential(*parts, *[torch.nn.Linear(64, 64) for _ in range(6)])
    chunks = torch.randn(64, 64).split(8)
    gradients = []
    counts = []
    for call in (direct, recomputed):
        layers.zero_grad()
        torch.manual_seed(1)
        counts.append(saved_numbers(call, layers, chunks))
        gradients.append([p.grad.clone() for p in layers.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0])
    assert counts[1] < counts[0] / 3  # the chunks' inputs alone, not what nine layers made of them
