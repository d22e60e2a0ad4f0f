"""Scores a model under training on the validation split."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pairlight.embed import IMAGE_CHUNK, TEXT_CHUNK, Model, embed_photos
from pairlight.metrics.report import info_nce
from pairlight.metrics.retrieval import ranks, summary
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train.kept import Kept
from pairlight.types import Photo


def validate(
    model: DualEncoder, held_out: Kept | Sequence[Photo], device: str, output: Output
) -> dict[str, Any]:
    """Return loss, recalls both ways and their sum (percent), from kept features or photos."""
    model.eval()
    if isinstance(held_out, Kept):
        images, texts, owner = embed_kept(model, held_out, device)
    else:
        found = embed_photos(Model(model, "", device=device), held_out, output.track)
        images, texts, owner = found.images, found.texts, found.owner
    i2t_ranks, t2i_ranks = ranks(images, texts, owner)
    scale = model.logit_scale.item()
    val: dict[str, Any] = {"loss": info_nce(images, texts, owner, scale)}
    val |= {"i2t": summary(i2t_ranks), "t2i": summary(t2i_ranks)}
    val["rsum"] = sum(val[way][f"R@{k}"] for way in ("i2t", "t2i") for k in (1, 5, 10))
    return val


def embed_kept(
    model: DualEncoder, kept: Kept, device: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings of images (n, d) and texts (m, d) and each text's image (m,)."""
    arrays, rows = kept.images(0), kept.rows()
    images, texts = [], []
    captions = np.concatenate([kept.captions_of[row] for row in rows])
    order = np.argsort(np.diff(kept.offsets)[captions], kind="stable")
    with torch.inference_mode():
        for start in range(0, len(rows), IMAGE_CHUNK):
            part = torch.from_numpy(arrays[rows[start : start + IMAGE_CHUNK]]).to(device)
            images.append(model.project_images(kept.stem.upper_images(part)))
        for start in range(0, len(order), TEXT_CHUNK):
            hidden, mask = kept.hidden(captions[order[start : start + TEXT_CHUNK]])
            features = kept.stem.upper_texts(hidden.to(device), mask.to(device))
            texts.append(model.project_texts(features))
    owner = np.repeat(np.arange(len(rows)), [len(kept.captions_of[row]) for row in rows])
    back = np.argsort(order)
    return (
        torch.cat(images).float().cpu().numpy(),
        torch.cat(texts).float().cpu().numpy()[back],
        owner,
    )
