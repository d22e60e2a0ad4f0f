"""Names the records that cross borders between the parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing them takes longer than all the rest of `import pairlight`
    import numpy as np
    import torch

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pair:
    """One caption of one image, as a caption file names it.

    `source` says where it was read, as `file:line`, for messages.
    """

    image: Path
    caption: str
    image_id: str
    source: str = ""


@dataclass(frozen=True)
class Photo:
    """One line of a manifest: an image that was opened, and its cleaned captions.

    `width` and `height` are in pixels after EXIF rotation; `sha256` is of the file's bytes;
    `image` is an absolute path (a manifest stores it relative to itself where it can);
    `category` is a name of the user's own, to break results down by.
    """

    image_id: str
    image: Path
    captions: tuple[str, ...]
    width: int
    height: int
    sha256: str
    split: str | None = None
    category: str | None = None


@dataclass(frozen=True)
class Batch:
    """What one training step sees: B images and their M captions.

    `pixels` (B, 3, H, W) uint8; `tokens` (M, L) int64 and `mask` (M, L) bool;
    `owner` (M,) int64 gives each caption's row in `pixels`, `captions` (M,) int64 its number
    among all captions of the split.
    """

    pixels: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor
    owner: torch.Tensor
    captions: torch.Tensor


@dataclass(frozen=True)
class Embeddings:
    """Embedded images and captions of one split.

    `images` (n, d) and `texts` (m, d) float32, rows of unit length;
    `owner` (m,) int64: `texts[j]` describes `images[owner[j]]`.
    `seconds` holds how long each side took; `skipped` the ids of images that would not open;
    `categories` is empty or as long as `images`, with None for an image that has none.
    """

    images: np.ndarray
    texts: np.ndarray
    owner: np.ndarray
    image_ids: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    categories: tuple[str | None, ...] = ()


# A JSON object as read from a file: its values are whatever the file held.
Json = dict[str, Any]
