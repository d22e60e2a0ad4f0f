"""Pooling: masks, special cases, and what learned weights can and cannot do."""

import pytest
import torch

from pairlight.models.pooling import (
    IMAGE_POOLING,
    TEXT_POOLING,
    AttentionPool,
    GeneralizedPool,
    MaxPool,
    MeanPool,
)

X = torch.randn(4, 6, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.arange(6) < torch.tensor([[6], [4], [1], [3]])


@pytest.mark.parametrize("name", sorted(TEXT_POOLING))
def test_what_is_masked_changes_nothing(name):
    torch.manual_seed(1)
    pool = TEXT_POOLING[name](16)
    for parameter in pool.parameters():
        torch.nn.init.normal_(parameter)
    other = X.masked_fill(~MASK.unsqueeze(-1), 77.0)
    assert torch.allclose(pool(X, MASK), pool(other, MASK), atol=1e-6)
    assert pool(X, MASK).shape == (4, 16)


@pytest.mark.parametrize("name", ["mean", "max", "attention", "gpo"])
def test_order_of_regions_changes_nothing(name):
    torch.manual_seed(1)
    pool = IMAGE_POOLING[name](16)
    mask = torch.ones(4, 6, dtype=torch.bool)
    turned = X[:, torch.tensor([3, 1, 5, 0, 2, 4])]
    assert torch.allclose(pool(X, mask), pool(turned, mask), atol=1e-6)


def test_attention_starts_from_the_mean():
    assert torch.allclose(AttentionPool(16)(X, MASK), MeanPool()(X, MASK), atol=1e-6)


def test_attention_has_weights_for_each_group_of_channels():
    pool = AttentionPool(16, heads=2)
    with torch.no_grad():
        pool.score.weight[0, 0] = 100.0  # the first half follows channel 0, the second stays mean
    found = pool(X[:1], MASK[:1])
    best = X[0, :, 0].argmax()
    assert torch.allclose(found[0, :8], X[0, best, :8], atol=1e-3)
    assert torch.allclose(found[0, 8:], X[0, :, 8:].mean(0), atol=1e-5)


def test_gpo_can_be_max_and_mean(monkeypatch):
    pool = GeneralizedPool(16)
    monkeypatch.setattr(pool, "weights", lambda count: torch.eye(count)[0])
    assert torch.allclose(pool(X, MASK), MaxPool()(X, MASK))
    monkeypatch.setattr(pool, "weights", lambda count: torch.full((count,), 1 / count))
    assert torch.allclose(pool(X, MASK), MeanPool()(X, MASK), atol=1e-6)


def test_gpo_weights_sum_to_one_and_learn():
    torch.manual_seed(0)
    pool = GeneralizedPool(16)
    assert pool.weights(9).sum().item() == pytest.approx(1)
    pool(X, MASK).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in pool.parameters())


@pytest.mark.parametrize("name", ["mean", "max", "attention", "gpo"])
def test_pools_work_in_half_precision_and_mask_there(name):
    pool = IMAGE_POOLING[name](16)
    with torch.autocast("cpu", torch.bfloat16):
        found = pool(X, MASK)
        assert torch.equal(pool(X.masked_fill(~MASK.unsqueeze(-1), 77.0), MASK), found)
    assert torch.allclose(found.float(), pool(X, MASK), atol=0.1)
