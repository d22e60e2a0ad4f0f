"""Chooses what an export is judged on and, never the same photos, what int8 is calibrated with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pairlight.config import AugmentConfig
from pairlight.data.augment import augment_image
from pairlight.data.manifest import read_manifest, read_split
from pairlight.data.prepare import prepare
from pairlight.embed import owners
from pairlight.errors import DataError
from pairlight.imaging import open_image
from pairlight.runtime.batches import pixel_batches
from pairlight.sample import sample_dir
from pairlight.threads import untracked
from pairlight.types import Photo

# More photos would take longer and tell the same.
PROBES = 1000
CALIBRATION = 128


@dataclass(frozen=True)
class Probes:
    """Photos read as pixels (n, S, S, 3) uint8, their captions, and each caption's row (m,)."""

    source: str
    pixels: np.ndarray
    captions: tuple[str, ...]
    owner: np.ndarray


@dataclass(frozen=True)
class Sources:
    """The photos to judge on and those to calibrate with, each with the name of their source."""

    judged: Sequence[Photo]
    judged_name: str
    calibration: Sequence[Photo]
    calibration_name: str
    few: bool
    """Whether the photos to calibrate with are few and need augmenting."""
    learnt: Sequence[Photo] = ()
    """The photos that the model was trained on, where they are known."""


def from_manifest(manifest: Path, split: str | None) -> Sources:
    """Return the sources of a manifest: one split to judge on, the training split to calibrate.

    Where that would be the same photos, the bundled sample calibrates.
    """
    judged, split = read_split(manifest, split)
    name = f"{manifest.name}, split {split}"
    training = [photo for photo in read_manifest(manifest) if photo.split == "train"]
    if training and split in ("val", "test"):
        where = f"{manifest.name}, split train"
        return Sources(judged, name, training, where, few=False, learnt=training)
    return from_photos(judged, name)


def from_photos(judged: Sequence[Photo], name: str) -> Sources:
    """Return sources that judge on the photos given and calibrate with the bundled sample."""
    return Sources(judged, name, _sample(), "bundled sample, augmented", few=True)


def from_sample(seed: int) -> Sources:
    """Return sources that judge on one half of the bundled sample and calibrate with the other."""
    photos = _sample()
    order = np.random.default_rng(seed).permutation(len(photos))
    middle = len(photos) // 2
    return Sources(
        [photos[n] for n in order[middle:]],
        "one half of the bundled sample",
        [photos[n] for n in order[:middle]],
        "the other half of the bundled sample, augmented",
        few=True,
    )


def _sample() -> list[Photo]:
    with TemporaryDirectory(prefix="pairlight-") as folder:
        manifest = Path(folder) / "manifest.jsonl"
        prepare(sample_dir() / "images", sample_dir() / "captions.json", manifest)
        return read_manifest(manifest)


def read_probes(
    photos: Sequence[Photo], source: str, size: int, seed: int, track=untracked
) -> Probes:
    """Return at most `PROBES` of the photos, by seed, read; those that do not open are left out."""
    chosen = _some(photos, PROBES, seed)
    rows: list[int] = []
    parts: list[np.ndarray] = []
    batches = pixel_batches([photo.image for photo in chosen], size, 32, track, skip=True)
    for kept, pixels in batches:
        rows += kept
        parts.append(pixels)
    if not rows:
        raise DataError(f"{source}: none of its {len(chosen)} images would open")
    read = [chosen[row] for row in rows]
    captions = tuple(text for photo in read for text in photo.captions)
    return Probes(source, np.concatenate(parts), captions, owners(read))


def calibration_probes(sources: Sources, size: int, seed: int) -> Probes:
    """Return about `CALIBRATION` images to calibrate with, and their captions.

    Few photos are shown several times, varied as in training.
    """
    probes = read_probes(
        _some(sources.calibration, CALIBRATION, seed), sources.calibration_name, size, seed
    )
    if not sources.few or len(probes.pixels) >= CALIBRATION:
        return probes
    rng = np.random.default_rng(seed)
    views = [probes.pixels]
    for _ in range(CALIBRATION // len(probes.pixels)):
        views.append(_varied(sources.calibration, size, rng))
    pixels = np.concatenate(views)[:CALIBRATION]
    return Probes(probes.source, pixels, probes.captions, probes.owner)


def _varied(photos: Sequence[Photo], size: int, rng: np.random.Generator) -> np.ndarray:
    varied = AugmentConfig()
    opened = (open_image(photo.image, size) for photo in photos)
    return np.stack([augment_image(each, size, varied, True, rng) for each in opened])


def _some(photos: Sequence[Photo], most: int, seed: int) -> list[Photo]:
    """Return at most `most` photos, chosen by seed, in their order."""
    if len(photos) <= most:
        return list(photos)
    rows = np.random.default_rng(seed).choice(len(photos), most, replace=False)
    return [photos[row] for row in sorted(rows)]
