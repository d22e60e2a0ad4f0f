"""Chooses the number format to train in by measuring, and holds autocast and loss scaling."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pairlight.models.dual_encoder import DualEncoder

FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Precision:
    """The format in use, by name, on one device."""

    name: str
    device: str

    def autocast(self) -> contextlib.AbstractContextManager:
        """Return the context in which the encoders run."""
        kind = torch.device(self.device).type
        if self.name == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(kind, dtype=FORMATS[self.name])

    def scaler(self) -> torch.amp.GradScaler:  # type: ignore[name-defined]
        """Return a gradient scaler, which does nothing unless the format is fp16."""
        kind = torch.device(self.device).type
        return torch.amp.GradScaler(kind, enabled=self.name == "fp16")  # type: ignore[attr-defined]


def choose_precision(
    asked: str, device: str, step: Callable[[Precision], None]
) -> tuple[Precision, dict[str, float]]:
    """Return the precision to train in and what the probe measured, in seconds a step.

    `auto` runs `step` (a forward and backward pass of the real model) in each format that the
    device can do at all, and takes the fastest. A processor may know bf16 and still be slower
    in it, for want of fast kernels; without hardware support it is a hundred times slower, so a
    small product is timed first.
    """
    if asked != "auto":
        return Precision(asked, device), {}
    candidates = _candidates(device)
    if candidates == ["fp32"]:
        return Precision("fp32", device), {}
    seconds = _seconds(step, [Precision(name, device) for name in candidates])
    best = min(seconds, key=lambda name: seconds[name])
    return Precision(best, device), seconds


def describe_choice(precision: Precision, seconds: dict[str, float]) -> str:
    """Return one line for people of what `choose_precision` gave."""
    timed = ", ".join(f"{name} {value:.2f} s a step" for name, value in seconds.items())
    return f"precision: {precision.name}" + (f" ({timed})" if timed else "")


def probe_step(model: DualEncoder, count: int, precision: Precision) -> None:
    """Run `count` blank images and captions forward and backward; keep no gradient."""
    images, texts = probe_features(model, count, count, model.config.image_size, precision)
    (images.sum() + texts.sum()).backward()
    model.zero_grad(set_to_none=True)


def probe_features(
    model: DualEncoder, images: int, captions: int, size: int, precision: Precision
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features (B, C) and (M, D) of blank images, `size` a side, and of captions."""
    with precision.autocast():
        pixels = torch.zeros(images, 3, size, size, dtype=torch.uint8, device=precision.device)
        tokens = torch.ones(captions, 16, dtype=torch.long, device=precision.device)
        return model.image_features(pixels), model.text_features(tokens, tokens.bool())


def _candidates(device: str) -> list[str]:
    kind = torch.device(device).type
    if kind == "cuda":
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return ["fp32", "bf16" if bf16 else "fp16"]
    if kind == "cpu" and _product(torch.bfloat16) < 4 * _product(torch.float32):
        return ["fp32", "bf16"]
    return ["fp32"]


def _product(dtype: torch.dtype) -> float:
    """Return the seconds of the fastest of three small matrix products."""
    x = torch.ones(256, 256, dtype=dtype)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(x, x)
        times.append(time.perf_counter() - start)
    return min(times)


def _seconds(step: Callable[[Precision], None], precisions: list[Precision]) -> dict[str, float]:
    """Return by name the seconds of the fastest of three steps, after one that pays for set-up.

    They take turns: what else the machine does for a moment then decides nothing.
    """
    for precision in precisions:
        step(precision)
    best = {precision.name: math.inf for precision in precisions}
    for precision in precisions * 3:
        _wait(precision.device)
        start = time.perf_counter()
        step(precision)
        _wait(precision.device)
        best[precision.name] = min(best[precision.name], time.perf_counter() - start)
    return best


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
