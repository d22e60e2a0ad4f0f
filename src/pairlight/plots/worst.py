"""Finds the queries that went wrong: the rank of the right answer, and what was found instead."""

from dataclasses import dataclass

import numpy as np

from pairlight.types import Embeddings

CHUNK = 512


@dataclass(frozen=True)
class Failure:
    """One query whose right answer did not come first.

    `query` is a row of images (i2t) or of captions (t2i), `right` the right answer's row on the
    other side (of several captions the best), `score` its cosine and `rank` its rank; `found` are
    the wrong answers above it, best first, with their `scores`.
    """

    query: int
    rank: int
    right: int
    score: float
    found: tuple[int, ...]
    scores: tuple[float, ...]


def failed_images(
    embeddings: Embeddings, ranks: np.ndarray, most: int | None = None, show: int = 3
) -> list[Failure]:
    """Return the images that found a caption of another image first, the worst first.

    `ranks` (n,) is of `pairlight.metrics.ranks`, 0 for an image without captions. At most `most`
    are returned, each with up to `show` wrong captions.
    """
    own = np.arange(len(embeddings.images))
    sides = (embeddings.images, embeddings.texts, own, embeddings.owner)
    return _failures(*sides, ranks, _worst(ranks)[:most], show)


def failed_captions(
    embeddings: Embeddings,
    ranks: np.ndarray,
    most: int | None = None,
    show: int = 4,
    one_an_image: bool = False,
) -> list[Failure]:
    """Return the captions that found another image first, the worst first.

    `ranks` (m,) is of `pairlight.metrics.ranks`. At most `most` are returned, each with up to
    `show` wrong images; with `one_an_image` only the worst caption of an image is.
    """
    rows = _worst(ranks)
    if one_an_image:
        _, first = np.unique(embeddings.owner[rows], return_index=True)
        rows = rows[np.sort(first)]
    own = np.arange(len(embeddings.images))
    sides = (embeddings.texts, embeddings.images, embeddings.owner, own)
    return _failures(*sides, ranks, rows[:most], show)


def _worst(ranks: np.ndarray) -> np.ndarray:
    """Return the queries with a rank above 1, the highest rank first, else in order."""
    rows = np.flatnonzero(ranks > 1)
    return rows[np.argsort(-ranks[rows], kind="stable")]


def _failures(
    queries: np.ndarray,
    gallery: np.ndarray,
    query_of: np.ndarray,
    gallery_of: np.ndarray,
    ranks: np.ndarray,
    rows: np.ndarray,
    show: int,
) -> list[Failure]:
    """Score `rows` of `queries` (q, d) against `gallery` (g, d), a block at a time.

    `query_of` (q,) and `gallery_of` (g,) name the image that a query and an answer belong to.
    """
    done = []
    for start in range(0, len(rows), CHUNK):
        block = rows[start : start + CHUNK]
        scores = queries[block] @ gallery.T  # (block, g)
        own = query_of[block, None] == gallery_of[None, :]
        right = np.where(own, scores, -np.inf).argmax(axis=1)
        wrong = np.where(own, -np.inf, scores)
        for at, row in enumerate(block):
            # Only what outranks the right answer was found instead of it.
            count = min(show, int(ranks[row]) - 1)
            best = np.argpartition(-wrong[at], count - 1)[:count]
            best = best[np.argsort(-wrong[at][best], kind="stable")]
            found = tuple(int(each) for each in best)
            done.append(
                Failure(
                    int(row),
                    int(ranks[row]),
                    int(right[at]),
                    float(scores[at, right[at]]),
                    found,
                    tuple(float(scores[at, each]) for each in found),
                )
            )
    return done
