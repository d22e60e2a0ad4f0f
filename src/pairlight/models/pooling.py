"""Turns a sequence of regions or tokens into one vector."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F


class MeanPool(nn.Module):
    """Average the unmasked positions: x (B, N, C), mask (B, N) bool -> (B, C)."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the averages."""
        weight = mask.to(x.dtype).unsqueeze(-1)
        return (x * weight).sum(1) / weight.sum(1).clamp(min=1)


class MaxPool(nn.Module):
    """Take the largest unmasked value of each channel: (B, N, C) -> (B, C)."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the largest values."""
        return x.masked_fill(~mask.unsqueeze(-1), torch.finfo(x.dtype).min).amax(1)


class ClsPool(nn.Module):
    """Take the first position, BERT's [CLS]: (B, N, C) -> (B, C)."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the first position."""
        return x[:, 0]


class AttentionPool(nn.Module):
    """Average positions by learned weights, each of `heads` groups of channels by its own.

    The weights start equal, so that training starts from the mean. `dim` must be a multiple of
    `heads`.
    """

    def __init__(self, dim: int, heads: int = 8):
        super().__init__()
        self.heads = heads if dim % heads == 0 else 1
        self.score = nn.Linear(dim, self.heads)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the weighted averages: x (B, N, C), mask (B, N) bool -> (B, C)."""
        score = self.score(x)  # in half precision under autocast, whatever x is
        score = score.masked_fill(~mask.unsqueeze(-1), torch.finfo(score.dtype).min)
        weight = score.softmax(1)  # (B, N, heads)
        grouped = x.unflatten(-1, (self.heads, -1))  # (B, N, heads, C / heads)
        return (weight.unsqueeze(-1) * grouped).sum(1).flatten(1)


class GeneralizedPool(nn.Module):
    """Generalized pooling operator GPO (Chen et al. 2021, "Learning the best pooling strategy").

    Each channel's values are sorted and averaged by weights that depend on the rank alone; a small
    recurrent network gives them for any number of positions. Mean and max are special cases.
    """

    def __init__(self, dim: int, width: int = 32, temperature: float = 0.1):
        super().__init__()
        self.width, self.temperature = width, temperature
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.score = nn.Linear(width, 1, bias=False)

    def weights(self, count: int) -> torch.Tensor:
        """Return the weights (count,) of the ranks, largest value first; their sum is 1."""
        device = self.score.weight.device
        rank = torch.arange(count, device=device).unsqueeze(1)
        rate = torch.exp(
            torch.arange(0, self.width, 2, device=device) * (-math.log(10_000.0) / self.width)
        )
        position = torch.stack([torch.sin(rank * rate), torch.cos(rank * rate)], -1).flatten(1)
        both, _ = self.gru(position.unsqueeze(0))  # (1, count, 2 * width)
        hidden = both.unflatten(-1, (2, self.width)).mean(2)
        return (self.score(hidden)[0, :, 0] / self.temperature).softmax(0)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the rank-weighted averages: x (B, N, C), mask (B, N) bool -> (B, C)."""
        counts = mask.sum(1).clamp(min=1)  # (B,)
        table = x.new_zeros(len(x), x.shape[1])
        for count in counts.unique().tolist():
            padded = F.pad(self.weights(count), (0, x.shape[1] - count)).to(x.dtype)
            table = torch.where((counts == count).unsqueeze(1), padded, table)
        lowest = torch.finfo(x.dtype).min
        ordered = x.masked_fill(~mask.unsqueeze(-1), lowest).sort(1, descending=True).values
        kept = torch.arange(x.shape[1], device=x.device) < counts.unsqueeze(1)  # (B, N)
        ordered = ordered.masked_fill(~kept.unsqueeze(-1), 0)
        return (ordered * table.unsqueeze(-1)).sum(1)


Pools = dict[str, Callable[[int], nn.Module]]

IMAGE_POOLING: Pools = {
    "mean": lambda dim: MeanPool(),
    "max": lambda dim: MaxPool(),
    "attention": AttentionPool,
    "gpo": GeneralizedPool,
}
TEXT_POOLING: Pools = {**IMAGE_POOLING, "cls": lambda dim: ClsPool()}
