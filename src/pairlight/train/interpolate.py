"""Steps back from a trained image encoder towards the one that training set out from."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pairlight.models.checkpoint import extra_of, model_of, read_checkpoint, save_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train.validate import Trial, embed_split, scores
from pairlight.types import Photo

Weights = dict[str, torch.Tensor]
# How far the encoders that are tried lie from the start to the trained one, at 1.
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True)
class Interpolation(Trial):
    """What stepping back did: `share` of the way from the start was the best place to stop at."""

    share: float

    def __str__(self) -> str:
        """Name the place, and the scores."""
        return f"{self.share:g} of the way from the start: {super().__str__()}"

    def told(self) -> dict[str, Any]:
        """Return what a log keeps of it."""
        return super().told() | {"share": self.share}


def image_weights(model: DualEncoder) -> Weights:
    """Return a copy of the image encoder's weights, on the processor."""
    return {name: each.cpu().clone() for name, each in model.image_encoder.state_dict().items()}


def between(start: Weights, end: Weights, share: float) -> Weights:
    """Return the weights at `share` of the way from `start` (0) to `end` (1)."""
    return {
        name: torch.lerp(start[name], each, share) if each.is_floating_point() else each
        for name, each in end.items()
    }


def interpolate(
    model: DualEncoder,
    start: Weights,
    held_out: Sequence[Photo],
    device: str,
    output: Output,
    before: dict[str, Any] | None = None,
) -> Interpolation | None:
    """Put `model`'s image encoder where, on the line from `start`, held-out photos are found best.

    Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT), but the text encoder
    stays as trained: stepping back with it gained nothing. `start` is what `image_weights` gave
    before training, `held_out` photos with captions, `before` the scores to be better than, if not
    the model's own. The model is as it was where nothing between is better; None is returned where
    no photo is held out or the encoder is as it was at the start.
    """
    end = image_weights(model)
    if not held_out or _same(start, end):
        return None
    output.say("trying image encoders between the start and the trained one")
    found = embed_split(model.eval(), held_out, device, output)
    scale = model.logit_scale.item()
    before, judges = before or scores(found, scale), len(found.images)
    bare = [dataclasses.replace(photo, captions=()) for photo in held_out]  # texts stay the same

    def tried(share: float) -> Interpolation:
        model.image_encoder.load_state_dict(between(start, end, share))
        images = embed_split(model, bare, device, output).images
        after = scores(dataclasses.replace(found, images=images), scale)
        output.say(f"{share:g} of the way: rsum {after['rsum']:.1f}, loss {after['loss']:.3f}")
        return Interpolation(before, after, judges, share)

    best = max(map(tried, SHARES), key=lambda each: each.merit)
    model.image_encoder.load_state_dict(between(start, end, best.share) if best.kept else end)
    output.say(f"image encoder at {best}")
    return best


def interpolate_checkpoint(
    path: Path,
    start: Weights,
    held_out: Sequence[Photo],
    device: str,
    output: Output,
    tuned: Path | None = None,
) -> Interpolation | None:
    """Do so to the checkpoint at `path`, and note there what came of it.

    Where its image encoder is as it was at the start, that of `tuned`, the best since, is stepped
    back instead, and takes its place if it is better then. Returns None where it was done before,
    where something else that comes last was, and where `interpolate` does.
    """
    content = read_checkpoint(path)
    model = model_of(content, path)
    if model.corrects_hubs or {"interpolation", "self_distillation"} & set(content):
        return None
    trained, changed, before = content, model, None
    if tuned is not None and _same(start, image_weights(model)):
        trained, before = read_checkpoint(tuned), content["val"]
        changed = model_of(trained, tuned)
    found = interpolate(changed.to(device), start, held_out, device, output, before)
    if found is not None:
        if found.kept:
            content, model = trained | {"val": found.after}, changed
        facts = extra_of(content) | {"interpolation": found.told()}
        save_checkpoint(path, model.cpu(), **facts)
    return found


def _same(start: Weights, end: Weights) -> bool:
    return all(torch.equal(start[name], each) for name, each in end.items())
