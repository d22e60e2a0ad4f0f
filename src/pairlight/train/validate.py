"""Scores a model under training on the validation split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pairlight.embed import IMAGE_CHUNK, Model, embed_photos
from pairlight.metrics.report import info_nce
from pairlight.metrics.retrieval import ranks, summary
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train.kept import Kept
from pairlight.types import Embeddings, Photo

Split = Kept | Sequence[Photo]
# Among fewer held-out photos nearly everything is found, and recall hardly tells two models apart:
# a fall of the rsum by so little (two points of recall) means nothing there, if the loss falls.
FEW_JUDGES, SLACK = 500, 12


@dataclass(frozen=True)
class Trial:
    """Scores on `judges` held-out photos before a change to a finished model and with it."""

    before: dict[str, Any]
    after: dict[str, Any]
    judges: int

    @property
    def merit(self) -> float:
        """What the change is judged by, higher is better: the rsum, or of few judges the loss."""
        return self.after["rsum"] if self.judges >= FEW_JUDGES else -self.after["loss"]

    @property
    def kept(self) -> bool:
        """Whether it helped, and so stays: the rsum rises, or of few judges the loss falls."""
        gain = self.after["rsum"] - self.before["rsum"]
        if self.judges < FEW_JUDGES:
            return gain >= -SLACK and self.after["loss"] < self.before["loss"]
        return gain > 0

    def told(self) -> dict[str, Any]:
        """Return what a log keeps of it."""
        return {"kept": self.kept, "before": self.before, "val": self.after}

    def __str__(self) -> str:
        """Name what was compared, before and after, and what came of it."""
        told = [f"rsum {self.before['rsum']:.1f} -> {self.after['rsum']:.1f}"]
        if self.judges < FEW_JUDGES:
            told.append(f"loss {self.before['loss']:.3f} -> {self.after['loss']:.3f}")
        return ", ".join([*told, "kept" if self.kept else "left out"])


def validate(model: DualEncoder, held_out: Split, device: str, output: Output) -> dict[str, Any]:
    """Return loss, recalls both ways and their sum (percent), from kept features or photos."""
    model.eval()
    return scores(embed_split(model, held_out, device, output), model.logit_scale.item())


def embed_split(model: DualEncoder, split: Split, device: str, output: Output) -> Embeddings:
    """Return the embeddings of photos, or of what is kept of them."""
    if isinstance(split, Kept):
        return Embeddings(*embed_kept(model, split))
    return embed_photos(Model(model, "", device=device), split, output.track)


def scores(found: Embeddings, scale: float) -> dict[str, Any]:
    """Return loss, recalls both ways and their sum (percent); `scale` is the logit scale."""
    i2t_ranks, t2i_ranks = ranks(found.images, found.texts, found.owner)
    val: dict[str, Any] = {"loss": info_nce(found.images, found.texts, found.owner, scale)}
    val |= {"i2t": summary(i2t_ranks), "t2i": summary(t2i_ranks)}
    val["rsum"] = sum(val[way][f"R@{k}"] for way in ("i2t", "t2i") for k in (1, 5, 10))
    return val


def embed_kept(model: DualEncoder, kept: Kept) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings of images (n, d) and texts (m, d) and each text's image (m,)."""
    kept.images(0)  # made now, if need be: it tells which photos are lost
    rows = kept.rows()
    captions = np.concatenate([kept.captions_of[row] for row in rows])
    with torch.inference_mode():
        images, texts = kept.upper(0, rows, captions, IMAGE_CHUNK)
        found = [model.project_images(images), model.project_texts(texts)]
    owner = np.repeat(np.arange(len(rows)), [len(kept.captions_of[row]) for row in rows])
    return found[0].cpu().numpy(), found[1].cpu().numpy(), owner
