"""Splits a manifest by image into train, val and test, with near-duplicates on one side."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pairlight.data.duplicates import group_duplicates
from pairlight.data.listed import find_listed
from pairlight.data.manifest import read_records, to_record, write_records
from pairlight.errors import DataError
from pairlight.threads import untracked
from pairlight.types import SPLITS, Json, Photo

# Flickr8k's own file names, and the plain ones that Flickr30k's lists go by.
LIST_NAMES = {
    "train": ("Flickr_8k.trainImages.txt", "train.txt"),
    "val": ("Flickr_8k.devImages.txt", "val.txt"),
    "test": ("Flickr_8k.testImages.txt", "test.txt"),
}
_EXAMPLES = 5


@dataclass
class SplitReport:
    """What one `split` run did; `to_json` is what `--json` writes."""

    manifest: str
    mode: str
    seed: int | None = None
    ratios: tuple[float, ...] | None = None
    images: dict[str, int] = field(default_factory=dict)
    captions: dict[str, int] = field(default_factory=dict)
    unassigned: list[str] = field(default_factory=list)
    replaced: int = 0
    near_duplicates: bool = True
    groups: list[list[str]] = field(default_factory=list)
    crossing: list[list[str]] = field(default_factory=list)
    unopened: list[str] = field(default_factory=list)
    missing_lists: list[str] = field(default_factory=list)
    unknown_names: list[str] = field(default_factory=list)

    def to_json(self) -> Json:
        """Return the report as plain values, long lists as a count and a few examples."""
        return {
            "manifest": self.manifest,
            "mode": self.mode,
            "seed": self.seed,
            "ratios": self.ratios,
            "splits": {
                name: {"images": self.images[name], "captions": self.captions[name]}
                for name in SPLITS
            },
            "unassigned": _counted(self.unassigned),
            "replaced": self.replaced,
            "duplicates": {
                "near": self.near_duplicates,
                "groups": _counted(self.groups),
                "crossing": _counted(self.crossing),
                "unopened": _counted(self.unopened),
            },
            "missing_lists": self.missing_lists,
            "listed_but_absent": _counted(self.unknown_names),
        }

    def summary(self) -> str:
        """Return the report for a person."""
        lines = [
            f"{name:<6}{self.images[name]:>8} images {self.captions[name]:>8} captions"
            for name in SPLITS
        ]
        kinds = "near-duplicates" if self.near_duplicates else "identical files"
        lines.append(f"{kinds}: {len(self.groups)} groups, {len(self.crossing)} across splits")
        for group in self.crossing[:_EXAMPLES]:
            lines.append(f"  across splits, official lists are not altered: {', '.join(group)}")
        notes = {
            "images in none of the lists, they get no split": self.unassigned,
            "official lists not found": self.missing_lists,
            "listed images that the manifest lacks": self.unknown_names,
            "images that could not be opened for comparison": self.unopened,
        }
        for words, items in notes.items():
            if items:
                lines.append(f"{len(items)} {words}, e.g. {items[0]}")
        if self.replaced:
            lines.append(f"{self.replaced} images had another split before")
        return "\n".join(lines)


def split_manifest(
    manifest: Path | str,
    *,
    ratios: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    official: Path | str | None = None,
    near_duplicates: bool = True,
    out: Path | str | None = None,
    workers: int | None = None,
    track: Callable = untracked,
) -> SplitReport:
    """Give every image of a manifest its split, in place or as a new manifest `out`.

    By `ratios` of train, val, test (summing to 1), groups of duplicates moving as one; or by the
    `official` folder's lists, which are never altered: duplicates across them are reported.
    Raises `DataError` for a manifest, ratios or lists that cannot be used.
    """
    manifest = Path(manifest)
    check_ratios(ratios)
    records = read_records(manifest)
    photos = [photo for photo, _ in records]
    report = SplitReport(
        manifest=str(out or manifest), mode="ratios", near_duplicates=near_duplicates
    )
    if official is not None:
        report.mode = "official"
        splits = official_splits(photos, Path(official), report)
    groups, report.unopened = group_duplicates(photos, near_duplicates, workers, track)
    if official is None:
        report.seed, report.ratios = seed, tuple(ratios)
        ids = [photo.image_id for photo in photos]
        splits = ratio_splits(ids, groups, ratios, np.random.default_rng(seed))
    _fill(report, photos, splits, groups)
    folder = Path(out or manifest).parent
    write_records(
        out or manifest,
        (
            _record(photo, raw, split, folder)
            for (photo, raw), split in zip(records, splits, strict=True)
        ),
    )
    return report


def parse_ratios(text: str) -> tuple[float, ...]:
    """Return the ratios written as `0.8,0.1,0.1`; raises `DataError` for other text."""
    try:
        ratios = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"--ratios {text!r}: write three numbers, as in 0.8,0.1,0.1") from None
    check_ratios(ratios)
    return ratios


def check_ratios(ratios: Sequence[float]) -> None:
    """Raise `DataError` unless there are three ratios, none negative, that sum to 1."""
    words = ",".join(f"{ratio:g}" for ratio in ratios)
    if len(ratios) != 3:
        raise DataError(f"ratios {words}: three are needed, train, val and test")
    # A NaN fails every comparison, hence the positive form.
    if not all(0 <= ratio <= 1 for ratio in ratios):
        raise DataError(f"ratios {words}: each must be from 0 to 1")
    if abs(sum(ratios) - 1) > 1e-6:
        raise DataError(f"ratios {words}: they sum to {sum(ratios):g}, not 1")


def ratio_splits(
    ids: Sequence[str],
    groups: Sequence[Sequence[int]],
    ratios: Sequence[float],
    rng: np.random.Generator,
) -> list[str]:
    """Return the split of each image, by shares of train, val and test.

    `groups` are positions in `ids` that must stay together. The order of `ids` is of no
    influence. A split of a positive ratio gets at least one image where there are enough.
    """
    grouped = {place for group in groups for place in group}
    units = [list(group) for group in groups]
    units += [[place] for place in range(len(ids)) if place not in grouped]
    units.sort(key=lambda unit: min(ids[place] for place in unit))
    units = [units[place] for place in rng.permutation(len(units))]
    rest = int(np.argmax(ratios))  # The largest split takes what the others leave.
    room = [
        max(1, round(ratio * len(ids))) if ratio > 0 and len(ids) >= 3 else 0 for ratio in ratios
    ]
    splits = [SPLITS[rest]] * len(ids)
    for unit in units:
        for side in (2, 1, 0):
            if side != rest and len(unit) <= room[side]:
                room[side] -= len(unit)
                for place in unit:
                    splits[place] = SPLITS[side]
                break
    return splits


def official_splits(photos: Sequence[Photo], folder: Path, report: SplitReport) -> list[str | None]:
    """Return the split that the lists in `folder` give each photo, None for those in no list.

    Fills in the report's missing lists and unknown names. Raises `DataError` when there is no
    list at all, or an image is in two.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: folder of official lists not found; check --official")
    listed: dict[str, str] = {}
    for split, names in LIST_NAMES.items():
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            report.missing_lists.append(names[0])
            continue
        for name in _read_list(path):
            if listed.setdefault(name, split) != split:
                raise DataError(
                    f"{path}: {name} is in the {listed[name]} list as well; "
                    "an image belongs to one split"
                )
    if len(report.missing_lists) == len(SPLITS):
        wanted = ", ".join(names[0] for names in LIST_NAMES.values())
        raise DataError(f"{folder}: no official lists here; looked for {wanted}")
    known = find_listed(listed, photos)
    splits: list[str | None] = [None] * len(photos)
    for name, split in listed.items():
        if name not in known:
            report.unknown_names.append(name)
        elif splits[known[name]] not in (None, split):
            raise DataError(f"{folder}: {name} is listed under two names, in two splits")
        else:
            splits[known[name]] = split
    if not any(splits):
        raise DataError(
            f"{folder}: none of the {len(listed)} listed images is in the manifest "
            f"(e.g. {next(iter(listed), 'the lists are empty')})"
        )
    return splits


