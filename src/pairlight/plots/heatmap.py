"""Draws the similarity of photos and captions as a heatmap with thumbnails."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle

from pairlight.errors import DataError
from pairlight.plots.canvas import (
    INK,
    VERMILION,
    finite,
    letters,
    new_figure,
    save,
    show_photo,
    wrap,
)
from pairlight.plots.fonts import lettering

MOST = 20  # more pairs would make thumbnails and numbers too small to read


def plot_similarity(
    images: Sequence[Path], captions: Sequence[str], similarity: np.ndarray, path: Path
) -> list[str]:
    """Draw cosine similarities as a heatmap: captions down, photos across, pairs outlined.

    `similarity` (n, n): rows are `images`, columns are `captions`; caption i describes image i.
    Returns warnings in words; raises `DataError` for other shapes, NaN and more than 20 pairs.
    """
    n = len(images)
    if not 1 <= n <= MOST:
        raise DataError(f"the similarity heatmap shows 1 to {MOST} pairs, not {n}")
    if len(captions) != n:
        raise DataError(f"each of {n} images needs one caption, but there are {len(captions)}")
    scores = finite(similarity, "similarity matrix", (n, n)).T  # (captions, images), as drawn
    fonts = lettering(captions)
    notes = fonts.notes()
    cell, words = 0.82, 3.7
    top, bottom, right = 0.95, 0.45, 1.1
    width, height = words + max(n, 4) * cell + right, top + (n + 1) * cell + bottom
    figure = new_figure(width, height)
    box = {"left": words / width, "right": (words + n * cell) / width,
           "bottom": bottom / height, "top": 1 - top / height}  # fmt: skip
    grid = GridSpec(n + 1, n, figure=figure, hspace=0, wspace=0, **box)
    for column, image in enumerate(images):
        photo = figure.add_subplot(grid[0, column])
        notes += show_photo(photo, Path(image), square=True)
        photo.margins(0.04)
    axes = figure.add_subplot(grid[1:, :])
    mesh = axes.imshow(scores, cmap="cividis", aspect="auto")
    axes.set_xticks([])
    axes.tick_params(length=0)
    labels = [wrap(fonts.text(caption), 42, 2) for caption in captions]
    axes.set_yticks(range(n), labels, **letters(fonts, fontsize=9.5))
    _numbers(axes, scores)
    side = figure.add_axes(((words + n * cell + 0.2) / width, bottom / height, 0.16 / width,
                            n * cell / height))  # fmt: skip
    figure.colorbar(mesh, cax=side).ax.tick_params(labelsize=8)
    figure.text(0.2 / width, 1 - 0.22 / height, "Similarity of captions and photos", va="top",
                fontsize=14, color=INK)  # fmt: skip
    figure.text(0.2 / width, 1 - 0.56 / height, _legend(scores), va="top", fontsize=9.5, color=INK)
    save(figure, Path(path))
    return notes


def _legend(scores: np.ndarray) -> str:
    right = int((scores.argmax(axis=1) == np.arange(len(scores))).sum())
    return (
        "cosine similarity; outlined: the photo that the caption describes; bold: the caption's "
        f"best photo ({right} of {len(scores)} right)"
    )


def _numbers(axes: Axes, scores: np.ndarray) -> None:
    """Write each score into its cell; outline the pairs, set each caption's best in bold."""
    low, high = scores.min(), scores.max()
    for row, column in np.ndindex(*scores.shape):
        value = float(scores[row, column])
        light = high > low and (value - low) / (high - low) > 0.55
        # Adding 0.0 turns -0.0 into 0.0.
        best = column == scores[row].argmax()
        axes.text(column, row, f"{round(value, 2) + 0.0:.2f}", ha="center", va="center",
                  color="black" if light else "white", fontsize=11 if best else 9.5,
                  fontweight="bold" if best else "normal")  # fmt: skip
    for at in range(len(scores)):
        axes.add_patch(Rectangle((at - 0.46, at - 0.46), 0.92, 0.92, fill=False, linewidth=2.5,
                                 edgecolor=VERMILION))  # fmt: skip
