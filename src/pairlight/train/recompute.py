"""Trades time for memory: a chunk's activations are computed again when its gradient is due."""

from collections.abc import Callable

import psutil
import torch
from torch.utils.checkpoint import checkpoint

from pairlight.config import Recipe, StageConfig
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train.precision import Precision, probe_features

# A batch may take this share of the memory that is free; the rest is for gradients and the cache.
SHARE = 0.6

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


def caching_wanted(
    model: DualEncoder, recipe: Recipe, stage: StageConfig, precision: Precision, output: Output
) -> bool:
    """Return whether a stage's batches need gradient caching; tell when that was found out.

    As the recipe says; where it says nothing, when the activations of a batch, as measured on one
    chunk, would take more than `SHARE` of the memory that is free.
    """
    asked, chunk = recipe.train.gradient_caching, recipe.train.chunk
    if asked is not None or stage.frozen:
        return bool(asked)
    counts = chunk, chunk * stage.captions_per_image
    held = activation_bytes(lambda: probe_features(model, *counts, recipe.view_size, precision))
    needed, free = held * stage.batch_size / chunk, free_memory(precision.device)
    if needed <= SHARE * free:
        return False
    output.say(
        f"gradient caching: a batch of {stage.batch_size} would hold {needed / 1e9:.1f} GB, "
        f"{free / 1e9:.1f} GB are free; a step takes about a quarter longer"
    )
    return True


def activation_bytes(step: Callable[[], object]) -> int:
    """Return the bytes that autograd holds on to for the backward pass of what `step` returns."""
    held: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = step()  # kept until all is counted: a freed address would be used again
    del result
    return sum(held.values())


def free_memory(device: str) -> int:
    """Return the bytes of memory that are free on a device."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
