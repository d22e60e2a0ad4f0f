"""Scores a model under training on the validation split."""

from collections.abc import Sequence
from typing import Any

import torch

from pairlight.embed import Model, embed_photos
from pairlight.metrics.report import info_nce
from pairlight.metrics.retrieval import ranks, summary
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train.features import Features
from pairlight.types import Photo


def validate(
    model: DualEncoder, held_out: Features | Sequence[Photo], device: str, output: Output
) -> dict[str, Any]:
    """Return loss, recalls both ways and their sum (percent), from cached features or photos."""
    model.eval()
    if isinstance(held_out, Features):
        with torch.inference_mode():
            images = model.project_images(held_out.images).float().cpu().numpy()
            texts = model.project_texts(held_out.texts).float().cpu().numpy()
        owner = held_out.owner.cpu().numpy()
    else:
        found = embed_photos(Model(model, "", device=device), held_out, output.track)
        images, texts, owner = found.images, found.texts, found.owner
    i2t_ranks, t2i_ranks = ranks(images, texts, owner)
    scale = model.logit_scale.item()
    val: dict[str, Any] = {"loss": info_nce(images, texts, owner, scale)}
    val |= {"i2t": summary(i2t_ranks), "t2i": summary(t2i_ranks)}
    val["rsum"] = sum(val[way][f"R@{k}"] for way in ("i2t", "t2i") for k in (1, 5, 10))
    return val
