"""Adds up what a recipe asks a training step to minimise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from pairlight import losses
from pairlight.config import Recipe, TrainConfig
from pairlight.embed import TEXT_CHUNK, Track
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.pooling import MeanPool
from pairlight.output import Output
from pairlight.runtime.batches import text_batches
from pairlight.train.class_names import ClassNames, ask_classifier
from pairlight.train.precision import Precision
from pairlight.train.teachers import Teachers, ask_teachers
from pairlight.types import Photo

if TYPE_CHECKING:
    from pairlight.train.epoch import Embedded


@dataclass(frozen=True)
class Objective:
    """The recipe's loss and its additions.

    `meaning` (captions of the split, t) is from `caption_meaning`; soft targets need it, as
    distillation needs `teachers`, and class names `classes`.
    """

    config: TrainConfig
    meaning: torch.Tensor | None = None
    teachers: Teachers | None = None
    classes: ClassNames | None = None

    def __call__(self, batch: Embedded, scale: torch.Tensor, epoch: int) -> torch.Tensor:
        """Return the loss of a batch in the stage's `epoch`, counted from 0."""
        config = self.config
        images, texts, owner = batch.images, batch.texts, batch.owner
        if batch.mix is None:
            loss = losses.LOSSES[config.loss](images, texts, owner, scale)
        else:
            shares = batch.mix(losses.owns(images, owner))
            loss = losses.info_nce(images, texts, owner, scale, shares)
        if config.soft_targets and self.meaning is not None:
            meaning = self.meaning[batch.captions]
            soft = losses.soft_targets(
                images, texts, owner, scale, meaning, config.soft_temperature
            )
            loss = torch.lerp(loss, soft, config.soft_targets)
        if config.distillation and self.teachers is not None:
            wanted = self.teachers.logits(batch.captions, owner, len(images))
            taught = losses.distillation(images, texts, scale, wanted)
            loss = torch.lerp(loss, taught, config.distillation)
        if config.hard_negatives and epoch >= config.hard_negatives_after:
            loss = loss + config.hard_negatives * losses.hardest_triplet(images, texts, owner)
        if config.caption_pairs:
            loss = loss + config.caption_pairs * losses.caption_pairs(texts, owner, scale)
        if config.class_names and self.classes is not None:
            loss = loss + config.class_names * self.classes.loss(batch, scale)
        return loss

    @property
    def class_names(self) -> list[str]:
        """The names of classes that are learnt beside the captions."""
        return list(self.classes.classifier.names) if self.classes else []

    def in_precision(self, precision: Precision) -> Objective:
        """Return the same, its text encoder run in `precision`."""
        classes = self.classes and replace(self.classes, precision=precision)
        return replace(self, classes=classes)


def prepare_objective(
    recipe: Recipe,
    model: DualEncoder,
    photos: Sequence[Photo],
    cache: Path,
    device: str,
    output: Output,
    meaning: torch.Tensor | None = None,
) -> Objective:
    """Return the objective of a run on `photos`, with all that its targets come from.

    `meaning` is that of the run that is resumed: the text encoder has been trained since.
    """
    config = recipe.train
    if config.soft_targets and meaning is None:
        texts = [text for photo in photos for text in photo.captions]
        meaning = caption_meaning(model.to(device), texts, device, output.track)
    teachers = classes = None
    if config.teachers:
        teachers = ask_teachers(config.teachers, photos, cache, device, output)
    if config.class_names:
        classes = ask_classifier(model.to(device), recipe.model, photos, cache, device, output)
    return Objective(config, meaning, teachers, classes)


def caption_meaning(
    model: DualEncoder, texts: Sequence[str], device: str, track: Track
) -> torch.Tensor:
    """Return what the text encoder makes of each text now, (m, t) of unit length.

    Before training a packaged MiniLM is a sentence encoder, whose mean of tokens tells how alike
    two captions are.
    """
    ids = [each.ids for each in model.tokenizer(list(texts))]
    meaning = torch.zeros(len(ids), model.text_encoder.dim)
    encoder, pool = model.text_encoder.eval(), MeanPool()
    with torch.inference_mode():
        for rows in text_batches(ids, TEXT_CHUNK, track):
            tokens, mask = (each.to(device) for each in model.tokenizer.pad([ids[r] for r in rows]))
            meaning[rows] = F.normalize(pool(encoder(tokens, mask).float(), mask), dim=-1).cpu()
    return meaning.to(device)
