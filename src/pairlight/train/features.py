"""Computes what the frozen encoders give for a split once, and keeps it on disk."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pairlight.embed import Track, image_features, owners, text_features
from pairlight.errors import DataError
from pairlight.files import write_atomic
from pairlight.models.dual_encoder import DualEncoder
from pairlight.train.runlog import data_hash
from pairlight.types import Photo


@dataclass(frozen=True)
class Features:
    """Pooled features of a split.

    `images` (n, Ci), `texts` (m, Ct) float32; `owner` (m,) int64 gives each text's image.
    """

    images: torch.Tensor
    texts: torch.Tensor
    owner: torch.Tensor

    def to(self, device: str) -> "Features":
        """Return the same features on a device."""
        return Features(self.images.to(device), self.texts.to(device), self.owner.to(device))

    def captions_of(self) -> list[np.ndarray]:
        """Return, for each image, the rows of its texts."""
        counts = np.bincount(self.owner.cpu().numpy(), minlength=len(self.images))
        return np.split(np.arange(len(self.owner)), np.cumsum(counts)[:-1])


def split_features(
    model: DualEncoder, photos: Sequence[Photo], cache: Path, track: Track
) -> Features:
    """Return the features of `photos`, from `cache` when the same model met the same data.

    Photos that cannot be read are left out with their captions.
    """
    path = cache / f"features_{_key(model, photos)}.safetensors"
    if path.is_file():
        try:
            stored = load_file(path)
            return Features(stored["images"], stored["texts"], stored["owner"])
        except (SafetensorError, KeyError, OSError):
            path.unlink()  # a damaged cache is only slower
    kept, images = image_features(model, [photo.image for photo in photos], track)
    if not kept:
        raise DataError("no image of the split could be read; were the photos moved?")
    chosen = [photos[row] for row in kept]
    texts = text_features(model, [text for photo in chosen for text in photo.captions], track)
    found = Features(images, texts, torch.from_numpy(owners(chosen)))
    # What was lost may be back the next time, so only a full set is kept.
    if len(kept) == len(photos):
        tensors = {"images": images, "texts": texts, "owner": found.owner}
        write_atomic(path, lambda aside: save_file(tensors, aside))
    return found


def _key(model: DualEncoder, photos: Sequence[Photo]) -> str:
    digest = hashlib.sha256(data_hash(photos).encode())
    config = model.config
    digest.update(
        f"{config.image_size} {config.max_tokens} {config.image_pooling} "
        f"{config.text_pooling} {model.text_encoder.tokenizer}".encode()
    )
    for encoder in (model.image_encoder, model.text_encoder):
        for name, tensor in encoder.state_dict().items():
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
