"""Fits the correction of hubs to training photos, and keeps it where it helps on held-out ones."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans

from pairlight.config import TrainConfig
from pairlight.models.checkpoint import extra_of, model_of, read_checkpoint, save_checkpoint
from pairlight.models.dual_encoder import DualEncoder
from pairlight.models.hubs import HubCorrection
from pairlight.output import Output
from pairlight.train.kept import Kept
from pairlight.train.validate import Split, Trial, embed_split, scores
from pairlight.types import Embeddings, Photo

# More than Flickr8k has, where 2,000 photos gave 16 of the 17 points of rsum that all 6,000 did.
BANK = 10_000


def correct_checkpoint(
    path: Path, splits: tuple[Split, Split], config: TrainConfig, device: str, output: Output
) -> Trial | None:
    """Add hub correction to the checkpoint at `path`, fitted and judged on splits train and val.

    Splits are photos, or what is kept of them by the checkpoint's frozen encoders. A correction
    that was left out is noted there, so that a resumed run does not try again. Returns None where
    that was so, where it has one already, and where there is nothing to fit or judge by.
    """
    content = read_checkpoint(path)
    model = model_of(content, path)
    if model.corrects_hubs or "hubs_left_out" in content:
        return None
    count, seed = config.hub_prototypes, config.seed
    trial = correct_hubs(model.to(device), splits, count, device, output, seed)
    if trial is not None:
        facts = extra_of(content)
        if trial.kept:
            facts |= {"val": trial.after, "val_before_hubs": content["val"]}
        else:
            facts |= {"val": content["val"], "hubs_left_out": trial.after}
        save_checkpoint(path, model.cpu(), **facts)
    return trial


def correct_hubs(
    model: DualEncoder,
    splits: tuple[Split, Split],
    count: int,
    device: str,
    output: Output,
    seed: int = 0,
) -> Trial | None:
    """Fit hub correction of `count` prototypes a tower to the first split, judge it on the second.

    `model` gets it where the second is found better, and is as it was where it is not. Returns None
    where a split has no captions to fit or judge by.
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
    hubs = fit_hubs(bank, held_out, 1 / model.logit_scale.item(), count, seed)
    model.image_hubs, model.text_hubs = (each.to(device) for each in hubs)
    after = scores(corrected(hubs, held_out), model.logit_scale.item())
    trial = Trial(before, after, len(held_out.images))
    output.say(f"correction of hubs: {trial}")
    if not trial.kept:
        model.forget_hubs()
    return trial


def _captioned(photos: Sequence[Photo]) -> list[Photo]:
    return [photo for photo in photos if photo.captions]


def fit_hubs(
    bank: Embeddings, held_out: Embeddings, temperature: float, count: int, seed: int
) -> tuple[HubCorrection, HubCorrection]:
    """Return the corrections of images and of texts that this bank makes.

    Images are corrected by the bank's texts and texts by its images. The mean hubness of
    `held_out` embeddings, which the model has not learnt by heart, is the zero of the correction.
    """
    basis = _basis(bank)
    sides = ((bank.texts, held_out.images, 1), (bank.images, held_out.texts, -1))
    found = []
    for others, mine, sign in sides:
        prototypes, shares = _prototypes(others, count, seed)
        hubs = HubCorrection(others.shape[1], len(prototypes), sign)
        stood_for = torch.from_numpy(shares).float()
        hubs.fill(basis, torch.from_numpy(prototypes).float(), stood_for, temperature)
        hubs.center.fill_(hubs.hubness(torch.from_numpy(mine)).mean().item())
        found.append(hubs)
    return found[0], found[1]


def corrected(hubs: tuple[HubCorrection, HubCorrection], found: Embeddings) -> Embeddings:
    """Return embeddings with the corrections of `fit_hubs`."""
    with torch.inference_mode():
        images, texts = (
            each(torch.from_numpy(rows)).numpy()
            for each, rows in zip(hubs, (found.images, found.texts), strict=True)
        )
    return dataclasses.replace(found, images=images, texts=texts)


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
