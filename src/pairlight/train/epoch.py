"""Runs one epoch: of the heads on cached features, or of unfrozen encoders on photos."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from pairlight.config import Recipe, StageConfig
from pairlight.data.dataset import CaptionedPhotos, draw_captions, epoch_batches
from pairlight.data.loader import epoch_loader
from pairlight.errors import PairlightError
from pairlight.losses import LOSSES
from pairlight.models.dual_encoder import DualEncoder
from pairlight.train.features import Features
from pairlight.train.precision import Precision
from pairlight.train.schedule import rate_factor, set_rates
from pairlight.types import Batch

# image embeddings (B, d), text embeddings (M, d), owner (M,)
Embedded = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass
class StageState:
    """What the steps of one stage share."""

    model: DualEncoder
    recipe: Recipe
    stage: StageConfig
    optimizer: torch.optim.Optimizer
    precision: Precision
    scaler: Any
    steps_per_epoch: int
    epoch_in_stage: int = 0
    rates: dict[str, float] = field(default_factory=dict)


def frozen_batches(
    model: DualEncoder, features: Features, stage: StageConfig, seed: int, epoch: int
) -> Iterator[Embedded]:
    """Yield embedded batches from cached features; only the heads have work to do."""
    rng = np.random.default_rng([seed, epoch, 1])
    captions_of = features.captions_of()
    for rows in epoch_batches(len(features.images), stage.batch_size, seed, epoch):
        texts: list[int] = []
        owner: list[int] = []
        for place, row in enumerate(rows):
            own = captions_of[row]
            drawn = draw_captions(len(own), stage.captions_per_image, rng)
            texts += own[drawn].tolist()
            owner += [place] * len(drawn)
        images = model.project_images(features.images[rows])
        yield (
            images,
            model.project_texts(features.texts[texts]),
            torch.tensor(owner, device=images.device),
        )


def photo_batches(
    state: StageState, dataset: CaptionedPhotos, seed: int, epoch: int
) -> Iterator[Embedded]:
    """Yield embedded batches from augmented photos, their graphs kept for backward."""
    batches = epoch_batches(len(dataset), state.stage.batch_size, seed, epoch)
    pad = state.model.tokenizer.pad
    threads = state.recipe.train.threads
    for batch in epoch_loader(dataset, batches, epoch, pad, threads):
        yield embed_batch(state.model, batch, state.precision, state.recipe.train.chunk)


def embed_batch(model: DualEncoder, batch: Batch, precision: Precision, chunk: int) -> Embedded:
    """Embed a batch in chunks of `chunk` images, which stay in the processor's cache."""
    device = precision.device
    with precision.autocast():
        images = [model.image_features(part.to(device)) for part in batch.pixels.split(chunk)]
        texts = []
        for tokens, mask in zip(
            batch.tokens.split(2 * chunk), batch.mask.split(2 * chunk), strict=True
        ):
            length = int(mask.sum(1).max())  # the padding of other chunks is not needed here
            part = tokens[:, :length].to(device), mask[:, :length].to(device)
            texts.append(model.text_features(*part))
    # Heads and loss in float32: a similarity differs in its third digit in bf16.
    return (
        model.project_images(torch.cat(images).float()),
        model.project_texts(torch.cat(texts).float()),
        batch.owner.to(device),
    )


def run_epoch(
    state: StageState, batches: Iterator[Embedded], report: Callable[[dict], None]
) -> dict[str, Any]:
    """Take one optimizer step a batch; return mean loss, images, seconds and images per second.

    `report` is told of each step. A loss that is not finite stops the run.
    """
    loss_of = LOSSES[state.recipe.train.loss]
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    state.model.train()
    start = time.perf_counter()
    total, images_seen, steps = 0.0, 0, 0
    for images, texts, owner in batches:
        step = state.epoch_in_stage * state.steps_per_epoch + steps
        state.rates = set_rates(state.optimizer, _factor(state, step))
        loss = loss_of(images, texts, owner, state.model.logit_scale)
        value = loss.item()
        if not math.isfinite(value):
            raise PairlightError(
                f"stage {state.stage.name}, step {step + 1}: the loss is {value}; lower the "
                "stage's learning rates and --resume from the last checkpoint"
            )
        norm = _update(state, loss, parameters)
        steps += 1
        total += value
        images_seen += len(images)
        speed = images_seen / (time.perf_counter() - start)
        # With fp16 the scaler meets infinite gradients at times, and passes over the step.
        shown = norm if math.isfinite(norm) else None
        report({"loss": value, "grad_norm": shown, "lr": state.rates, "images_per_second": speed})
    seconds = time.perf_counter() - start
    return {
        "loss": total / max(1, steps),
        "images": images_seen,
        "seconds": seconds,
        "images_per_second": images_seen / seconds,
    }


def _factor(state: StageState, step: int) -> float:
    total = state.stage.epochs * state.steps_per_epoch
    return rate_factor(step, total, state.stage.warmup, state.recipe.train.min_lr)


def _update(state: StageState, loss: torch.Tensor, parameters: list[nn.Parameter]) -> float:
    """Step the optimizer on `loss`; return the gradient norm before clipping."""
    state.optimizer.zero_grad(set_to_none=True)
    state.scaler.scale(loss).backward()
    state.scaler.unscale_(state.optimizer)
    norm = nn.utils.clip_grad_norm_(parameters, state.recipe.train.grad_clip)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    with torch.no_grad():
        # Past the clamp the gradient is zero: without this the scale could never come back.
        limit = math.log(state.model.config.max_logit_scale)
        state.model.log_scale.clamp_(max=limit)
    return norm.item()
