"""Reads each image file once: whether it opens, is as the manifest says, and how it looks."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pairlight.errors import DataError
from pairlight.files import sha256_of
from pairlight.imaging import read_upright
from pairlight.threads import in_threads, untracked
from pairlight.types import Photo


@dataclass(frozen=True)
class Look:
    """What one file showed; where it did not open, `problem` says why and the rest is unset.

    `width` and `height` in pixels, upright; `tiny` (8, 9) uint8 grey, for difference hashes;
    `brightness` and `contrast`: mean and standard deviation of grey, 0 to 255.
    """

    sha256: str = ""
    width: int = 0
    height: int = 0
    tiny: np.ndarray | None = None
    brightness: float = 0.0
    contrast: float = 0.0
    problem: str = ""
    absent: bool = False


def look_at(
    photos: Sequence[Photo], workers: int | None = None, track: Callable = untracked
) -> list[Look]:
    """Return what each photo's file shows, in order; no file stops the others."""
    return list(track(in_threads(_look, photos, workers), "checking images", len(photos)))


def _look(photo: Photo) -> Look:
    path = photo.image
    try:
        rgb, (width, height) = read_upright(path, 32)
        sha256 = sha256_of(path)
    except (DataError, OSError) as error:
        why = str(error) if isinstance(error, DataError) else f"{path}: {error.strerror}"
        return Look(problem=why, absent=not os.path.exists(path))
    grey = rgb.convert("L")
    tiny = np.array(grey.resize((9, 8), Image.Resampling.BOX))
    small = np.asarray(grey.resize((64, 64), Image.Resampling.BOX), np.float32)
    return Look(sha256, width, height, tiny, float(small.mean()), float(small.std()))


def differences(photo: Photo, look: Look) -> list[str]:
    """Return in words what of a readable file is not as the manifest says."""
    found = []
    if (look.width, look.height) != (photo.width, photo.height):
        found.append(f"{look.width} x {look.height} pixels, not {photo.width} x {photo.height}")
    if look.sha256 != photo.sha256:
        found.append(f"sha256 {look.sha256[:12]}…, not {photo.sha256[:12]}…")
    return found
