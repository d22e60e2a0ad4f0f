"""Makes a manifest of an images folder and a captions file, with a doctor's report."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pairlight.data.doctor import Report
from pairlight.data.locate import ABSENT, AMBIGUOUS, OUTSIDE, ImageFolder
from pairlight.data.manifest import read_records, write_manifest
from pairlight.data.reading import Reading
from pairlight.data.sources import read_captions
from pairlight.data.text import clean_caption, is_empty, word_count
from pairlight.errors import DataError
from pairlight.files import sha256_of, write_text_atomic
from pairlight.imaging import SUFFIXES, check_image
from pairlight.threads import in_threads, untracked
from pairlight.types import SPLITS, Pair, Photo


@dataclass
class _Entry:
    """One image file and the captions that belong to it."""

    file: str
    image_id: str
    split: str | None
    captions: list[str] = field(default_factory=list)


def prepare(
    images: Path | str,
    captions: Path | str,
    out: Path | str,
    *,
    format: str = "auto",
    keep_text: bool = False,
    workers: int | None = None,
    track: Callable = untracked,
) -> Report:
    """Write the manifest `out` and the report beside it; return the report.

    Images are opened to their end in threads; those that do not open, captions that say nothing
    and captions of absent images are left out and reported. `keep_text` leaves captions as they
    are written. `track` wraps the images in a progress bar, as `console.Output.track` does.
    Raises `DataError` when nothing usable is left, and then writes nothing.
    """
    start = time.perf_counter()
    out = Path(out)
    if out.is_dir():
        raise DataError(f"{out}: is a folder; name a manifest file, as in {out / 'manifest.jsonl'}")
    if _same_file(out, captions):
        raise DataError(f"{out}: is the captions file itself; give --out another name")
    if _same_file(report_path(out), captions):
        raise DataError(f"{captions}: the report of {out} would lie here; give another --out")
    if out.suffix.lower() in SUFFIXES:
        raise DataError(f"{out}: is the name of an image; a manifest is text: name it NAME.jsonl")
    folder = ImageFolder(images)
    reading = read_captions(captions, format)
    report = Report(
        captions_file=str(captions),
        format=reading.format,
        images_folder=str(images),
        manifest=str(out),
        images_found=len(folder.files),
    )
    for problem in reading.problems:
        report.add("bad_entries", problem)
    entries = _entries(reading, folder, keep_text, report)
    photos = _photos(entries, folder, report, workers, track)
    if not photos:
        raise DataError(_nothing_left(report))
    _count(photos, report)
    for image_id in _splits_lost(out, photos):
        report.add("lost_splits", image_id)
    report.seconds = time.perf_counter() - start
    write_manifest(out, photos)
    text = json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
    write_text_atomic(report_path(out), [text])
    return report


def report_path(manifest: Path | str) -> Path:
    """Return where the report of a manifest lies: beside it, ending in .report.json."""
    return Path(manifest).with_suffix(".report.json")


def _same_file(one: Path, other: Path | str) -> bool:
    return one.exists() and Path(other).exists() and one.samefile(other)


def _entries(
    reading: Reading, folder: ImageFolder, keep_text: bool, report: Report
) -> list[_Entry]:
    """Return the images that have captions, each once, sorted by id; report all others."""
    names = Counter(pair.image.as_posix() for pair in reading.pairs)
    found, lost = folder.resolve(list(names))
    kinds = {ABSENT: "absent_images", AMBIGUOUS: "ambiguous_images", OUTSIDE: "outside_images"}
    for name, why in lost.items():
        report.add(kinds[why], {"image": name, "captions": names[name]})
    for file in sorted(set(folder.files) - set(found.values())):
        report.add("images_without_captions", file)
    entries: dict[str, _Entry] = {}
    taken: set[str] = set()
    report.captions_read = len(reading.pairs)
    for pair in reading.pairs:
        name = pair.image.as_posix()
        if name not in found:
            continue
        file = found[name]
        if file not in entries:
            image_id = pair.image_id
            if image_id in taken:
                report.add("renamed_ids", {"image": file, "was": image_id})
                image_id = next(name for name in _other_ids(file) if name not in taken)
            taken.add(image_id)
            entries[file] = _Entry(file, image_id, reading.splits.get(name))
        caption = _caption(pair, keep_text, report)
        if caption is not None:
            entries[file].captions.append(caption)
    return sorted(
        (entry for entry in entries.values() if entry.captions), key=lambda entry: entry.image_id
    )


def _other_ids(file: str) -> Iterator[str]:
    """Yield ids for a file whose own is taken: its path, then its path with a number."""
    yield file
    yield from (f"{file}#{number}" for number in count(2))


def _caption(pair: Pair, keep_text: bool, report: Report) -> str | None:
    """Return the caption to use, or None for one that says nothing."""
    text, kinds = (pair.caption, ()) if keep_text else clean_caption(pair.caption)
    if is_empty(text):
        report.add("empty_captions", {"text": pair.caption, "source": pair.source})
        return None
    if word_count(text) <= 1:
        report.add("one_word_captions", {"text": text, "source": pair.source})
    report.captions_changed += bool(kinds)
    for kind in kinds:
        report.add_change(kind, pair.caption, text, pair.source)
    return text


def _photos(
    entries: list[_Entry],
    folder: ImageFolder,
    report: Report,
    workers: int | None,
    track: Callable,
) -> list[Photo]:
    paths = [folder.root.absolute() / entry.file for entry in entries]
    checked = track(in_threads(_check, paths, workers), "checking images", len(paths))
    photos = []
    for entry, path, result in zip(entries, paths, checked, strict=True):
        if isinstance(result, DataError):
            report.add("unreadable_images", str(result))
            continue
        width, height, sha256 = result
        captions = tuple(entry.captions)
        photos.append(Photo(entry.image_id, path, captions, width, height, sha256, entry.split))
    return photos


def _check(path: Path) -> tuple[int, int, str] | DataError:
    """Return width, height and SHA-256 of a file that opens, or the error of one that does not."""
    try:
        width, height = check_image(path)
        return width, height, sha256_of(path)
    except DataError as error:
        return error
    except OSError as error:
        return DataError(f"{path}: cannot read: {error.strerror}")


def _count(photos: list[Photo], report: Report) -> None:
    """Fill in what the report says of the photos that are used."""
    report.images_used = len(photos)
    report.captions_used = sum(len(photo.captions) for photo in photos)
    same_bytes = defaultdict(list)
    longest = max(
        ((photo, caption) for photo in photos for caption in photo.captions),
        key=lambda found: (word_count(found[1]), len(found[1])),
    )
    report.longest = {
        "words": word_count(longest[1]),
        "characters": len(longest[1]),
        "image_id": longest[0].image_id,
        "text": longest[1],
    }
    for photo in photos:
        same_bytes[photo.sha256].append(photo.image_id)
        for caption, times in Counter(photo.captions).items():
            if times > 1:
                example = {"image_id": photo.image_id, "text": caption, "times": times}
                report.add("repeated_captions", example, times - 1)
    for ids in same_bytes.values():
        if len(ids) > 1:
            report.add("identical_images", ids)
    splits = Counter(photo.split for photo in photos)
    report.splits = {name: splits[name] for name in SPLITS if splits[name]}


def _splits_lost(out: Path, photos: list[Photo]) -> list[str]:
    """Return the ids of photos that have a split in the manifest about to be replaced."""
    try:
        before = {photo.image_id for photo, _ in read_records(out) if photo.split is not None}
    except DataError:
        return []
    return [photo.image_id for photo in photos if photo.split is None and photo.image_id in before]


def _nothing_left(report: Report) -> str:
    why = ", ".join(
        f"{found.count} {kind.replace('_', ' ')} (e.g. {found.examples[0]})"
        for kind, found in report.findings.items()
        if kind != "images_without_captions"
    )
    return (
        f"{report.captions_file}: no caption fits an image in {report.images_folder}: "
        f"{why or 'no captions'}; check that --images is the folder of these captions"
    )
