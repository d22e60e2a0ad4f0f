"""Finds the vectors nearest to a query, exactly, by one product with one contiguous matrix."""

import math
from typing import NamedTuple, Protocol, Self

import numpy as np

from pairlight.errors import ModelError


class Spread(NamedTuple):
    """How a query's scores lie over a whole collection of `count` vectors.

    `scores` (r,) float64, falling and all different, are those at `ranks` (r,) int, which grow by a
    quarter from one to the next: so many vectors score as high or higher.
    """

    median: float
    count: int
    scores: np.ndarray
    ranks: np.ndarray

    @classmethod
    def of(cls, median: float, count: int, scores: np.ndarray, ranks: np.ndarray) -> Self:
        """Return a spread; of equal `scores` (r,), in falling order, the last rank is kept."""
        last = np.append(scores[1:] != scores[:-1], True)[: len(scores)]
        return cls(median, count, scores[last].astype(np.float64), ranks[last])

    def log_rank(self, scores: np.ndarray) -> np.ndarray:
        """Return (m,) the logarithm of how many vectors have each score (m,) or a higher one.

        Between `ranks` it is interpolated; at least one vector is counted.
        """
        if not len(self.ranks):
            return np.zeros(len(scores))
        return np.interp(scores, self.scores[::-1], np.log(self.ranks[::-1]))


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
        falling = np.sort(scores)[::-1]
        spread = _spread(falling)
        rows = np.arange(len(scores)) if allowed is None else np.flatnonzero(allowed)
        if allowed is not None:
            scores = scores[rows]
            falling = np.sort(scores)[::-1]
        if k < len(rows):
            rows = rows[scores >= falling[k - 1] - 2 * self._error]
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
    return _spread(np.sort(scores)[::-1])


def _spread(falling: np.ndarray) -> Spread:
    if len(falling) == 0:
        return Spread(0.0, 0, np.zeros(0), np.zeros(0, int))
    # What is no number comes first.
    if not np.isfinite(falling[[0, -1]]).all():
        raise ModelError("a score is not a number; the model or the store is damaged")
    ranks = ranks_up_to(len(falling))
    return Spread.of(float(falling[len(falling) // 2]), len(falling), falling[ranks - 1], ranks)


def ranks_up_to(count: int) -> np.ndarray:
    """Return the ranks (r,) int of a spread of `count` scores: 1, 2, 3, ..., the last is `count`.

    A sort with vector instructions takes less than to choose them: 0.5 ms of 100,000 scores.
    """
    steps = np.arange(math.ceil(math.log(max(count, 2), 1.25)) + 1)
    return np.unique(np.minimum(np.floor(1.25**steps).astype(int), count))
