"""Lists the captions and the photos that are most likely mixed up, with what would fit better."""

from collections.abc import Sequence

import numpy as np

from pairlight.doctor.findings import Checkup
from pairlight.doctor.mismatch import SURE, Judge, better_photos, doubts, gather
from pairlight.doctor.whole import better_photo, photo_doubts
from pairlight.types import Json, Photo


def rank_captions(
    judge: Judge,
    owned: Sequence[tuple[Photo, str]],
    photos: Sequence[Photo],
    checkup: Checkup,
    top: int,
) -> None:
    """Rank the `top` most doubtful captions; those more likely wrong than right are findings.

    `owned` has each caption of the judge with its photo, `photos` the judge's images in order.
    """
    doubt = doubts(gather(judge))
    order = np.argsort(-doubt, kind="stable")
    order = order[: max(top, int((doubt >= SURE).sum()))]
    for n, own, best, score in zip(order, *better_photos(judge, order), strict=True):
        photo, text = owned[n]
        item = _item(photo, text, float(doubt[n]), own, photos[best], score)
        checkup.ranking.append(item)
        if doubt[n] >= SURE:
            checkup.add("mislabelled", item)


def rank_photos(judge: Judge, photos: Sequence[Photo], checkup: Checkup, top: int) -> None:
    """Rank the `top` photos whose captions all fit worst; likely mix-ups are findings."""
    doubt = photo_doubts(judge)
    known = np.flatnonzero(~np.isnan(doubt))
    order = known[np.argsort(-doubt[known], kind="stable")]
    for row in order[: max(top, int((doubt[known] >= SURE).sum()))]:
        own, best, score = better_photo(judge, int(row))
        photo = photos[row]
        item = _item(photo, photo.captions[0], float(doubt[row]), own, photos[best], score)
        checkup.photo_ranking.append(item)
        if doubt[row] >= SURE:
            checkup.add("mixed_up", item)


def _item(
    photo: Photo, caption: str, doubt: float, own: float, better: Photo, score: float
) -> Json:
    return {
        "image_id": photo.image_id,
        "caption": caption,
        "split": photo.split,
        "doubt": round(doubt, 3),
        "probability": round(float(1 / (1 + np.exp(SURE - doubt))), 4),
        "own_score": round(float(own), 3),
        "better_image_id": better.image_id,
        "better_score": round(float(score), 3),
    }
