"""Compares the scores of right pairs with those of wrong ones."""

import math

import numpy as np

from pairlight.metrics.retrieval import dots, rounded
from pairlight.types import Json

BINS = 40
# Wrong pairs are all held and sorted up to this many (32 MB); of more, a sample is.
MOST_PAIRS = 8_000_000
BLOCK = 2_000_000


def similarity(
    images: np.ndarray,
    texts: np.ndarray,
    owner: np.ndarray,
    seed: int = 0,
    most: int = MOST_PAIRS,
) -> Json:
    """Return the histograms of right and wrong pairs' scores, and how well they come apart.

    `images` (n, d), `texts` (m, d) of unit length, `owner` (m,). A right pair is a caption with its
    image (all m are counted), a wrong one a caption with another image. Of more than `most` pairs
    the wrong ones are those among a seeded sample of images and of captions. `overlap` is the sum
    over bins of the smaller share: 0 apart, 1 alike. `auc` is the probability that a right pair
    scores higher than a wrong one, ties half (Mann & Whitney 1947); exact for the pairs at hand.
    Without wrong pairs these two and the negative mean and deviation are None.
    """
    positive = np.sort(_scores_of_pairs(images, texts, owner))
    negative, sampled = _negatives(images, texts, owner, seed, most)
    negative.sort()
    ends = [*positive[[0, -1]], *negative[:1], *negative[-1:]]
    low, high = float(min(ends)), float(max(ends))
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1).astype(np.float32)
    edges[[0, -1]] = low, high
    right, wrong = _counts(positive, edges), _counts(negative, edges)
    overlap = auc = None
    if len(negative):
        overlap = float(np.minimum(right / len(positive), wrong / len(negative)).sum())
        below = np.searchsorted(negative, positive, side="left")
        up_to = np.searchsorted(negative, positive, side="right")
        auc = float(np.mean((below + up_to) / (2 * len(negative))))
    return {
        "edges": edges.tolist(),
        "positive": {"counts": right.tolist(), **_moments(positive)},
        "negative": {"counts": wrong.tolist(), **_moments(negative), "sampled": sampled},
        "overlap": overlap,
        "auc": auc,
    }


def _scores_of_pairs(images: np.ndarray, texts: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return (m,) float32: the score of every caption with its own image."""
    parts = [
        dots(rounded(images[owner[j : j + 4096]]), rounded(texts[j : j + 4096]))
        for j in range(0, len(texts), 4096)
    ]
    return np.concatenate(parts).astype(np.float32)


def _negatives(
    images: np.ndarray, texts: np.ndarray, owner: np.ndarray, seed: int, most: int
) -> tuple[np.ndarray, bool]:
    """Return float32 scores of wrong pairs, and whether they are a sample."""
    rows, columns = np.arange(len(images)), np.arange(len(texts))
    sampled = len(rows) * len(columns) > most
    if sampled:
        rng = np.random.default_rng(seed)
        # As many of each side as can be, so that no few rows stand for all.
        n = min(len(rows), max(math.isqrt(most), most // len(columns), 1))
        m = max(min(len(columns), most // n), 1)
        rows = np.sort(rng.choice(rows, n, replace=False))
        columns = np.sort(rng.choice(columns, m, replace=False))
    captions = rounded(texts[columns]).astype(np.float64)
    step = max(1, BLOCK // len(columns))
    parts = [np.zeros(0, np.float32)]
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        # Exact, as in `retrieval`: the same pair has the same score wherever it is computed.
        scores = (rounded(images[block]).astype(np.float64) @ captions.T).astype(np.float32)
        parts.append(scores[owner[columns][None, :] != block[:, None]])
    return np.concatenate(parts), sampled


def _counts(ordered: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count sorted values between edges; a bin holds its left edge, the last one both."""
    starts = np.searchsorted(ordered, edges[:-1], side="left")
    return np.diff(np.append(starts, len(ordered)))


def _moments(values: np.ndarray) -> dict[str, float | None]:
    if not len(values):
        return {"mean": None, "std": None}
    mean = float(values.mean(dtype=np.float64))
    return {"mean": mean, "std": float(values.std(dtype=np.float64))}
