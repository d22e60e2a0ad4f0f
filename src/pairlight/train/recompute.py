"""Trades time for memory: a chunk's activations are computed again when its gradient is due."""

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

Call = Callable[..., torch.Tensor]


def direct(function: Call, *inputs: torch.Tensor) -> torch.Tensor:
    """Return `function(*inputs)`; its activations stay until backward."""
    return function(*inputs)


def recomputed(function: Call, *inputs: torch.Tensor) -> torch.Tensor:
    """Return `function(*inputs)`, which backward will call again with the same dropout.

    The gradient of the whole batch's loss reaches one chunk after another, so that only one
    chunk's activations exist at a time: gradient caching (Gao et al. 2021, "Scaling Deep
    Contrastive Learning Batch Size under Memory Limited Setup").
    """
    return checkpoint(function, *inputs, use_reentrant=False)  # type: ignore[return-value]


def caller(caching: bool) -> Callable[..., torch.Tensor]:
    """Return how chunks are called: `recomputed` with gradient caching, else `direct`."""
    return recomputed if caching else direct
