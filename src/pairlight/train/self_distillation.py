"""Teaches an image tower to give at one look at a photo the mean of what it gives at several."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pairlight.config import Recipe
from pairlight.data.dataset import augmented_view, epoch_batches
from pairlight.errors import DataError
from pairlight.models.checkpoint import extra_of, model_of, read_checkpoint, save_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.runtime.looks import edge_of
from pairlight.threads import map_ahead
from pairlight.train.mixing import draw_mix
from pairlight.train.precision import Precision, choose_precision
from pairlight.train.schedule import rate_factor, set_rates
from pairlight.train.validate import Trial, validate
from pairlight.types import Photo

BATCH = 64
RATE = 1e-4
WARMUP = 0.02


@dataclass(frozen=True)
class _Tower:
    """The image tower of `model` above what its last `blocks` blocks rest on."""

    model: DualEncoder
    blocks: int

    def lower(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return what teacher and student have in common for pixels (B, 3, S, S)."""
        encoder = self.model.image_encoder
        return encoder.lower(pixels, self.blocks) if encoder.divisible else pixels

    def embed(self, lower: torch.Tensor) -> torch.Tensor:
        """Return embeddings (B, d) of unit length, float32, of what `lower` gave."""
        encoder = self.model.image_encoder
        regions = encoder.upper(lower, self.blocks) if encoder.divisible else encoder(lower)
        features = self.model.pool_regions(regions.float())
        with torch.autocast(features.device.type, enabled=False):
            return F.normalize(self.model.image_head(features.float()), dim=-1)

    def parameters(self) -> list[nn.Parameter]:
        """Return what a student trains, unfrozen."""
        chosen = self.model.set_trainable(self.blocks, 0)["image"]
        chosen += [*self.model.image_pool.parameters(), *self.model.image_head.parameters()]
        self.model.requires_grad_(False)
        for each in chosen:
            each.requires_grad_(True)
        return chosen


def looks(pixels: torch.Tensor, mirrored: bool) -> list[torch.Tensor]:
    """Return the photos (B, 3, S, S) float as they are, mirrored, and their middle enlarged.

    The middle is `mirrored` or not.
    """
    size = pixels.shape[-1]
    edge = edge_of(size)
    middle = F.interpolate(
        pixels[:, :, edge : size - edge, edge : size - edge],
        size=(size, size),
        mode="bicubic",
        antialias=True,
    ).clamp(0, 255)
    return [pixels, pixels.flip(3), middle.flip(3) if mirrored else middle]


