"""Writes a manifest without what is certainly broken; the one it was made of stays as it is."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pairlight.data.manifest import to_record, write_records
from pairlight.data.text import is_empty
from pairlight.doctor.inspect import Look
from pairlight.errors import DataError
from pairlight.types import Json, Photo


def check_target(manifest: Path, target: Path) -> None:
    """Raise `DataError` where a mended manifest would take the place of a file."""
    if target.exists():
        same = target.samefile(manifest)
        why = "is the manifest itself, which is never changed" if same else "exists already"
        raise DataError(f"--fix {target}: {why}; give a new name")


def write_fixed(target: Path, records: Sequence[tuple[Photo, Json]], looks: Sequence[Look]) -> Json:
    """Write the mended manifest and return what was done, as counts.

    Files that do not open are left out, and captions without a letter. Of files with equal bytes
    in several splits all go to train: as a second copy in val or test each would spoil the other's
    ranks. Keys that are not ours are kept. Raises `DataError` when nothing would be left.
    """
    splits: dict[str, set[str]] = {}  # of the photos with these bytes
    for (photo, _), look in zip(records, looks, strict=True):
        if not look.problem and photo.split is not None:
            splits.setdefault(look.sha256, set()).add(photo.split)
    done = {"dropped_photos": 0, "dropped_captions": 0, "moved_to_train": 0}
    lines = []
    for row, (photo, raw) in enumerate(records):
        captions = tuple(text for text in photo.captions if not is_empty(text))
        if looks[row].problem or not captions:
            done["dropped_photos"] += 1
            continue
        done["dropped_captions"] += len(photo.captions) - len(captions)
        leaks = photo.split is not None and len(splits[looks[row].sha256]) > 1
        split = "train" if leaks else photo.split
        done["moved_to_train"] += split != photo.split
        mended = replace(photo, captions=captions, split=split)
        lines.append({**raw, **to_record(mended, Path(os.path.abspath(target)).parent)})
    if not lines:
        raise DataError(f"--fix {target}: no photo would be left, so nothing was written")
    write_records(target, lines)
    return done | {"photos": len(lines)}
