"""Runs one epoch: on what is kept of the frozen part, or on photos anew."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pairlight.config import Recipe, StageConfig
from pairlight.data.dataset import CaptionedPhotos, draw_captions, epoch_batches
from pairlight.data.loader import epoch_loader
from pairlight.errors import PairlightError
from pairlight.models.dual_encoder import DualEncoder
from pairlight.train.average import WeightAverage
from pairlight.train.kept import Kept
from pairlight.train.mixing import Mix, draw_mix
from pairlight.train.objective import Objective
from pairlight.train.precision import Precision
from pairlight.train.recompute import caller, direct
from pairlight.train.schedule import set_rates, stage_factor
from pairlight.types import Batch


@dataclass(frozen=True)
class Embedded:
    """A batch's embeddings, `images` (B, d) and `texts` (M, d), their graphs kept for backward.

    `owner` (M,) gives each text's image, `captions` (M,) its number among the split's captions;
    `mix` how images were mixed, None where they were not.
    """

    images: torch.Tensor
    texts: torch.Tensor
    owner: torch.Tensor
    captions: torch.Tensor
    mix: Mix | None = None


@dataclass
class StageState:
    """What the steps of one stage share."""

    model: DualEncoder
    recipe: Recipe
    stage: StageConfig
    optimizer: torch.optim.Optimizer
    precision: Precision
    objective: Objective
    steps_per_epoch: int
    scaler: Any = None
    average: WeightAverage | None = None
    best: Path | None = None
    caching: bool = False
    epoch_in_stage: int = 0
    rates: dict[str, float] = field(default_factory=dict)

    def averaged(self) -> contextlib.AbstractContextManager:
        """Return the context in which the model has its averaged weights, if it has any."""
        return self.average.applied(self.model) if self.average else contextlib.nullcontext()

    def held(self) -> dict[str, Any]:
        """Return what a resumed run needs beside the weights."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else None,
        }

    def restore(self, held: dict[str, Any]) -> None:
        """Take back what `held` gave."""
        self.optimizer.load_state_dict(held["optimizer"])
        self.scaler.load_state_dict(held["scaler"])
        if self.average is not None:
            self.average.load_state_dict(held["average"])


def kept_batches(state: StageState, kept: Kept, seed: int, epoch: int) -> Iterator[Embedded]:
    """Yield embedded batches from what is kept of the frozen part."""
    rng = np.random.default_rng([seed, epoch, 1])
    kept.images(state.epoch_in_stage)  # made now, if need be: it tells which photos are lost
    chunk, augment = state.recipe.train.chunk, state.recipe.augment
    call = caller(state.caching)
    usable = kept.rows()
    for batch in epoch_batches(len(usable), state.stage.batch_size, seed, epoch):
        rows = [usable[place] for place in batch]
        captions: list[int] = []
        owner: list[int] = []
        for place, row in enumerate(rows):
            own = kept.captions_of[row]
            drawn = draw_captions(len(own), state.stage.captions_per_image, rng)
            captions += own[drawn].tolist()
            owner += [place] * len(drawn)
        numbers = np.array(captions)
        mix = draw_mix(rng, len(rows), augment.mix, augment.mix_prob)
        with state.precision.autocast():
            images, texts = kept.upper(
                state.epoch_in_stage, rows, numbers, chunk, augment.token_dropout, call, mix
            )
        yield Embedded(
            state.model.project_images(images),
            state.model.project_texts(texts),
            torch.tensor(owner, device=kept.device),
            torch.from_numpy(numbers).to(kept.device),
            mix and mix.to(kept.device),
        )


def photo_batches(
    state: StageState, dataset: CaptionedPhotos, seed: int, epoch: int
) -> Iterator[Embedded]:
    """Yield embedded batches from augmented photos."""
    batches = epoch_batches(len(dataset), state.stage.batch_size, seed, epoch)
    pad = state.model.tokenizer.pad
    config, augment = state.recipe.train, state.recipe.augment
    call = caller(state.caching)
    rng = np.random.default_rng([seed, epoch, 2])
    for batch in epoch_loader(dataset, batches, epoch, pad, config.threads):
        mix = draw_mix(rng, len(batch.pixels), augment.mix, augment.mix_prob)
        yield embed_batch(state.model, batch, state.precision, config.chunk, call, mix)


def embed_batch(
    model: DualEncoder,
    batch: Batch,
    precision: Precision,
    chunk: int,
    call: Callable[..., torch.Tensor] = direct,
    mix: Mix | None = None,
) -> Embedded:
    """Embed a batch, mixed by `mix`, in chunks of `chunk` images that fit a processor's cache."""
    device = precision.device
    # Texts of like length together: padding would cost as much as the words do.
    order = batch.mask.sum(1).argsort(stable=True)
    with precision.autocast():
        parts = (mix(batch.pixels) if mix else batch.pixels).split(chunk)
        images = [call(model.image_features, part.to(device)) for part in parts]
        texts = []
        for rows in order.split(2 * chunk):
            length = int(batch.mask[rows].sum(1).max())
            tokens, mask = batch.tokens[rows, :length], batch.mask[rows, :length]
            texts.append(call(model.text_features, tokens.to(device), mask.to(device)))
    # Heads and loss in float32: a similarity differs in its third digit in bf16.
    return Embedded(
        model.project_images(torch.cat(images).float()),
        model.project_texts(torch.cat(texts).float()[order.argsort().to(device)]),
        batch.owner.to(device),
        batch.captions.to(device),
        mix and mix.to(device),
    )


def run_epoch(
    state: StageState, batches: Iterator[Embedded], report: Callable[[dict], None]
) -> dict[str, Any]:
    """Take one optimizer step a batch; return mean loss, images, seconds and images per second.

    `report` is told of each step. A loss that is not finite stops the run.
    """
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    state.model.train()
    start = time.perf_counter()
    total, images_seen, steps = 0.0, 0, 0
    for batch in batches:
        step = state.epoch_in_stage * state.steps_per_epoch + steps
        state.rates = set_rates(state.optimizer, _factor(state, step))
        loss = state.objective(batch, state.model.logit_scale, state.epoch_in_stage)
        value = loss.item()
        if not math.isfinite(value):
            raise PairlightError(
                f"stage {state.stage.name}, step {step + 1}: the loss is {value}; lower the "
                f"stage's learning rates {_way_out(state)}"
            )
        norm = _update(state, loss, parameters)
        if state.average is not None:
            state.average.update(state.model)
        steps += 1
        total += value
        images_seen += len(batch.images)
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


def _way_out(state: StageState) -> str:
    """Return how to go on with other rates: --resume refuses them, as it does any other recipe."""
    # --init passes over a stage of heads alone, and the autopilot does not take it.
    takes_init = not state.stage.frozen and state.recipe.name != "auto"
    if takes_init and state.best is not None and state.best.exists():
        return f"and set out from the best epoch so far: --init {state.best} and another --out"
    return "and start anew, with --overwrite or another --out"


def _factor(state: StageState, step: int) -> float:
    total = state.stage.epochs * state.steps_per_epoch
    return stage_factor(step, total, state.stage, state.recipe.train)


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
