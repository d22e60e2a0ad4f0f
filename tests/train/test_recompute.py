"""Gradient caching: the very gradients, without the memory."""

import dataclasses

import pytest
import torch

from pairlight.models.checkpoint import read_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train import recompute
from pairlight.train.precision import Precision
from pairlight.train.recompute import activation_bytes, caching_wanted, direct, recomputed
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


def test_activations_are_counted_once_and_parameters_not():
    x = torch.randn(1000, 100, requires_grad=True)
    weight = torch.nn.Parameter(torch.randn(100, 100))
    # Both the product and the sine keep x's neighbour: one tensor of 400,000 bytes.
    assert activation_bytes(lambda: (x * 2).sin()) == 400_000
    assert activation_bytes(lambda: [(y := x * 2).sin(), y.cos()]) == 400_000
    assert activation_bytes(lambda: x @ weight) == 400_000
    with torch.no_grad():
        assert activation_bytes(lambda: x.sin()) == 0


@pytest.mark.parametrize(("free", "wanted"), [(10**12, False), (10**6, True)])
def test_a_batch_that_would_not_fit_is_cached(
    tmp_path, tiny_recipe, sample_manifest, monkeypatch, capsys, free, wanted
):
    monkeypatch.setattr(recompute, "free_memory", lambda device: free)
    recipe = changed(tiny_recipe, 0, None)
    train(sample_manifest, recipe, tmp_path, device="cpu", output=Output())
    said = capsys.readouterr().out
    assert ("gradient caching: a batch of 8 would hold 0." in said) == wanted


def test_free_memory_is_some():
    assert 10**7 < recompute.free_memory("cpu") < 10**14


def test_what_the_recipe_says_goes_before_what_fits(tiny_recipe, monkeypatch):
    monkeypatch.setattr(recompute, "free_memory", lambda device: 1)
    model = DualEncoder.build(tiny_recipe.model)
    stage = tiny_recipe.stages[1]
    model.set_trainable(stage.image_blocks, stage.text_layers)
    for asked, expected in ((None, True), (False, False), (True, True)):
        config = dataclasses.replace(tiny_recipe.train, gradient_caching=asked)
        recipe = dataclasses.replace(tiny_recipe, train=config)
        given = recipe, stage, Precision("fp32", "cpu"), Output(quiet=True)
        assert caching_wanted(model, *given) is expected
