"""Runs a whole check-up: files, duplicates, captions, outliers, captions on the wrong photo."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairlight.data.manifest import check_there, read_records
from pairlight.doctor.captions import check_captions
from pairlight.doctor.features import Features, features, open_encoder
from pairlight.doctor.findings import KINDS, Checkup, splits_of
from pairlight.doctor.fix import check_target, write_fixed
from pairlight.doctor.inspect import Look, differences, look_at
from pairlight.doctor.mapping import unit
from pairlight.doctor.mismatch import FEWEST, PRIOR, Judge
from pairlight.doctor.outliers import check_outliers
from pairlight.doctor.ranking import rank_captions, rank_photos
from pairlight.doctor.sheet import draw_sheet, sections_of
from pairlight.doctor.twins import Twins, describe, find_twins, leaks, look_alikes
from pairlight.errors import ModelError
from pairlight.files import make_folder
from pairlight.threads import untracked
from pairlight.types import Photo

NO_MODEL = "none"
SHEET = "contact_sheet.png"


@dataclass(frozen=True)
class Options:
    """How to run a check-up: `model` as `pairlight.load` takes, `frozen` or `none`.

    `out` gets the contact sheet, `cache` the embeddings (default: below `out`), `fix` a mended
    manifest. `top` doubtful captions are ranked, `shown` cases of each finding drawn.
    """

    model: str = "pretrained"
    out: Path = Path("doctor")
    cache: Path | None = None
    fix: Path | None = None
    top: int = 200
    shown: int = 8
    seed: int = 0
    device: str = "auto"


def check_up(manifest: Path, options: Options, track: Callable = untracked) -> Checkup:
    """Return all that is odd about the photos of a manifest, and draw the contact sheet.

    Raises `DataError` for a manifest and `ModelError` for a model that cannot be read; whatever
    is wrong with a photo is a finding. The manifest is not changed.
    """
    if options.fix is not None:
        check_target(manifest, options.fix)
    records = read_records(manifest)
    check_there(manifest, [photo for photo, _ in records])
    photos = [photo for photo, _ in records]
    encoder = None if options.model == NO_MODEL else open_encoder(options.model, options.device)
    make_folder(options.out)
    captions = sum(len(photo.captions) for photo in photos)
    splits = splits_of([photo.split for photo in photos])
    checkup = Checkup(str(manifest), len(photos), captions, splits)
    start = time.perf_counter()
    looks = look_at(photos, track=track)
    twins = find_twins(looks)
    _files(photos, looks, checkup)
    _twins(twins, photos, checkup)
    check_captions(photos, checkup)
    check_outliers(photos, looks, checkup)
    checkup.seconds["files"] = time.perf_counter() - start
    if encoder is not None:
        checkup.model = encoder.name
        _model_findings(encoder, photos, looks, twins, checkup, options, track)
    if options.fix is not None:
        checkup.fixed = write_fixed(options.fix, records, looks)
        checkup.files.append(str(options.fix))
    _draw(photos, checkup, options)
    return checkup


def _files(photos: Sequence[Photo], looks: Sequence[Look], checkup: Checkup) -> None:
    for photo, look in zip(photos, looks, strict=True):
        item = {"image_id": photo.image_id, "file": str(photo.image)}
        if look.problem:
            checkup.add("vanished" if look.absent else "unreadable",
                        {**item, "problem": look.problem})  # fmt: skip
        elif found := differences(photo, look):
            checkup.add("changed", {**item, "problem": "; ".join(found)})


def _twins(twins: Sequence[Twins], photos: Sequence[Photo], checkup: Checkup) -> None:
    for group in sorted(twins, key=lambda each: -len(each.rows)):
        kind = "leak" if leaks(group, photos) else "duplicate"
        checkup.add(kind, describe(group, photos))


def _model_findings(
    encoder,
    photos: Sequence[Photo],
    looks: Sequence[Look],
    twins: Sequence[Twins],
    checkup: Checkup,
    options: Options,
    track: Callable,
) -> None:
    """Add what takes a model: photos that look alike, captions on the wrong photo."""
    start = time.perf_counter()
    good = [row for row, look in enumerate(looks) if not look.problem]
    files = [(row, photos[row].image, looks[row].sha256) for row in good]
    texts = [text for row in good for text in photos[row].captions]
    found = features(encoder, files, texts, options.cache or options.out / "cache", track)
    for side in (found.images, found.texts):
        if not np.isfinite(side).all():
            raise ModelError(f"model {options.model}: gives NaN or infinity; train or export anew")
    middle = time.perf_counter()
    checkup.seconds["embedding"] = middle - start
    if found.shared:  # frozen features have no scale on which photos are known to look alike
        for one, other, cosine in look_alikes(unit(found.images), found.rows, twins):
            pair = [photos[one], photos[other]]
            item = {
                "image_ids": [photo.image_id for photo in pair],
                "splits": [photo.split for photo in pair],
                "cosine": round(cosine, 4),
            }
            checkup.add("look_alike", item)
    _mislabelled(found, photos, good, checkup, options)
    checkup.seconds["ranking"] = time.perf_counter() - middle


def _mislabelled(
    found: Features, photos: Sequence[Photo], good: list[int], checkup: Checkup, options: Options
) -> None:
    """Rank captions, and photos, by doubt; what is more likely wrong than right is a finding."""
    if len(found.rows) < FEWEST:
        checkup.notes.append(
            f"{len(found.rows)} readable photos are too few to tell captions on the wrong photo "
            f"({FEWEST} are needed)"
        )
        return
    place = {row: n for n, row in enumerate(found.rows)}
    # A file that could be opened a minute ago and now cannot takes its captions with it.
    owned = [(n, row, text) for n, (row, text) in enumerate(
        (row, text) for row in good for text in photos[row].captions) if row in place]  # fmt: skip
    owner = np.array([place[row] for _, row, _ in owned])
    texts = unit(found.texts[[n for n, _, _ in owned]])
    rng = np.random.default_rng(options.seed)
    judge = Judge(unit(found.images), texts, owner, found.shared, rng)
    judged = [photos[row] for row in found.rows]
    captions = [(photos[row], text) for _, row, text in owned]
    rank_captions(judge, captions, judged, checkup, options.top)
    rank_photos(judge, judged, checkup, options.top)
    checkup.notes.append(
        f"mislabelled, mixed up: more likely wrong than right where {PRIOR:.0%} of all are wrong; "
        f"the JSON ranks the {len(checkup.ranking)} most doubtful captions and the "
        f"{len(checkup.photo_ranking)} most doubtful photos"
    )
    if checkup.photo_ranking and not checkup.found("mixed_up"):
        worst = ", ".join(item["image_id"] for item in checkup.photo_ranking[:3])
        checkup.notes.append(
            f"photos that their captions fit worst, likely right all the same: {worst}"
        )


def _draw(photos: Sequence[Photo], checkup: Checkup, options: Options) -> None:
    files = {photo.image_id: str(photo.image) for photo in photos}
    lists = {**checkup.findings}
    if not checkup.found("mislabelled") and checkup.ranking:
        lists["most_doubtful"] = checkup.ranking
    if not checkup.found("mixed_up") and checkup.photo_ranking:
        lists["most_doubtful_photos"] = checkup.photo_ranking
    meanings = {name: kind.meaning for name, kind in KINDS.items()}
    meanings["most_doubtful"] = "captions that fit worst, none of them likely to be wrong"
    meanings["most_doubtful_photos"] = "photos that their captions fit worst"
    shown = [(name, meanings[name], lists[name]) for name in meanings if name in lists]
    title = f"Check-up of {Path(checkup.manifest).name}: {checkup.photos} photos"
    path = options.out / SHEET
    draw_sheet(title, sections_of(shown, files, options.shown), path)
    checkup.files.append(str(path))
