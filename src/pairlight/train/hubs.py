"""Fits the correction of hubs to training photos, and keeps it where it helps on held-out ones."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans

from pairlight.config import TrainConfig
from pairlight.models.checkpoint import model_of, read_checkpoint, save_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.hubs import HubCorrection
from pairlight.output import Output
from pairlight.train.kept import Kept
from pairlight.train.validate import Split, embed_split, scores
from pairlight.types import Embeddings, Photo

# Twice Flickr8k, where 2,000 photos gave 14 of the 17 points of rsum that all 6,000 did.
BANK = 10_000


def correct_checkpoint(
    path: Path, splits: tuple[Split, Split], config: TrainConfig, device: str, output: Output
) -> dict[str, Any] | None:
    """Add hub correction to the checkpoint at `path`, fitted and judged on splits train and val.

    Splits are photos, or what is kept of them by the checkpoint's frozen encoders. Returns the
    scores with it; None where it is left out, or there already.
    """
    content = read_checkpoint(path)
    model = model_of(content, path)
    if model.corrects_hubs:
        return None
    count, seed = config.hub_prototypes, config.seed
    after = correct_hubs(model.to(device), splits, count, device, output, seed)
    if after is not None:
        parts = ("format", "version", "model", "text_config", "tokenizer", "state_dict", "val")
        facts = {key: value for key, value in content.items() if key not in parts}
        save_checkpoint(path, model.cpu(), **facts, val=after, val_before_hubs=content["val"])
    return after


def correct_hubs(
    model: DualEncoder,
    splits: tuple[Split, Split],
    count: int,
    device: str,
    output: Output,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Fit hub correction of `count` prototypes a tower to the first split, judge it on the second.

    Returns the scores on the second with it; None, and `model` as it was, where they are no better
    or a split has no captions to fit or judge by.
    """
    train, val = (each if isinstance(each, Kept) else _captioned(each) for each in splits)
    if not all(isinstance(each, Kept) or len(each) > 1 for each in (train, val)):
        output.say("no photos with captions to fit and judge a correction of hubs: left out")
        return None
    if not isinstance(train, Kept) and len(train) > BANK:
        chosen = np.random.default_rng(seed).choice(len(train), BANK, replace=False)
        train = [train[row] for row in np.sort(chosen)]
    output.say("fitting a correction of hubs to the training photos")
    bank, held_out = (embed_split(model, split, device, output) for split in (train, val))
    before = scores(held_out, model.logit_scale.item())
    fit_hubs(model, bank, held_out, count, seed)
    with torch.inference_mode():
        images = model.image_hubs(torch.from_numpy(held_out.images).to(device)).cpu().numpy()
        texts = model.text_hubs(torch.from_numpy(held_out.texts).to(device)).cpu().numpy()
    corrected = dataclasses.replace(held_out, images=images, texts=texts)
    after = scores(corrected, model.logit_scale.item())
    kept = after["rsum"] > before["rsum"]
    verdict = "kept" if kept else "left out"
    output.say(f"correction of hubs: rsum {before['rsum']:.1f} -> {after['rsum']:.1f}, {verdict}")
    if not kept:
        model.forget_hubs()
        return None
    return after


def _captioned(photos: Sequence[Photo]) -> list[Photo]:
    return [photo for photo in photos if photo.captions]


def fit_hubs(
    model: DualEncoder, bank: Embeddings, held_out: Embeddings, count: int, seed: int
) -> None:
    """Give `model` the correction of this bank.

    Images are corrected by the bank's texts and texts by its images, at the model's own
    temperature. The mean hubness of `held_out` embeddings, which the model has not learnt by
    heart, is the zero of the correction.
    """
    temperature = 1 / model.logit_scale.item()
    basis = _basis(bank)
    found = [_prototypes(each, count, seed) for each in (bank.texts, bank.images)]
    model.make_room_for_hubs(*(len(prototypes) for prototypes, _ in found))
    sides = zip((model.image_hubs, model.text_hubs), (held_out.images, held_out.texts), strict=True)
    for (hubs, mine), (prototypes, shares) in zip(sides, found, strict=True):
        assert isinstance(hubs, HubCorrection)
        shares = torch.from_numpy(shares).float()
        hubs.fill(basis, torch.from_numpy(prototypes).float(), shares, temperature)
        hubs.center.fill_(hubs.hubness(torch.from_numpy(mine)).mean().item())
        hubs.to(model.log_scale.device)


def _basis(bank: Embeddings) -> torch.Tensor:
    """Return (d - 2, d): all directions of both kinds of embeddings but the two weakest."""
    sides = (each.astype(np.float64) for each in (bank.images, bank.texts))
    moments = sum(each.T @ each / len(each) for each in sides)
    rows = np.linalg.eigh(moments)[1][:, :1:-1].T
    return torch.from_numpy(rows.astype(np.float32))


def _prototypes(bank: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return centres (k, d) of the bank (n, d), k at most `count`, and the share (k,) of each."""
    if len(bank) <= count:
        return bank, np.full(len(bank), 1 / len(bank))
    means = MiniBatchKMeans(count, random_state=seed, n_init=1, batch_size=4096)  # type: ignore[arg-type]
    sizes = np.bincount(means.fit_predict(bank), minlength=count)
    centers = np.asarray(means.cluster_centers_)
    return centers[sizes > 0], sizes[sizes > 0] / len(bank)
