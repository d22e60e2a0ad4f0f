"""Gives recalls, and differences of recalls, their 95 % intervals by resampling images."""

import numpy as np

KS = (1, 5, 10)
NAMES = tuple(f"{side}_R@{k}" for side in ("i2t", "t2i") for k in KS) + ("rsum",)


def recall_intervals(
    i2t: np.ndarray, t2i: np.ndarray, owner: np.ndarray, resamples: int = 1000, seed: int = 0
) -> dict[str, list[float]]:
    """Return the percentile bootstrap interval [2.5 %, 97.5 %] of every recall and of rsum.

    `i2t` (n,) and `t2i` (m,) as `retrieval.ranks` gives them; `owner` (m,). Keys are `i2t_R@1` ...
    `t2i_R@10` and `rsum`; values are in percent. Images are drawn with replacement and bring all
    their captions, since captions of one image are not independent. The ranks, and so the
    gallery, stay as they are: the interval speaks of other queries, not of another gallery.
    Source: Efron & Tibshirani 1993, chapter 13.
    """
    return intervals(hits(i2t, t2i, owner), resamples, seed)


def hits(i2t: np.ndarray, t2i: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return (n, 8) float64, a row an image: what it and its captions find, and how many ask.

    Columns 0-2: is the image's own rank among the first k. 3-5: how many of its captions are.
    6: is the image a query. 7: how many captions it has. An image without captions is all zeros.
    """
    n = len(i2t)
    queries = i2t > 0
    columns = [queries & (i2t <= k) for k in KS]
    columns += [np.bincount(owner, weights=t2i <= k, minlength=n) for k in KS]
    columns += [queries, np.bincount(owner, minlength=n)]
    return np.stack(columns, axis=1).astype(np.float64)


def recalls(sums: np.ndarray) -> np.ndarray:
    """Return (..., 7) in percent, as `NAMES` has them, of sums (..., 8) of rows of `hits`."""
    six = 100 * sums[..., :6] / np.repeat(sums[..., 6:], 3, axis=-1)
    return np.concatenate([six, six.sum(axis=-1, keepdims=True)], axis=-1)


def intervals(table: np.ndarray, resamples: int, seed: int) -> dict[str, list[float]]:
    """Return the interval of every recall and of rsum of a table (n, 8) as `hits` makes it."""
    values = recalls(resample(table[table[:, 6] > 0], resamples, seed))
    low, high = np.percentile(values, [2.5, 97.5], axis=0)
    return {name: [float(low[c]), float(high[c])] for c, name in enumerate(NAMES)}


def resample(table: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return (resamples, columns): the sums of as many rows of `table` drawn with replacement."""
    rng = np.random.default_rng(seed)
    sums = np.empty((resamples, table.shape[1]))
    for b in range(resamples):
        drawn = rng.integers(len(table), size=len(table))
        sums[b] = np.bincount(drawn, minlength=len(table)) @ table
    return sums


def paired_differences(a: np.ndarray, b: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return (resamples, 7): recalls of `b` minus those of `a`, on the same images every time.

    `a`, `b` (n, 8) as `hits` makes them, of the same images. What makes an image hard for both
    models cancels, so that a difference shows which two separate intervals would hide.
    """
    asked = a[:, 6] > 0
    sums = resample(np.hstack([a[asked], b[asked]]), resamples, seed)
    return recalls(sums[:, 8:]) - recalls(sums[:, :8])


def flip_p_values(a: np.ndarray, b: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return (7,): how often exchanging the two models at random differs as much as they do.

    A two-sided paired randomisation test, image by image with all its captions; unlike the
    bootstrap it holds its level for a handful of images too. Computed in whole numbers, so that
    equal statistics are equal. Source: Smucker, Allan & Carterette, *A Comparison of Statistical
    Significance Tests for Information Retrieval Evaluation*, CIKM 2007.
    """
    found = b[:, :6] - a[:, :6]
    images, captions = a[:, 6].sum(), a[:, 7].sum()
    rsum = captions * found[:, :3].sum(axis=1) + images * found[:, 3:].sum(axis=1)
    table = np.column_stack([found, rsum])
    table = table[table.any(axis=1)]  # flipping nothing changes nothing
    seen = np.abs(table.sum(axis=0))
    rng = np.random.default_rng(seed)
    as_far = np.ones(7)  # the arrangement that was seen counts as one of them
    for start in range(0, resamples, 500):
        flips = rng.integers(2, size=(min(500, resamples - start), len(table)), dtype=np.int8)
        as_far += (np.abs((2.0 * flips - 1) @ table) >= seen).sum(axis=0)
    return as_far / (resamples + 1)