def _read_list(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read as UTF-8 text: {error}") from None
    return [line.strip() for line in text.split("\n") if line.strip()]


def _fill(
    report: SplitReport,
    photos: Sequence[Photo],
    splits: Sequence[str | None],
    groups: Sequence[Sequence[int]],
) -> None:
    """Count into the report what the splits come to."""
    images: Counter[str | None] = Counter(splits)
    captions: Counter[str | None] = Counter()
    for photo, split in zip(photos, splits, strict=True):
        captions[split] += len(photo.captions)
        if split is None:
            report.unassigned.append(photo.image_id)
        report.replaced += photo.split is not None and photo.split != split
    report.images = {name: images[name] for name in SPLITS}
    report.captions = {name: captions[name] for name in SPLITS}
    for group in groups:
        ids = [photos[place].image_id for place in group]
        report.groups.append(ids)
        if len({splits[place] for place in group} - {None}) > 1:
            report.crossing.append(ids)


def _record(photo: Photo, raw: Json, split: str | None, folder: Path) -> Json:
    """Return the manifest line with its split, keys that are not ours kept."""
    record = {**raw, **to_record(replace(photo, split=split), folder)}
    if split is None:
        record.pop("split", None)
    return record


def _counted(items: list) -> Json:
    return {"count": len(items), "examples": items[:_EXAMPLES]}
