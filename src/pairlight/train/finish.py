"""Changes a trained model in the ways that come last, each kept where it helps held-out photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pairlight.config import Recipe
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train.hubs import correct_checkpoint, correct_hubs
from pairlight.train.interpolate import Weights, interpolate, interpolate_checkpoint
from pairlight.train.self_distillation import distil_checkpoint, distil_looks
from pairlight.train.validate import Split, Trial
from pairlight.types import Photo


def finish_model(
    model: DualEncoder,
    splits: tuple[Sequence[Photo], Sequence[Photo]],
    recipe: Recipe,
    device: str,
    output: Output,
    start: Weights | None = None,
) -> dict[str, Any] | None:
    """Finish `model` as the recipe asks; return its new scores on split val, None if none rose.

    With `start`, the image encoder's weights before training, it is interpolated with them.
    """
    trials: list[Trial | None] = []
    config = recipe.train
    if start is not None:
        trials.append(interpolate(model, start, splits[1], device, output))
    if config.self_distillation:
        trials.append(distil_looks(model, splits, recipe, device, output))
    if config.hub_prototypes:
        count, seed = config.hub_prototypes, config.seed
        trials.append(correct_hubs(model, splits, count, device, output, seed))
    kept = [trial.after for trial in trials if trial is not None and trial.kept]
    return kept[-1] if kept else None


def finish_checkpoint(
    path: Path,
    photos: tuple[list[Photo], list[Photo]],
    splits: tuple[Split, Split],
    start: Weights | None,
    recipe: Recipe,
    device: str,
    output: Output,
    tuned: Path | None = None,
) -> dict[str, Trial]:
    """Finish the checkpoint at `path` as the recipe asks; return by name what was tried now.

    `photos` are those of train and val, `splits` the same or what is kept of them. With `start`,
    the image encoder's weights before training, it is interpolated with them, or `tuned` is where
    no better epoch trained it. What a resumed run has tried before is not tried again.
    """
    found: dict[str, Trial | None] = {}
    if start is not None:
        tried = interpolate_checkpoint(path, start, photos[1], device, output, tuned)
        found["interpolation"] = tried
    if recipe.train.self_distillation:
        found["self_distillation"] = distil_checkpoint(path, photos, recipe, device, output)
    if recipe.train.hub_prototypes:
        found["hubs"] = correct_checkpoint(path, splits, recipe.train, device, output)
    return {name: trial for name, trial in found.items() if trial is not None}
