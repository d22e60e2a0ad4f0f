"""Keeps the embeddings of a split on disk, so that drawing it again needs no model run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pairlight import __version__
from pairlight.embed import Encoder, embed_photos, owners
from pairlight.files import read_arrays, write_arrays
from pairlight.threads import untracked
from pairlight.types import Embeddings, Photo

ARRAYS = ("images", "texts", "kept")


def cached_embeddings(
    model: Encoder, photos: Sequence[Photo], folder: Path | None, track=None
) -> tuple[Embeddings, bool]:
    """Return the embeddings of `photos` and whether they came from `folder`.

    A file in `folder` is used when it is of this very model, of these photos (by the hash of their
    bytes in the manifest) and captions, and whole; any other is made anew. Photos that could not be
    read when it was written are tried again. Without a folder nothing is kept.
    """
    track = track or untracked
    if folder is None:
        return embed_photos(model, photos, track), False
    path = folder / f"embeddings_{cache_key(model, photos)[:32]}.npz"
    found = _load(path, model, photos)
    if found is not None:
        missing = set(found.skipped)
        again = [photo for photo in photos if photo.image_id in missing]
        if not again or not len(embed_photos(model, again).images):
            return found, True
    made = embed_photos(model, photos, track)
    if len(made.images) and np.isfinite(made.images).all() and np.isfinite(made.texts).all():
        _save(path, made, photos)
    return made, False


def cache_key(model: Encoder, photos: Sequence[Photo]) -> str:
    """Return a sha256 over the model's and everything that embeddings of `photos` depend on."""
    digest = hashlib.sha256(f"{__version__} {model.sha256} {model.embed_dim}\n".encode())
    for photo in photos:
        line = [photo.image_id, photo.sha256, list(photo.captions)]
        digest.update(json.dumps(line).encode() + b"\n")
    return digest.hexdigest()


def _save(path: Path, made: Embeddings, photos: Sequence[Photo]) -> None:
    row_of = {photo.image_id: row for row, photo in enumerate(photos)}
    kept = np.array([row_of[each] for each in made.image_ids], np.int64)
    arrays = {"images": made.images, "texts": made.texts, "kept": kept}
    arrays["check"] = np.frombuffer(_checksum(arrays), np.uint8)

    write_arrays(path, **arrays)


def _checksum(arrays: dict[str, np.ndarray]) -> bytes:
    digest = hashlib.sha256()
    for name in ARRAYS:
        digest.update(f"{name} {arrays[name].shape} {arrays[name].dtype}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.digest()


def _load(path: Path, model: Encoder, photos: Sequence[Photo]) -> Embeddings | None:
    """Return what the file holds, or None when there is none, or it is damaged or does not fit."""
    arrays = read_arrays(path, *ARRAYS, "check")
    if arrays is None or arrays["check"].tobytes() != _checksum(arrays):
        return None
    kept = arrays["kept"]
    if kept.ndim != 1 or (len(kept) and not (0 <= kept.min() and kept.max() < len(photos))):
        return None
    chosen = [photos[row] for row in kept]
    captions = tuple(text for photo in chosen for text in photo.captions)
    images, texts = arrays["images"], arrays["texts"]
    wanted = ((len(chosen), model.embed_dim), (len(captions), model.embed_dim))
    if (images.shape, texts.shape) != wanted or {images.dtype, texts.dtype} != {np.dtype("f4")}:
        return None
    there = set(kept.tolist())
    return Embeddings(
        images,
        texts,
        owners(chosen),
        tuple(photo.image_id for photo in chosen),
        captions,
        tuple(photo.image for photo in chosen),
        skipped=tuple(p.image_id for row, p in enumerate(photos) if row not in there),
        categories=tuple(photo.category for photo in chosen),
    )
