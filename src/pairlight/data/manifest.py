"""Reads and writes manifests: one JSON object an image, one line each."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pairlight.errors import DataError, require_file
from pairlight.files import write_text_atomic
from pairlight.types import SPLITS, Json, Photo

_KINDS = {
    "image_id": (str, "text"),
    "image": (str, "text"),
    "captions": (list, "a list of texts"),
    "width": (int, "a whole number"),
    "height": (int, "a whole number"),
    "sha256": (str, "text"),
}


def read_manifest(path: Path | str, split: str | None = None) -> list[Photo]:
    """Return the photos of a manifest in file order, or those of one split.

    Image paths come back absolute. Keys that are not known are let be. Raises `DataError`, with
    the line number, for what is no manifest; for a split the manifest has not; and when not one
    of its images is there any more.
    """
    path = Path(path)
    photos = [photo for photo, _ in read_records(path)]
    check_there(path, photos)
    return photos if split is None else _of_split(photos, split, path)


def check_there(path: Path, photos: Sequence[Photo]) -> None:
    """Raise `DataError` when not one image of the manifest at `path` is there any more."""
    # os.path's `exists` and not Path's: that one raises on a name no file can have, as too long.
    if not any(os.path.exists(photo.image) for photo in photos):
        raise DataError(
            f"{path}: none of its {len(photos)} images is there (the first: {photos[0].image}); "
            "if the photos were moved, move them back or run `pairlight prepare` again"
        )


def read_split(path: Path | str, split: str | None) -> tuple[list[Photo], str]:
    """Return the photos to measure and the split they are.

    `all` takes every photo; without a name it is test, or val when the manifest has no test.
    """
    photos = read_manifest(path)
    if split is None:
        split = "test" if any(photo.split == "test" for photo in photos) else "val"
    return photos if split == "all" else _of_split(photos, split, Path(path)), split


def read_records(path: Path | str) -> list[tuple[Photo, Json]]:
    """Return each photo of a manifest beside the whole JSON object it was read from."""
    path = require_file(Path(path), "manifest")
    folder = path.parent.absolute()
    records = []
    first_seen: dict[str, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        raw = _parse(line, where)
        photo = _photo(raw, folder, where)
        if photo.image_id in first_seen:
            raise DataError(
                f"{where}: image_id {photo.image_id!r} is on line "
                f"{first_seen[photo.image_id]} as well; remove one of the two"
            )
        first_seen[photo.image_id] = number
        records.append((photo, raw))
    if not records:
        raise DataError(f"{path}: the manifest is empty; run `pairlight prepare` again")
    return records


def write_manifest(path: Path | str, photos: Iterable[Photo]) -> None:
    """Write `photos` as a manifest, whole or not at all.

    An image is stored relative to the manifest's folder where it lies below it, else absolute.
    """
    folder = Path(path).parent
    write_records(path, (to_record(photo, folder) for photo in photos))


def write_records(path: Path | str, records: Iterable[Json]) -> None:
    """Write JSON objects, one a line, whole or not at all."""
    write_text_atomic(path, (json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def to_record(photo: Photo, folder: Path) -> Json:
    """Return the manifest's JSON object of `photo`, for a manifest that lies in `folder`."""
    image = Path(os.path.abspath(photo.image))
    below = Path(os.path.abspath(folder))
    record: Json = {
        "image_id": photo.image_id,
        "image": (image.relative_to(below) if image.is_relative_to(below) else image).as_posix(),
        "captions": list(photo.captions),
        "width": photo.width,
        "height": photo.height,
        "sha256": photo.sha256,
    }
    if photo.split is not None:
        record["split"] = photo.split
    if photo.category is not None:
        record["category"] = photo.category
    return record


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 text at byte {error.start}; is this a manifest?"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from None


def _parse(line: str, where: str) -> Json:
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        # A ValueError that is no JSONDecodeError: a number of thousands of digits.
        why = "too deeply nested" if deep else getattr(error, "msg", "a number of too many digits")
        raise DataError(
            f"{where}: not a JSON object ({why}); `pairlight prepare` writes manifests"
        ) from None
    if not isinstance(raw, dict):
        raise DataError(f"{where}: not a JSON object; `pairlight prepare` writes manifests")
    return raw


def _photo(raw: Json, folder: Path, where: str) -> Photo:
    missing = [key for key in _KINDS if key not in raw]
    if missing:
        raise DataError(
            f"{where}: missing {', '.join(missing)}; a manifest line has {', '.join(_KINDS)}"
        )
    for key, (kind, words) in _KINDS.items():
        if not isinstance(raw[key], kind) or isinstance(raw[key], bool):
            raise DataError(f"{where}: {key} must be {words}, got {_short(raw[key])}")
    if not raw["captions"] or not all(isinstance(text, str) for text in raw["captions"]):
        raise DataError(f"{where}: captions must be a list of at least one text")
    if raw["width"] < 1 or raw["height"] < 1:
        raise DataError(f"{where}: width and height must be at least 1")
    split = raw.get("split")
    if split is not None and split not in SPLITS:
        raise DataError(f"{where}: split {_short(split)} is not one of {', '.join(SPLITS)}")
    return Photo(
        image_id=raw["image_id"],
        image=folder / raw["image"],
        captions=tuple(raw["captions"]),
        width=raw["width"],
        height=raw["height"],
        sha256=raw["sha256"],
        split=split,
        category=_category(raw.get("category")),
    )


def _category(value: Any) -> str | None:
    """Return a name or a number as a category; the key was free before, so the rest is let be."""
    named = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value).strip() or None if named else None


def _of_split(photos: list[Photo], split: str, path: Path) -> list[Photo]:
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}; choose from {', '.join(SPLITS)}, all")
    chosen = [photo for photo in photos if photo.split == split]
    if chosen:
        return chosen
    counts = Counter(photo.split for photo in photos if photo.split is not None)
    if not counts:
        raise DataError(f"{path}: has no splits yet; run `pairlight split --manifest {path}` first")
    there = ", ".join(f"{name} ({counts[name]})" for name in SPLITS if counts[name])
    raise DataError(f"{path}: has no images in split {split!r}; there are {there}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
