"""Gives recalls their 95 % intervals by resampling images with their captions."""

import numpy as np

KS = (1, 5, 10)


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
    queries = i2t > 0  # an image without captions asks nothing in either direction
    n = len(i2t)
    columns = [queries & (i2t <= k) for k in KS]
    columns += [np.bincount(owner, weights=t2i <= k, minlength=n) for k in KS]
    columns += [np.ones(n), np.bincount(owner, minlength=n)]
    table = np.stack(columns, axis=1).astype(np.float64)[queries]  # a row an image
    rng = np.random.default_rng(seed)
    sums = np.empty((resamples, table.shape[1]))
    for b in range(resamples):
        drawn = rng.integers(len(table), size=len(table))
        sums[b] = np.bincount(drawn, minlength=len(table)) @ table
    recalls = 100 * sums[:, :6] / np.repeat(sums[:, 6:], 3, axis=1)  # (resamples, 6)
    names = [f"{side}_R@{k}" for side in ("i2t", "t2i") for k in KS] + ["rsum"]
    values = np.column_stack([recalls, recalls.sum(axis=1)])
    low, high = np.percentile(values, [2.5, 97.5], axis=0)
    return {name: [float(low[c]), float(high[c])] for c, name in enumerate(names)}
