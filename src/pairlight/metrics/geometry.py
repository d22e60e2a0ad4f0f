"""Measures how embeddings lie on the sphere: alignment, uniformity and the modality gap."""

import numpy as np

from pairlight.metrics import bootstrap, retrieval
from pairlight.types import Json


def alignment(images: np.ndarray, texts: np.ndarray, owner: np.ndarray, chunk: int = 4096) -> float:
    """Return the mean squared distance between a caption and its image; 0 is best, 4 is worst.

    `images` (n, d), `texts` (m, d), rows of unit length; `owner` (m,). Every pair weighs the same.
    Source: Wang & Isola 2020, section 4.1, with alpha = 2.
    """
    total = 0.0
    for j in range(0, len(texts), chunk):
        apart = texts[j : j + chunk].astype(np.float64) - images[owner[j : j + chunk]]
        total += float(np.square(apart).sum())
    return total / len(texts)


def uniformity(
    rows: np.ndarray, limit: int = 10_000, seed: int = 0, chunk: int = 1024
) -> float | None:
    """Return the log of the mean of exp(-2 * squared distance) over all pairs of rows.

    `rows` (n, d) of unit length. 0 means that all rows are one point; lower is more uniform.
    Of more than `limit` rows, a seeded sample of `limit` is measured. None for a single row,
    which has no pair. Source: Wang & Isola 2020, section 4.1, with t = 2.
    """
    if len(rows) < 2:
        return None
    if len(rows) > limit:
        sample = np.random.default_rng(seed).choice(len(rows), limit, replace=False)
        rows = rows[np.sort(sample)]
    rows = rows.astype(np.float32)
    squares = np.einsum("ij,ij->i", rows, rows)
    total = 0.0
    for i in range(0, len(rows), chunk):
        for j in range(i, len(rows), chunk):
            a, b = slice(i, i + chunk), slice(j, j + chunk)
            distance = squares[a, None] + squares[None, b] - 2 * (rows[a] @ rows[b].T)
            near = np.exp(-2 * np.maximum(distance, 0))  # float32 can fall just below zero
            # Each unordered pair once: on the diagonal, the upper triangle alone.
            total += float((np.triu(near, 1) if i == j else near).sum(dtype=np.float64))
    pairs = len(rows) * (len(rows) - 1) / 2
    return float(np.log(total / pairs))  # each term is at least exp(-8), so this is finite


def modality_gap(images: np.ndarray, texts: np.ndarray) -> float:
    """Return the distance between the mean image embedding and the mean caption embedding.

    `images` (n, d), `texts` (m, d), rows of unit length; from 0 (no gap) to 2.
    Source: Liang et al. 2022, section 4.2.
    """
    gap = images.mean(axis=0, dtype=np.float64) - texts.mean(axis=0, dtype=np.float64)
    return float(np.linalg.norm(gap))


def gap(images: np.ndarray, texts: np.ndarray, owner: np.ndarray) -> Json:
    """Return what the modality gap is made of, and what retrieval would be without it.

    `images` (n, d), `texts` (m, d), rows of unit length; `owner` (m,).

    - `distance`: of the mean image to the mean caption, as `modality_gap`.
    - `centroid_cosine`: of the two means; None when one of them is zero.
    - `direction_share`: of the mean squared difference between a caption and its image, the share
      along the line through the means; None without a gap.
    - `closed`: rsum and R@1 when each side's mean is taken off and rows made unit length again;
      None where a row is its side's mean, as in a split of one image.
    """
    x, y = images.mean(axis=0, dtype=np.float64), texts.mean(axis=0, dtype=np.float64)
    distance = float(np.linalg.norm(x - y))
    lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    share = None
    if distance > 1e-7:  # less than what float32 rows can tell
        direction = ((x - y) / distance).astype(np.float32)
        along = (images @ direction)[owner] - texts @ direction
        share = float(np.mean(np.square(along, dtype=np.float64))) / alignment(images, texts, owner)
    return {
        "distance": distance,
        "centroid_cosine": float(x @ y) / lengths if lengths > 1e-14 else None,
        "direction_share": share,
        "closed": _closed((images - x).astype(np.float32), (texts - y).astype(np.float32), owner),
    }


def _closed(images: np.ndarray, texts: np.ndarray, owner: np.ndarray) -> Json | None:
    lengths = [np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts)]
    if min(each.min() for each in lengths) < 1e-6:  # no direction is left, only rounding
        return None
    i2t, t2i = retrieval.ranks(images / lengths[0], texts / lengths[1], owner)
    seven = bootstrap.recalls(bootstrap.hits(i2t, t2i, owner).sum(axis=0)).tolist()
    found = dict(zip(bootstrap.NAMES, seven, strict=True))
    return {name: found[name] for name in ("rsum", "i2t_R@1", "t2i_R@1")}
