"""Turns a sequence of regions or tokens into one vector."""

import torch


def mean_pool(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average the unmasked positions: x (B, N, C), mask (B, N) bool -> (B, C)."""
    weight = mask.to(x.dtype).unsqueeze(-1)
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1)


def max_pool(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the largest unmasked value of each channel: (B, N, C) -> (B, C)."""
    return x.masked_fill(~mask.unsqueeze(-1), torch.finfo(x.dtype).min).amax(1)


def cls_pool(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the first position, BERT's [CLS]: (B, N, C) -> (B, C)."""
    return x[:, 0]


IMAGE_POOLING = {"mean": mean_pool, "max": max_pool}
TEXT_POOLING = {"mean": mean_pool, "max": max_pool, "cls": cls_pool}
