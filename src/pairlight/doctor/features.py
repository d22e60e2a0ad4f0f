"""Embeds the photos and captions of a check-up, keeping what was computed for the next one."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pairlight.embed import load_model
from pairlight.errors import MissingDependency, PairlightError
from pairlight.files import read_arrays, write_arrays
from pairlight.runtime.batches import Track, pixel_batches
from pairlight.threads import untracked

FROZEN = "frozen"
_CHUNK = 128  # photos, or captions, to a step of the progress bar
_EVERY = 60.0  # seconds between two writings to disk: so much work is lost at a crash
_BATCH = 32


class Encoder(Protocol):
    """What is asked of a model here; the two sides need not share a space."""

    name: str
    sha256: str
    image_size: int

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return (n, p) float32 of pixels (n, S, S, 3) uint8."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (m, q) float32 of texts."""
        ...


@dataclass(frozen=True)
class Features:
    """Embeddings of photos (n, p) by row in `rows`, and of all captions (m, q).

    `shared` tells whether both are of one space, so that their products are similarities.
    """

    images: np.ndarray
    texts: np.ndarray
    rows: tuple[int, ...]
    shared: bool


def open_encoder(name: str, device: str = "auto") -> Encoder:
    """Return a model as `pairlight.load` does, or `frozen`: encoders that saw no captioned photo.

    Raises `ModelError` or `MissingDependency`, as for frozen encoders without the train install.
    """
    if name != FROZEN:
        return load_model(name, device)
    try:
        from pairlight.doctor.frozen import FrozenEncoders
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{error.name} is not installed; --model frozen needs: pip install 'pairlight[train]'"
        ) from None
    return FrozenEncoders(device)


def features(
    encoder: Encoder,
    files: Sequence[tuple[int, Path, str]],
    captions: Sequence[str],
    cache: Path | None,
    track: Track = untracked,
) -> Features:
    """Return embeddings of `files` (row, path, sha256) and of `captions`.

    What `cache` holds for the same model and the same bytes or words is not computed again; files
    that cannot be read any more are left out.
    """
    kept = Kept(cache, encoder.sha256, "images")
    paths = {digest: path for _, path, digest in files}

    def images(digests: list[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        chosen = [paths[digest] for digest in digests]
        for rows, pixels in pixel_batches(chosen, encoder.image_size, _BATCH, skip=True):
            yield [digests[row] for row in rows], encoder.encode_pixels(pixels)

    found = kept.fill([digest for _, _, digest in files], images, track)
    there = [(row, found[digest]) for row, _, digest in files if digest in found]
    keys = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in captions]
    said = dict(zip(keys, captions, strict=True))

    def texts(digests: list[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        yield digests, encoder.encode_texts([said[digest] for digest in digests])

    told = Kept(cache, encoder.sha256, "texts").fill(keys, texts, track)
    return Features(
        images=_stack([vector for _, vector in there]),
        texts=_stack([told[key] for key in keys]),
        rows=tuple(row for row, _ in there),
        shared=not encoder.name == FROZEN,
    )


def _stack(vectors: list[np.ndarray]) -> np.ndarray:
    return np.stack(vectors) if vectors else np.zeros((0, 1), np.float32)


class Kept:
    """Vectors under the sha256 of what they were made of, in one file a model and side.

    A file that is damaged, or of another model, is made anew. Without a folder nothing is kept.
    """

    def __init__(self, folder: Path | None, model: str, side: str):
        self.side = side
        self.path = folder / f"{side}_{model[:16]}.npz" if folder else None
        self.vectors = self._read()

    def fill(
        self,
        digests: Sequence[str],
        compute: Callable[[list[str]], Iterator[tuple[list[str], np.ndarray]]],
        track: Track = untracked,
    ) -> dict[str, np.ndarray]:
        """Return the vector of each digest, computing and keeping those that are missing."""
        missing = [each for each in dict.fromkeys(digests) if each not in self.vectors]
        starts = range(0, len(missing), _CHUNK)
        written = time.monotonic()
        for start in track(starts, f"embedding {self.side}", total=len(starts)):
            for names, rows in compute(missing[start : start + _CHUNK]):
                self.vectors.update(zip(names, rows, strict=True))
            if time.monotonic() - written > _EVERY:
                self._write()
                written = time.monotonic()
        if missing:
            self._write()
        return {each: self.vectors[each] for each in digests if each in self.vectors}

    def _read(self) -> dict[str, np.ndarray]:
        held = read_arrays(self.path, "names", "vectors") if self.path else None
        if held is None:
            return {}
        names, rows = held["names"], held["vectors"]
        good = names.ndim == 1 and rows.ndim == 2 and len(names) == len(rows)
        if not good or not np.isfinite(rows).all():
            return {}
        return {str(name): row for name, row in zip(names, rows, strict=True)}

    def _write(self) -> None:
        if self.path is None or not self.vectors:
            return
        names, rows = list(self.vectors), np.stack(list(self.vectors.values()))
        try:
            write_arrays(self.path, names=np.array(names), vectors=rows)
        except PairlightError:
            self.path = None  # a full disk costs the next run time, not this one its report
