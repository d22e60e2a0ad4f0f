"""Draws images and captions of one embedding space on a plane, by t-SNE."""

from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection
from sklearn.manifold import TSNE

from pairlight.errors import DataError
from pairlight.plots.canvas import BLUE, FAINT, INK, ORANGE, finite, new_figure, save
from pairlight.types import Embeddings

MOST = 500  # points of each kind; more hide one another
FEWEST = 3


def plot_tsne(embeddings: Embeddings, path: Path, seed: int = 0) -> list[str]:
    """Draw images and captions by t-SNE, each caption joined to its image by a thin line.

    At most 500 images and 500 captions are drawn by `seed`; perplexity is 30, or less when points
    are few. Returns warnings in words; raises `DataError` for fewer than 3 points and for NaN.
    Source: van der Maaten & Hinton 2008.
    """
    count, width = embeddings.images.shape
    images = finite(embeddings.images, "image embeddings", (count, width))
    texts = finite(embeddings.texts, "caption embeddings", (len(embeddings.owner), width))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(count)[:MOST])
    columns = _captions_of(embeddings.owner, rows, rng)
    if len(rows) + len(columns) < FEWEST:
        raise DataError(f"t-SNE needs at least {FEWEST} images and captions to draw")
    points = np.concatenate([images[rows], texts[columns]])
    plane = project(points, seed)
    at = np.searchsorted(rows, embeddings.owner[columns])  # `rows` is sorted and holds each owner
    pairs = np.stack([plane[at], plane[len(rows) :]], axis=1)  # (captions, 2 ends, x y)
    few = len(points) <= 200
    figure = new_figure(8.5, 8.5)
    axes = figure.add_axes((0.03, 0.03, 0.94, 0.86))
    axes.add_collection(LineCollection(list(pairs), colors=FAINT, linewidths=0.6, alpha=0.5))
    axes.scatter(*plane[len(rows) :].T, s=30 if few else 9, c=ORANGE, marker="^", linewidths=0,
                 label=f"{len(columns)} captions", zorder=3)  # fmt: skip
    axes.scatter(*plane[: len(rows)].T, s=64 if few else 26, c=BLUE, marker="o", linewidths=0,
                 label=f"{len(rows)} images", zorder=2)  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.05)
    for spine in axes.spines.values():
        spine.set_color("#CCCCCC")
    axes.legend(loc="best", fontsize=10, framealpha=0.9)
    figure.text(0.03, 0.965, "Images and captions in the shared space", fontsize=14, color=INK,
                va="center")  # fmt: skip
    shown = "" if len(rows) == count else f", {len(rows)} of {count} images"
    words = (
        f"t-SNE{shown}; lines join captions to their image: short is good; "
        "distances between far groups mean little"
    )
    figure.text(0.03, 0.925, words, fontsize=9.5, color=FAINT, va="center")
    save(figure, Path(path))
    return []


def project(points: np.ndarray, seed: int) -> np.ndarray:
    """Return t-SNE's plane coordinates (n, 2) of `points` (n, d), by cosine distance."""
    n = len(points)
    # Perplexity is about the number of neighbours a point has; it must stay below n.
    perplexity = min(30.0, max(1.0, (n - 1) / 3))
    init = "pca" if points.shape[1] >= 2 else "random"
    tsne = TSNE(2, perplexity=perplexity, init=init, metric="cosine", random_state=seed)
    return tsne.fit_transform(points.astype(np.float32))


def _captions_of(owner: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the captions to draw of the images `rows`: all if few enough, else one an image."""
    mine = np.flatnonzero(np.isin(owner, rows))
    if len(mine) <= MOST:
        return mine
    mine = rng.permutation(mine)
    _, first = np.unique(owner[mine], return_index=True)
    return mine[first]
