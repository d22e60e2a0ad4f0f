"""Fits linear maps from text to image embeddings: regularised canonical correlation."""

import numpy as np


def unit(rows: np.ndarray) -> np.ndarray:
    """Return rows (n, d) scaled to unit length, float32; a row of zeros stays one."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), np.float32)


def centred(rows: np.ndarray) -> np.ndarray:
    """Return rows (n, d) less their mean, of unit length: what all have in common says nothing."""
    return unit(rows - rows.mean(axis=0))


def correlate(
    images: np.ndarray, texts: np.ndarray, owner: np.ndarray, dim: int, ridge: float = 5.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return projections (p, r) of images and (q, r) of texts into a space that both share.

    Regularised canonical correlation analysis of centred `images` (n, p) and `texts` (m, q), where
    `texts[j]` describes `images[owner[j]]`; r is at most `dim`. `ridge` is in units of each side's
    mean variance: with little of it a few thousand photos are learnt by heart. Directions are
    weighted by their correlation (Gong et al. 2014, A Multi-View Embedding Space, section 3.1, with
    power 1 in place of 4).
    """
    count = np.bincount(owner, minlength=len(images)).astype(np.float32)
    joint = images.T @ _sums(texts, owner, len(images)) / len(texts)  # (p, q)
    half_x = _whitener((images * count[:, None]).T @ images / len(texts), ridge)
    half_y = _whitener(texts.T @ texts / len(texts), ridge)
    left, strength, right = np.linalg.svd(half_x @ joint @ half_y, full_matrices=False)
    kept = min(dim, int((strength > 1e-6).sum()) or 1)
    weight = np.sqrt(strength[:kept])  # on both sides, so a product carries the correlation
    to_image, to_text = half_x @ left[:, :kept] * weight, half_y @ right[:kept].T * weight
    return to_image.astype(np.float32), to_text.astype(np.float32)


def _sums(texts: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """Return (count, q): the sum of each photo's captions."""
    sums = np.zeros((count, texts.shape[1]), np.float32)
    np.add.at(sums, owner, texts)
    return sums


def _whitener(covariance: np.ndarray, ridge: float) -> np.ndarray:
    """Return the symmetric inverse square root (d, d) of a covariance, regularised."""
    covariance = covariance.astype(np.float64)
    covariance += (ridge * np.trace(covariance) / len(covariance) + 1e-12) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    return vectors / np.sqrt(values) @ vectors.T
