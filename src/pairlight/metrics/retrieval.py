"""Ranks captions for images and images for captions: exact, and in bounded memory."""

import numpy as np

from pairlight.errors import DataError

# Coordinates are rounded to multiples of 2**-26. Products are then multiples of 2**-52, and as
# unit rows keep every partial sum below 2, float64 holds each of them exactly. So a score is the
# same number whatever the block, the BLAS kernel or the thread count, and equal rows really tie.
# The rounding moves a cosine by about 6e-9, less than float32 arithmetic itself does.
GRID = 2.0**26
# How far from 1 the length of a row may be; half-precision normalisation is off by 4e-3.
LENGTH_TOLERANCE = 1e-2


def ranks(
    images: np.ndarray, texts: np.ndarray, owner: np.ndarray, chunk: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """Return each image's rank of its best caption, and each caption's rank of its image.

    `images` (n, d) and `texts` (m, d), rows of unit length, scored as float32; `owner` (m,) gives
    each caption's row in `images`. Returns int64 `i2t` (n,) and `t2i` (m,), 1 being best.

    - `i2t[i]` is 1 + the captions of other images that score at least as high as the best own one.
    - `t2i[j]` is 1 + the other images that score at least as high as the caption's own.

    Ties count against us. An image without captions is no query, its rank is 0, but it stays in
    the gallery that captions are searched in. The full matrix is never held: besides the results
    there are a few arrays of (chunk, chunk) and (chunk, d). Raises `DataError` when a row is not
    finite or not of unit length, and when shapes or owners do not fit.
    """
    owner = check(images, texts, owner)
    if not 0 < chunk < 2**16:
        raise DataError(f"chunk must be between 1 and 65535, got {chunk}")
    n, m = len(images), len(texts)
    own = np.concatenate(
        [
            dots(rounded(images[owner[j : j + chunk]]), rounded(texts[j : j + chunk]))
            for j in range(0, m, chunk)
        ]
    )
    best = np.full(n, -np.inf)
    np.maximum.at(best, owner, own)
    best[np.isneginf(best)] = np.inf  # no caption: nothing reaches it, the count stays 0
    # Own captions that reach the best own score (at least itself) are never counted as wrong.
    own_at_best = np.bincount(owner, weights=own == best[owner], minlength=n).astype(np.int64)
    i2t = (own_at_best > 0) - own_at_best
    t2i = np.zeros(m, np.int64)
    for i in range(0, n, chunk):
        rows = rounded(images[i : i + chunk])
        for j in range(0, m, chunk):
            columns = rounded(texts[j : j + chunk])
            scores = rows @ columns.T  # (images, captions) of this block
            i2t[i : i + chunk] += _count(scores, best[i : i + chunk, None], rows, columns, axis=1)
            t2i[j : j + chunk] += _count(scores, own[None, j : j + chunk], rows, columns, axis=0)
    return i2t, t2i


def _count(
    scores: np.ndarray, bars: np.ndarray, rows: np.ndarray, columns: np.ndarray, axis: int
) -> np.ndarray:
    """Count along `axis` the exact scores that are at least `bars`.

    float32 `scores` decide all but the few that lie within their error of the bar; those are
    computed again exactly.
    """
    # |float32 dot - exact dot| <= d * 2**-24 for unit rows in any order of summation (Higham,
    # Accuracy and Stability of Numerical Algorithms, section 3.1); the rest covers the bar.
    margin = 1.1 * (rows.shape[1] + 4) * 2.0**-24
    above = scores > (bars + margin).astype(np.float32)
    near = scores >= (bars - margin).astype(np.float32)
    counts = _sum(above, axis)
    if (counts == _sum(near, axis)).all():
        return counts
    near ^= above
    unsure = np.flatnonzero(near)
    # A collapsed model ties everywhere: then the whole block at once is the cheaper way.
    if unsure.size > 1024 + scores.size // 128:
        exact = rows.astype(np.float64) @ columns.T.astype(np.float64)
        return _sum(exact >= bars, axis)
    r, c = np.divmod(unsure, scores.shape[1])
    at, bar = (r, bars[r, 0]) if axis == 1 else (c, bars[0, c])
    reached = dots(rows[r], columns[c]) >= bar
    return counts + np.bincount(at[reached], minlength=counts.size)


def _sum(mask: np.ndarray, axis: int) -> np.ndarray:
    """Count the true entries along an axis shorter than 2**16."""
    # Summing bytes into 16 bits is five times as fast as `count_nonzero` with an axis.
    return mask.view(np.uint8).sum(axis=axis, dtype=np.uint16).astype(np.int64)


def rounded(rows: np.ndarray) -> np.ndarray:
    """Round to the grid; each result is still a float32, as those above 1/4 are on it already."""
    return np.rint(rows.astype(np.float32) * np.float32(GRID)) / np.float32(GRID)


def dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the exact dot product of each row of `a` with the same row of `b`."""
    return np.einsum("ij,ij->i", a.astype(np.float64), b.astype(np.float64))


def check(images: np.ndarray, texts: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return `owner` as int64; raise `DataError` for embeddings that no score can be made of."""
    for what, rows in (("image", images), ("text", texts)):
        if rows.ndim != 2 or 0 in rows.shape:
            raise DataError(f"{what} embeddings have shape {rows.shape}; there is nothing to rank")
        for start in range(0, len(rows), 4096):
            _check_rows(rows[start : start + 4096], what, start)
    if images.shape[1] != texts.shape[1]:
        raise DataError(
            f"image embeddings have {images.shape[1]} dimensions and text embeddings "
            f"{texts.shape[1]}; both must come from one model"
        )
    owner = np.asarray(owner)
    if owner.shape != (len(texts),) or owner.dtype.kind not in "iu":
        raise DataError(f"owner must be {len(texts)} whole numbers, one for each caption")
    if owner.min() < 0 or owner.max() >= len(images):
        raise DataError(f"owner names an image outside 0..{len(images) - 1}")
    return owner.astype(np.int64)


def _check_rows(rows: np.ndarray, what: str, start: int) -> None:
    length = np.sqrt(dots(rows, rows))
    for row in np.flatnonzero(~np.isfinite(length))[:1]:
        raise DataError(
            f"{what} embedding {start + row} holds NaN or infinity; the model is broken"
        )
    for row in np.flatnonzero(np.abs(length - 1) > LENGTH_TOLERANCE)[:1]:
        raise DataError(
            f"{what} embedding {start + row} has length {length[row]:.3g}; "
            "embeddings must be of unit length"
        )


def recall_at_k(ranks: np.ndarray, k: int) -> float:
    """Return the percentage of queries with rank `k` or better; rank 0 marks no query."""
    queries = _queries(ranks)
    return float(100 * np.mean(queries <= k))


def summary(ranks: np.ndarray) -> dict[str, float]:
    """Return R@1, R@5 and R@10 in percent, and the median and mean rank, of one direction."""
    queries = _queries(ranks)
    return {
        **{f"R@{k}": recall_at_k(queries, k) for k in (1, 5, 10)},
        "median_rank": float(np.median(queries)),
        "mean_rank": float(np.mean(queries)),
    }


def _queries(ranks: np.ndarray) -> np.ndarray:
    queries = np.asarray(ranks)
    queries = queries[queries > 0]
    if queries.size == 0:
        raise DataError("no query has a right answer, so there is no recall")
    return queries
