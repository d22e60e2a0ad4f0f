"""Adds up what a recipe asks a training step to minimise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from pairlight import losses
from pairlight.config import TrainConfig
from pairlight.embed import TEXT_CHUNK, Track
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.pooling import MeanPool
from pairlight.runtime.batches import text_batches
from pairlight.train.teachers import Teachers

if TYPE_CHECKING:
    from pairlight.train.epoch import Embedded


@dataclass(frozen=True)
class Objective:
    """The recipe's loss and its additions.

    `meaning` (captions of the split, t) is from `caption_meaning`; soft targets need it, as
    distillation needs `teachers`.
    """

    config: TrainConfig
    meaning: torch.Tensor | None = None
    teachers: Teachers | None = None

    def __call__(self, batch: Embedded, scale: torch.Tensor, epoch: int) -> torch.Tensor:
        """Return the loss of a batch in the stage's `epoch`, counted from 0."""
        config = self.config
        images, texts, owner = batch.images, batch.texts, batch.owner
        loss = losses.LOSSES[config.loss](images, texts, owner, scale)
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
        return loss


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
