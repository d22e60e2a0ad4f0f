"""Lays images and captions of one embedding space out on a plane, by t-SNE, and draws it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from sklearn.manifold import TSNE

from pairlight.errors import DataError
from pairlight.plots.canvas import FAINT, INK, PALETTE, finite, letters, new_figure, save, wrap
from pairlight.plots.clusters import Clusters, cluster
from pairlight.plots.fonts import lettering
from pairlight.types import Embeddings

MOST = 1500  # points of each kind that are laid out; t-SNE's time grows faster than their number
DRAWN = 500  # points of each kind in the picture; more hide one another
FEWEST = 3


@dataclass(frozen=True)
class Layout:
    """Places of images and captions on a plane, and the groups they fall into.

    `rows` (r,) and `columns` (c,) are the images and captions that were laid out, ascending;
    `images` (r, 2) and `texts` (c, 2) their places; `clusters` is of those images and captions.
    """

    rows: np.ndarray
    columns: np.ndarray
    images: np.ndarray
    texts: np.ndarray
    clusters: Clusters


def lay_out(embeddings: Embeddings, seed: int = 0) -> Layout:
    """Return where t-SNE puts images and captions, and their groups; all follow from `seed`.

    Up to 1,500 images are taken, and all their captions where that is no more, else one an image;
    perplexity is 30, or less when points are few. Raises `DataError` for fewer than 3 points and
    for NaN. Source: van der Maaten & Hinton 2008.
    """
    count, width = embeddings.images.shape
    images = finite(embeddings.images, "image embeddings", (count, width))
    texts = finite(embeddings.texts, "caption embeddings", (len(embeddings.owner), width))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(count)[:MOST])
    columns = np.sort(captions_of(embeddings.owner, rows, rng, MOST))
    if len(rows) + len(columns) < FEWEST:
        raise DataError(f"t-SNE needs at least {FEWEST} images and captions to draw")
    plane = project(np.concatenate([images[rows], texts[columns]]), seed)
    at = np.searchsorted(rows, embeddings.owner[columns])
    captions = [embeddings.captions[j] if embeddings.captions else "" for j in columns]
    clusters = cluster(images[rows], texts[columns], at, captions, seed)
    return Layout(rows, columns, plane[: len(rows)], plane[len(rows) :], clusters)


def project(points: np.ndarray, seed: int) -> np.ndarray:
    """Return t-SNE's plane coordinates (n, 2) of `points` (n, d), by cosine distance."""
    n = len(points)
    # Perplexity is about the number of neighbours a point has; it must stay below n.
    perplexity = min(30.0, max(1.0, (n - 1) / 3))
    spread = points.shape[1] >= 2 and len(np.unique(points, axis=0)) > 2
    init = "pca" if spread else "random"  # PCA of points that are all one divides by zero
    tsne = TSNE(2, perplexity=perplexity, init=init, metric="cosine", random_state=seed)
    return tsne.fit_transform(points.astype(np.float32))


def captions_of(
    owner: np.ndarray, rows: np.ndarray, rng: np.random.Generator, most: int
) -> np.ndarray:
    """Return the captions of the images `rows`: all if at most `most`, else one an image."""
    mine = np.flatnonzero(np.isin(owner, rows))
    if len(mine) <= most:
        return mine
    mine = rng.permutation(mine)
    _, first = np.unique(owner[mine], return_index=True)
    return mine[first]


