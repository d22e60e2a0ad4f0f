"""Draws search results: photos for a text, and captions for photos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pairlight.errors import DataError
from pairlight.plots.canvas import (
    BLUE,
    FAINT,
    INK,
    finite,
    letters,
    new_figure,
    save,
    show_photo,
    wrap,
)
from pairlight.plots.fonts import Lettering, lettering

ACROSS = 5


def plot_text_to_image(
    query: str, paths: Sequence[Path], scores: Sequence[float], path: Path, gallery: int = 0
) -> list[str]:
    """Draw the best photos for a text, in the order given, each with rank and cosine similarity.

    `gallery` is the number of photos searched (0: not said). Returns warnings in words; raises
    `DataError` when there is no photo, or a score for each is missing or NaN.
    """
    if not paths:
        raise DataError(f"no photo to show for {query!r}")
    values = finite(np.asarray(scores), f"scores for {query!r}", (len(paths),))
    fonts = lettering([query])
    notes = fonts.notes()
    rows = -(-len(paths) // ACROSS)
    across = min(len(paths), ACROSS)
    width, height = max(6.5, across * 2.3 + 0.4), 1.0 + rows * 2.45
    figure = new_figure(width, height)
    heading = f"“{wrap(fonts.text(query), int(width * 8), 1)}”"
    figure.text(0.2 / width, 1 - 0.2 / height, heading, va="top", **letters(fonts, fontsize=14))
    said = f"the best {len(paths)} of {gallery} photos" if gallery else "the best photos"
    figure.text(0.2 / width, 1 - 0.58 / height, f"{said}, with cosine similarity", va="top",
                fontsize=9.5, color=FAINT)  # fmt: skip
    for at, (image, value) in enumerate(zip(paths, values, strict=True)):
        row, column = divmod(at, ACROSS)
        left = 0.2 + column * 2.3
        bottom = height - 0.95 - (row + 1) * 2.45 + 0.38
        axes = figure.add_axes((left / width, bottom / height, 2.15 / width, 2.0 / height))
        notes += show_photo(axes, Path(image))
        axes.set_anchor("S")
        axes.set_xlabel(f"{at + 1}.   {value:.3f}", fontsize=11, color=INK)
    save(figure, Path(path))
    return notes


def plot_image_to_text(
    images: Sequence[Path],
    captions: Sequence[Sequence[str]],
    scores: Sequence[Sequence[float]],
    right: Sequence[Sequence[bool]],
    path: Path,
    gallery: int = 0,
) -> list[str]:
    """Draw photos, each beside its best captions in the order given, its own captions ticked.

    Row i of `captions`, `scores` (cosine similarity) and `right` belongs to `images[i]`; `gallery`
    is the number of captions searched (0: not said). Returns warnings in words; raises `DataError`
    when lengths differ, a score is NaN or there is nothing to show.
    """
    if not images or not all(len(row) for row in captions):
        raise DataError("no photo or no caption to show")
    if not len(images) == len(captions) == len(scores) == len(right):
        raise DataError("each photo needs its own captions, scores and marks")
    fonts = lettering(caption for row in captions for caption in row)
    notes = fonts.notes()
    most = max(map(len, captions))
    each = max(2.1, 0.36 * most + 0.3)
    width, height = 10.5, 0.95 + len(images) * each
    figure = new_figure(width, height)
    figure.text(0.2 / width, 1 - 0.2 / height, "The best captions for a photo", va="top",
                fontsize=14, color=INK)  # fmt: skip
    said = f"out of {gallery} captions, " if gallery else ""
    figure.text(0.2 / width, 1 - 0.56 / height, f"{said}with cosine similarity; ✓ and blue: "
                "written for this photo", va="top", fontsize=9.5, color=FAINT)  # fmt: skip
    for at, image in enumerate(images):
        bottom = (height - 0.9 - (at + 1) * each + 0.1) / height
        tall = (each - 0.2) / height
        photo = figure.add_axes((0.2 / width, bottom, 2.6 / width, tall))
        notes += show_photo(photo, Path(image))
        values = finite(np.asarray(scores[at]), f"scores of {image}", (len(captions[at]),))
        if len(right[at]) != len(values):
            raise DataError(f"{image}: {len(values)} captions but {len(right[at])} marks")
        beside = figure.add_axes((3.0 / width, bottom, (width - 3.2) / width, tall))
        _caption_list(beside, fonts, captions[at], values, right[at], most)
    save(figure, Path(path))
    return notes


def _caption_list(
    axes: Axes,
    fonts: Lettering,
    captions: Sequence[str],
    values: np.ndarray,
    right: Sequence[bool],
    most: int,
) -> None:
    """Write one caption a line: score, tick where it is the photo's own, words."""
    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.set_ylim(most, 0)
    for at, (caption, value, own) in enumerate(zip(captions, values, right, strict=True)):
        color = BLUE if own else INK
        style = {"va": "center", "fontsize": 10.5}
        axes.text(0.0, at + 0.5, f"{value:.3f}", **style, color=color, family="DejaVu Sans")
        axes.text(0.085, at + 0.5, "✓" if own else "", **style, color=color, fontweight="bold",
                  family="DejaVu Sans")  # fmt: skip
        words = wrap(fonts.text(caption), 76, 1)
        axes.text(0.12, at + 0.5, words, **letters(fonts, **style, color=color))