def mixed(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return photos (B, 3, S, S) float, some with up to half of another one laid over.

    Photos alone are known too well: the looks at them differ less (cosine 0.982 to their mean) than
    those at new photos (0.976); at these, 0.973. What they show is the teacher's to say, as in
    Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent".
    """
    mix = draw_mix(rng, len(pixels), 0.5)
    assert mix is not None
    return mix(pixels)


def distil_checkpoint(
    path: Path, splits: tuple[list[Photo], list[Photo]], recipe: Recipe, device: str, output: Output
) -> Trial | None:
    """Distil the looks at the photos of split train into the checkpoint at `path`.

    Judged on split val. The outcome is noted in the file, so that a resumed run does not try again.
    Returns None where it was tried before, or hubs are corrected already, which has to come last,
    and where there is nothing to learn from or to judge by.
    """
    content = read_checkpoint(path)
    model = model_of(content, path)
    if "self_distillation" in content or model.corrects_hubs:
        return None
    trial = distil_looks(model.to(device), splits, recipe, device, output)
    if trial is not None:
        facts = extra_of(content) | {"self_distillation": vars(trial) | {"kept": trial.kept}}
        facts["val"] = trial.after if trial.kept else content["val"]
        save_checkpoint(path, model.cpu(), **facts)
    return trial


def distil_looks(
    model: DualEncoder,
    splits: tuple[Sequence[Photo], Sequence[Photo]],
    recipe: Recipe,
    device: str,
    output: Output,
) -> Trial | None:
    """Train the last image blocks of `model` to give the mean of its own several looks.

    As many blocks as the recipe trains, for `train.self_distillation` epochs; a correction of hubs
    comes after it. `model` is as it was where its scores on the second split do not rise. Returns
    None where no block was trained, or a split has no photos for it.
    """
    train, val = splits
    val = [photo for photo in val if photo.captions]
    blocks = max(stage.image_blocks for stage in recipe.stages)
    if not blocks or len(train) < 2 or not val:
        output.say("self-distillation left out: it needs trained image blocks and a val split")
        return None
    before = validate(model, val, device, output)
    weights = {name: each.clone() for name, each in model.state_dict().items()}
    _train(model, train, recipe, blocks, device, output)
    trial = Trial(before, validate(model, val, device, output), len(val))
    output.say(f"self-distillation: {trial}")
    if not trial.kept:
        model.load_state_dict(weights)
    return trial


def _train(
    model: DualEncoder,
    photos: Sequence[Photo],
    recipe: Recipe,
    blocks: int,
    device: str,
    output: Output,
) -> None:
    """Train `model` on its own frozen copy."""
    teacher, student = _Tower(copy.deepcopy(model).eval(), blocks), _Tower(model.eval(), blocks)
    config, size = recipe.train, model.config.image_size
    group = {"params": student.parameters(), "part": "image", "peak": RATE}
    optimizer = torch.optim.AdamW([group], lr=RATE, weight_decay=0.0)
    blank = torch.zeros(config.chunk, 3, size, size, device=device)

    def probe(precision: Precision) -> None:
        _asked(teacher, blank, False, precision)

    precision, _ = choose_precision(config.precision, device, probe)
    total = config.self_distillation * len(epoch_batches(len(photos), BATCH, 0, 0))
    done = 0
    for epoch in range(config.self_distillation):
        rng = np.random.default_rng([config.seed, epoch, 3])
        what = f"self-distillation {epoch + 1}/{config.self_distillation}"
        batches = _batches(photos, size, recipe, epoch)
        near, seen = 0.0, 0
        for pixels in output.track(batches, what, total // config.self_distillation):
            for part in pixels.to(device).split(config.chunk):
                lower, wanted = _asked(teacher, mixed(part, rng), rng.random() < 0.5, precision)
                cosines = (student.embed(lower) * wanted).sum(1)
                (-cosines.sum() / len(pixels)).backward()
                near, seen = near + cosines.sum().item(), seen + len(part)
            set_rates(optimizer, rate_factor(done, total, WARMUP, config.min_lr))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            done += 1
        output.say(f"{what}: cosine {near / max(1, seen):.4f} to the mean of several looks")
    model.requires_grad_(False)


@torch.no_grad()
def _asked(
    teacher: _Tower, pixels: torch.Tensor, mirrored: bool, precision: Precision
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is below the trained blocks for pixels, and the mean (B, d) of the looks."""
    with precision.autocast():
        lower = [teacher.lower(each) for each in looks(pixels, mirrored)]
        found = torch.stack([teacher.embed(each) for each in lower])
    return lower[0].float(), F.normalize(found.mean(0), dim=-1)


def _batches(
    photos: Sequence[Photo], size: int, recipe: Recipe, epoch: int
) -> Iterator[torch.Tensor]:
    """Yield augmented photos (B, 3, `size`, `size`) uint8; those that cannot be read are left out.

    Augmented as in training, but to the size that the model looks at in use.
    """
    config = recipe.train

    def load(row: int) -> np.ndarray | None:
        # Other views than those of training, whose numbers count from 0.
        try:
            return augmented_view(photos[row], size, recipe.augment, 10_000 + epoch, row)
        except DataError:
            return None

    rows = epoch_batches(len(photos), BATCH, config.seed, 10_000 + epoch)
    for found in map_ahead(load, rows, config.threads):
        good = [each for each in found if each is not None]
        if good:
            yield torch.from_numpy(np.stack(good)).permute(0, 3, 1, 2)
