"""Embeds a photo as the mean of several looks at it: better found, in as many times the time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pairlight.errors import ConfigError
from pairlight.runtime.batches import Track, pixel_batches, stack
from pairlight.threads import untracked

# What the second look sees: this share of each side. By itself it finds less than the whole photo.
MIDDLE = 0.85
MOST = 3
BATCH = 8


class Looks:
    """A loaded model that looks `count` times at each photo; in all else it is `model`.

    It looks at the whole photo, then at its middle, then at its mirror image, and the mean of the
    embeddings, at unit length, is the photo's. They lie in the model's own space: with embeddings
    of one look, and with those of texts, they can be compared as ever.
    """

    def __init__(self, model: Any, count: int):
        if not 1 <= count <= MOST:
            raise ConfigError(f"looks must be from 1 to {MOST}, got {count}")
        self.model, self.looks = model, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def encode_images(self, paths: Sequence[str | Path], track: Track = untracked) -> np.ndarray:
        """Return (n, d) float32 embeddings of image files; raises `DataError` at a bad one."""
        batches = pixel_batches(paths, self.image_size, BATCH, track)
        parts = [self.encode_pixels(pixels) for _, pixels in batches]
        return stack(parts, self.embed_dim)

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return (n, d) float32 embeddings of pixels (n, S, S, 3) uint8, S being `image_size`."""
        views = [pixels, middle(pixels), pixels[:, :, ::-1]][: self.looks]
        found = self.model.encode_pixels(np.concatenate(views))
        mean = found.reshape(self.looks, len(pixels), self.embed_dim).mean(axis=0)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def several_looks(model: Any, count: int) -> Any:
    """Return `model` for one look at each photo, else a `Looks`; raises `ConfigError`."""
    return model if count == 1 else Looks(model, count)


def edge_of(size: int) -> int:
    """Return how many pixels of each edge of a photo, `size` a side, lie outside its middle."""
    return round(size * (1 - MIDDLE) / 2)


def middle(pixels: np.ndarray) -> np.ndarray:
    """Return the middle of photos (n, S, S, 3) uint8, enlarged to their size."""
    size = pixels.shape[1]
    edge = edge_of(size)
    box = (edge, edge, size - edge, size - edge)
    enlarged = np.empty_like(pixels)
    for row, each in enumerate(pixels):
        image = Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC, box)
        enlarged[row] = np.asarray(image)
    return enlarged