def plot_tsne(
    embeddings: Embeddings, path: Path, seed: int = 0, layout: Layout | None = None
) -> list[str]:
    """Draw images and captions by t-SNE, coloured by group, each caption joined to its image.

    Of a large `layout` (default: that of `lay_out`) 500 images with their captions, or one caption
    of each, are drawn by `seed`. Returns warnings in words; raises `DataError` as `lay_out` does.
    """
    layout = layout or lay_out(embeddings, seed)
    rng = np.random.default_rng(seed)
    shown = np.sort(rng.permutation(len(layout.rows))[:DRAWN])  # positions in `layout.rows`
    at = np.searchsorted(layout.rows, embeddings.owner[layout.columns])
    texts = captions_of(at, shown, rng, DRAWN)  # positions in `layout.columns`
    fonts = lettering(layout.clusters.names)
    figure = new_figure(9.5, 9.9)
    axes = figure.add_axes((0.03, 0.11, 0.94, 0.79))
    _points(axes, layout, shown, texts, at)
    _name_clusters(axes, layout, shown, texts, fonts)
    _legend(axes, len(shown), len(texts))
    figure.text(0.03, 0.97, "Images and captions in the shared space", fontsize=14, color=INK,
                va="center")  # fmt: skip
    count = len(embeddings.images)
    part = "" if len(shown) == count else f" of {len(shown)} of {count} images"
    words = (
        f"t-SNE{part}; a line joins a caption to its image: short is good. Colours: groups by "
        f"k-means;\n{100 * layout.clusters.together:.0f} % of captions fall into their image's "
        "group. Distances between far groups mean little."
    )
    figure.text(0.03, 0.93, words, fontsize=9.5, color=FAINT, va="center")
    save(figure, Path(path))
    return fonts.notes()


def _points(
    axes: Axes, layout: Layout, shown: np.ndarray, texts: np.ndarray, at: np.ndarray
) -> None:
    pairs = np.stack([layout.images[at[texts]], layout.texts[texts]], axis=1)  # (captions, 2, 2)
    few = len(shown) + len(texts) <= 200
    # A pair in two groups is joined by a darker line: these are what to look at.
    apart = layout.clusters.images[at[texts]] != layout.clusters.texts[texts]
    for which, color, alpha in ((~apart, "#9A9A9A", 0.45), (apart, "#444444", 0.55)):
        axes.add_collection(
            LineCollection(list(pairs[which]), colors=color, linewidths=0.6, alpha=alpha)
        )
    colors = np.array(PALETTE)
    axes.scatter(*layout.texts[texts].T, s=30 if few else 11, marker="^", linewidths=0, zorder=3,
                 c=colors[layout.clusters.texts[texts]])  # fmt: skip
    axes.scatter(*layout.images[shown].T, s=70 if few else 30, marker="o", zorder=2,
                 linewidths=0.5, edgecolors="white",
                 c=colors[layout.clusters.images[shown]])  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.05)
    for spine in axes.spines.values():
        spine.set_color("#CCCCCC")


def _name_clusters(axes: Axes, layout: Layout, shown: np.ndarray, texts: np.ndarray, fonts) -> None:
    """List the groups below the picture, and write each one's number amid its points."""
    places = np.concatenate([layout.images[shown], layout.texts[texts]])
    groups = np.concatenate([layout.clusters.images[shown], layout.clusters.texts[texts]])
    for number, name in enumerate(layout.clusters.names):
        mine = places[groups == number]
        if len(mine):
            # The point nearest to the median: a mean may lie where none of the group is.
            middle = mine[np.argmin(np.square(mine - np.median(mine, axis=0)).sum(axis=1))]
            badge = {"boxstyle": "circle,pad=0.25", "facecolor": PALETTE[number],
                     "edgecolor": "white", "linewidth": 1.5}  # fmt: skip
            x, y = map(float, middle)
            axes.text(x, y, str(number + 1), fontsize=11, fontweight="bold", ha="center",
                      va="center", color="white", zorder=5, bbox=badge)  # fmt: skip
        row, column = divmod(number, 4)
        x, y = 0.03 + 0.24 * column, 0.075 - 0.04 * row
        style = letters(fonts, fontsize=9, color=INK, va="center")
        axes.figure.text(x, y, str(number + 1), fontsize=11, fontweight="bold", va="center",
                         color=PALETTE[number])  # fmt: skip
        axes.figure.text(x + 0.02, y, wrap(fonts.text(name), 27, 2), **style)


def _legend(axes: Axes, images: int, captions: int) -> None:
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=INK, markersize=size, label=words)
        for marker, size, words in (("o", 7, f"{images} images"), ("^", 5, f"{captions} captions"))
    ]
    axes.legend(handles=handles, loc="upper right", fontsize=10, framealpha=0.9)
