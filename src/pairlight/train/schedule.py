"""Gives the learning rate of each step and the optimizer's parameter groups."""

import math

import torch
from torch import nn

from pairlight.config import StageConfig, TrainConfig


def rate_factor(step: int, total: int, warmup: float, floor: float) -> float:
    """Return the share of the peak rate at `step` of `total`: linear warm-up, then cosine.

    Cosine decay (Loshchilov & Hutter 2017) from 1 at the end of warm-up to `floor` at the end.
    """
    rising = max(1, round(warmup * total))
    if step < rising:
        return (step + 1) / rising
    progress = (step - rising) / max(1, total - rising)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def stage_factor(step: int, total: int, stage: StageConfig, config: TrainConfig) -> float:
    """Return `rate_factor` at `step` of the `total` of a stage, which may have its own floor."""
    floor = config.min_lr if stage.min_lr is None else stage.min_lr
    return rate_factor(step, total, stage.warmup, floor)


def make_optimizer(
    groups: dict[str, list[nn.Parameter]], stage: StageConfig, config: TrainConfig
) -> torch.optim.AdamW:
    """Return AdamW with a rate per part; vectors and scalars are exempt from weight decay."""
    peaks = {"heads": stage.lr, "image": stage.image_lr, "text": stage.text_lr}
    peaks["scale"] = stage.lr * config.scale_rate
    made = []
    for name, parameters in groups.items():
        for decays in (True, False):
            chosen = [each for each in parameters if (each.ndim >= 2) == decays]
            if chosen and peaks[name] > 0:
                decay = config.weight_decay if decays else 0.0
                made.append(
                    {"params": chosen, "part": name, "peak": peaks[name], "weight_decay": decay}
                )
    return torch.optim.AdamW(made, lr=stage.lr)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> dict[str, float]:
    """Set every group's rate to its peak times `factor`; return the rates by part."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    return {group["part"]: group["lr"] for group in optimizer.param_groups}
