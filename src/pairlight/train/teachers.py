"""Asks finished models what they make of the training pairs, for a student to learn from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pairlight.embed import embed_photos, load_model, owners
from pairlight.files import read_arrays, write_arrays
from pairlight.output import Output
from pairlight.train.runlog import data_hash
from pairlight.types import Photo


@dataclass(frozen=True)
class Teachers:
    """What teachers make of a split: their embeddings side by side.

    `images` (n, D) and `texts` (m, D) are such that their product is the mean of the teachers'
    logits; `row_of` (m,) gives each caption's image.
    """

    images: torch.Tensor
    texts: torch.Tensor
    row_of: torch.Tensor

    def logits(self, captions: torch.Tensor, owner: torch.Tensor, batch: int) -> torch.Tensor:
        """Return the mean logits (B, M) of a batch of `batch` images.

        `captions` (M,) are numbers among the split's captions and `owner` (M,) their images'
        places in the batch, where every image has a caption.
        """
        rows = rows_of(self.row_of, captions, owner, batch)
        return self.images[rows] @ self.texts[captions].T


def rows_of(
    row_of: torch.Tensor, captions: torch.Tensor, owner: torch.Tensor, batch: int
) -> torch.Tensor:
    """Return the rows (B,) of the split that a batch's images have, by their captions (M,)."""
    rows = torch.zeros(batch, dtype=torch.long, device=owner.device)
    rows[owner] = row_of[captions]
    return rows


def ask_teachers(
    names: Sequence[str], photos: Sequence[Photo], cache: Path, device: str, output: Output
) -> Teachers:
    """Embed `photos` with each teacher, or find in `cache` what it gave before.

    A name is a checkpoint, an exported folder or `pretrained`. Teachers see photos as they are,
    not augmented. A photo that cannot be read gets zeros: it is in no batch.
    """
    images, texts = [], []
    for name in names:
        output.say(f"teacher {name}")
        found = _ask(name, photos, cache, device, output)
        # Each teacher speaks at its own temperature; the mean of logits is a product of experts.
        images.append(found["images"] * (found["scale"] / len(names)))
        texts.append(found["texts"])

    def joined(parts: list[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(parts, axis=1)).float().to(device)

    row_of = torch.from_numpy(owners(photos)).to(device)
    return Teachers(joined(images), joined(texts), row_of)


def _ask(
    name: str, photos: Sequence[Photo], cache: Path, device: str, output: Output
) -> dict[str, np.ndarray]:
    model = load_model(name, device if not Path(name).is_dir() and name != "pretrained" else "cpu")
    key = hashlib.sha256(f"{model.sha256} {data_hash(photos)}".encode()).hexdigest()[:16]
    path = cache / f"teacher_{key}.npz"
    held = read_arrays(path, "images", "texts", "scale")
    if held is not None:
        return held
    embeddings = embed_photos(model, photos, output.track)
    lost = set(embeddings.skipped)
    rows = np.array([row for row, photo in enumerate(photos) if photo.image_id not in lost], int)
    images = np.zeros((len(photos), model.embed_dim), np.float32)
    images[rows] = embeddings.images
    owner = owners(photos)
    texts = np.zeros((len(owner), model.embed_dim), np.float32)
    texts[np.isin(owner, rows)] = embeddings.texts
    found = {"images": images, "texts": texts, "scale": np.array(model.logit_scale, np.float32)}
    write_arrays(path, **found)
    return found
