"""Finds images unlike the rest in size, shape, brightness or contrast, by robust z-scores."""

from collections.abc import Sequence

import numpy as np

from pairlight.doctor.findings import Checkup
from pairlight.doctor.inspect import Look
from pairlight.types import Photo

FAR = 3.5  # robust z-scores beyond this are outliers (Iglewicz and Hoaglin, 1993)
LONG = 3.0  # times as long as wide
FLAT = 4.0  # grey levels of standard deviation: nothing can be seen
FEWEST = 10  # images; fewer have no usual
# Where all images are alike the spread is next to nothing and a trifle would be far from it.
_LEAST_SPREAD = {"resolution": 0.5, "brightness": 16.0, "contrast": 8.0}


def robust_z(values: np.ndarray, least_spread: float = 1e-9) -> np.ndarray:
    """Return (n,) distances from the median in units of 1.4826 x the median absolute deviation."""
    away = values - np.median(values)
    return away / max(1.4826 * float(np.median(np.abs(away))), least_spread)


def check_outliers(photos: Sequence[Photo], looks: Sequence[Look], checkup: Checkup) -> None:
    """Add images that lie far from the others, farthest first; unreadable ones have no say."""
    pairs = [(p, look) for p, look in zip(photos, looks, strict=True) if not look.problem]
    if not pairs:
        return
    measured = {
        "resolution": np.log2([look.width * look.height for _, look in pairs]),
        "brightness": np.array([look.brightness for _, look in pairs]),
        "contrast": np.array([look.contrast for _, look in pairs]),
    }
    for kind, values in measured.items():
        scores = robust_z(values, _LEAST_SPREAD[kind])
        if len(pairs) < FEWEST:
            scores = np.zeros(len(pairs))
        blank = (values < FLAT) if kind == "contrast" else np.zeros(len(values), bool)
        # Many edges are no fault, only too few are.
        far = np.where(kind == "contrast", -scores, np.abs(scores)) > FAR
        for row in np.argsort(-np.abs(scores), kind="stable"):
            if far[row] or blank[row]:
                photo, look = pairs[row]
                checkup.add(kind, _item(photo, look, kind, float(scores[row])))
    for photo, look in pairs:
        if max(look.width / look.height, look.height / look.width) > LONG:
            checkup.add("aspect", _item(photo, look, "resolution", None))


def _item(photo: Photo, look: Look, kind: str, z: float | None) -> dict:
    size = {"width": look.width, "height": look.height}
    value = size if kind == "resolution" else {kind: round(getattr(look, kind), 1)}
    score = {} if z is None else {"z": round(z, 2)}
    return {"image_id": photo.image_id, "file": str(photo.image), **value, **score}
