"""Finds the vectors nearest to a query, exactly, by one product with one contiguous matrix."""

from typing import NamedTuple, Protocol

import numpy as np

from pairlight.errors import ModelError


class Spread(NamedTuple):
    """How a query's scores lie over a whole collection of `count` vectors."""

    mean: float
    std: float
    count: int


class Matcher(Protocol):
    """What searching asks of an index of vectors; an approximate one can stand in for the exact."""

    def best(
        self, query: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, Spread]:
        """Return rows and scores of the `k` best, best first, and the spread of all scores.

        `query` (d,) has unit length; `allowed` (n,) bool rules rows out before ranking. Ties with
        the last one come too, so there may be more than `k` rows; equal scores are by row.
        """
        ...


class ExactMatcher:
    """Ranks by cosine over `vectors` (n, d) float32, rows of unit length.

    All scores are computed in float32, for speed; those that could be among the best are then
    computed again in float64, row by row. So equal vectors score equally wherever they stand, and
    the result is that of sorting all float64 scores.
    """

    def __init__(self, vectors: np.ndarray):
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        # Whatever the order of summation, float32 errs by less (Higham 2002, section 3.1).
        self._error = max(1, self.vectors.shape[1]) * 2.0**-23

    def best(
        self, query: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, Spread]:
        """Return rows, scores and spread as `Matcher.best` says."""
        query = np.ascontiguousarray(query, np.float32)
        scores = self.vectors @ query  # (n,)
        spread = spread_of(scores)
        rows = np.arange(len(scores)) if allowed is None else np.flatnonzero(allowed)
        if allowed is not None:
            scores = scores[rows]
        if k < len(rows):
            worst = np.partition(scores, len(scores) - k)[len(scores) - k]
            rows = rows[scores >= worst - 2 * self._error]
        return *ranked(self.vectors, rows, query, k), spread


def ranked(
    vectors: np.ndarray, rows: np.ndarray, query: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `k` best of `rows` and ties with the last, best first, and float64 scores."""
    exact = vectors[rows].astype(np.float64)
    exact *= query.astype(np.float64)
    exact = exact.sum(axis=1)
    np.clip(exact, -1, 1, out=exact)  # a unit vector in float32 is a hair longer or shorter
    order = np.lexsort((rows, -exact))
    if k < len(order):
        order = order[exact[order] >= exact[order[k - 1]]]
    return rows[order], exact[order]


def spread_of(scores: np.ndarray) -> Spread:
    """Return the spread of scores (n,); raises `ModelError` when one is no number."""
    if len(scores) == 0:
        return Spread(0.0, 0.0, 0)
    mean = float(scores.mean(dtype=np.float64))
    if not np.isfinite(mean):
        raise ModelError("a score is not a number; the model or the store is damaged")
    return Spread(mean, float(scores.std(dtype=np.float64)), len(scores))
