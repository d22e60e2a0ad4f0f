"""Finds hubs: photos and captions that are among the first for far too many queries."""

import numpy as np

from pairlight.metrics.retrieval import rounded
from pairlight.types import Embeddings, Json

K = 10
TOP = 5
BLOCK = 2_000_000


def hubness(embeddings: Embeddings, k: int = K) -> Json:
    """Return how unevenly the first `k` places are shared out, among images and among captions.

    Of each image it is counted how many captions have it among their first `k` images, of each
    caption how many images (with or without captions) have it among their first `k` captions. Per
    side: `skew` of these counts (0 even, above 1 a few hubs take much; None when all are alike),
    `max`, `never` (the share among nobody's first k) and the `top` 5.
    Source: Radovanovic, Nanopoulos & Ivanovic, *Hubs in Space*, JMLR 2010, section 2.
    """
    images, texts, owner = embeddings.images, embeddings.texts, embeddings.owner
    known = len(embeddings.image_ids) == len(images)
    ids = embeddings.image_ids if known else tuple(map(str, range(len(images))))
    of_images = first_places(texts, images, k)
    of_captions = first_places(images, texts, k)
    numbers = caption_numbers(owner)
    told = len(embeddings.captions) == len(texts)
    captions = embeddings.captions if told else (None,) * len(texts)
    return {
        "k": k,
        "images": {
            **_unevenness(of_images),
            "top": [
                {"id": ids[row], "count": _plain(float(of_images[row]))} for row in _top(of_images)
            ],
        },
        "captions": {
            **_unevenness(of_captions),
            "top": [
                {
                    "id": f"{ids[owner[row]]}#{numbers[row]}",
                    "count": _plain(float(of_captions[row])),
                    "caption": captions[row],
                }
                for row in _top(of_captions)
            ],
        },
    }


def first_places(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    """Return (g,) float64: how many of `queries` (q, d) have each of `gallery` (g, d) in the top k.

    Equal scores around the last place share it evenly, so that a count can be a fraction; scores
    are exact, as in `retrieval`. Holds a few blocks of two million scores at most.
    """
    counts = np.zeros(len(gallery))
    if k >= len(gallery):
        return counts + len(queries)
    columns = rounded(gallery).astype(np.float64).T
    step = max(1, BLOCK // len(gallery))
    for start in range(0, len(queries), step):
        rows = rounded(queries[start : start + step]).astype(np.float64)
        scores = (rows @ columns).astype(np.float32)  # (queries, gallery) of this block
        last = np.partition(scores, len(gallery) - k, axis=1)[:, len(gallery) - k]
        row, column = np.nonzero(scores >= last[:, None])
        tied = scores[row, column] == last[row]
        ties = np.bincount(row, weights=tied, minlength=len(rows))
        above = np.bincount(row, weights=~tied, minlength=len(rows))
        places = np.where(tied, ((k - above) / ties)[row], 1.0)
        counts += np.bincount(column, weights=places, minlength=len(gallery))
    return counts


def caption_numbers(owner: np.ndarray) -> np.ndarray:
    """Return (m,): the number of each caption among the captions of its image, from 0."""
    order = np.argsort(owner, kind="stable")
    _, starts, counts = np.unique(owner[order], return_index=True, return_counts=True)
    numbers = np.empty(len(owner), np.int64)
    numbers[order] = np.arange(len(owner)) - np.repeat(starts, counts)
    return numbers


def _unevenness(counts: np.ndarray) -> Json:
    apart = counts - counts.mean()
    spread = float(np.sqrt(np.mean(apart**2)))
    # Shared places are sums of fractions: what is left of equal counts is rounding.
    even = spread < 1e-9 * max(1.0, float(counts.max()))
    return {
        "skew": None if even else float(np.mean(apart**3) / spread**3),
        "max": _plain(float(counts.max())),
        "never": float(np.mean(counts == 0)),
    }


def _top(counts: np.ndarray) -> np.ndarray:
    return np.argsort(-counts, kind="stable")[:TOP]


def _plain(count: float) -> int | float:
    """Return a whole count as an int; ties leave fractions."""
    value = round(count, 6)
    return int(value) if value == int(value) else value
