"""Draws the worst failures of both directions: the query, what it found, and the right answer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pairlight.plots.canvas import (
    BLUE,
    FAINT,
    INK,
    VERMILION,
    letters,
    new_figure,
    save,
    show_photo,
    wrap,
)
from pairlight.plots.fonts import Lettering, lettering
from pairlight.plots.worst import Failure
from pairlight.types import Embeddings

SHOWN = 5  # failures in one picture
EACH, TOP = 2.15, 1.0  # inches a failure takes, and the heading


def plot_failed_images(
    embeddings: Embeddings, failures: Sequence[Failure], total: int, path: Path
) -> list[str]:
    """Draw photos whose own captions were not found first, with the captions found instead.

    `failures` are of `failed_images`, worst first, at most five are drawn; `total` is the number of
    all of them. Returns warnings in words.
    """
    queries = len(np.unique(embeddings.owner))
    if not failures:
        return _none(path, f"Each of the {queries} photos found a caption of its own first.")
    failures = failures[:SHOWN]
    texts = [embeddings.captions[j] for f in failures for j in (f.right, *f.found)]
    fonts = lettering(texts)
    notes = fonts.notes()
    figure = _heading(
        "The worst failures, photo to captions",
        f"{total} of {queries} photos found a caption of another photo first; orange: what was "
        "found instead, blue and ✓: the photo's own best caption",
        10.8,
        len(failures),
    )
    width, height = figure.get_size_inches()
    for at, failure in enumerate(failures):
        bottom = height - TOP - (at + 1) * EACH + 0.1
        box = (0.2 / width, bottom / height, 2.6 / width, (EACH - 0.2) / height)
        notes += show_photo(figure.add_axes(box), Path(embeddings.paths[failure.query]))
        lines = [(str(n), j, s, VERMILION) for n, (j, s) in enumerate(_found(failure), 1)]
        lines.append((f"✓ {failure.rank}", failure.right, failure.score, BLUE))
        y = bottom + EACH - 0.4
        _line(figure, fonts, y, ("rank", "cosine", ""), FAINT)
        for rank, column, score, color in lines:
            y -= 0.38
            caption = fonts.text(embeddings.captions[column])
            _line(figure, fonts, y, (rank, f"{score:.3f}", wrap(caption, 72, 1)), color)
    save(figure, Path(path))
    return notes


def plot_failed_captions(
    embeddings: Embeddings, failures: Sequence[Failure], total: int, path: Path
) -> list[str]:
    """Draw captions whose photo was not found first, with the photos found instead.

    `failures` are of `failed_captions`, worst first, at most five are drawn; `total` is the number
    of all of them. Returns warnings in words.
    """
    queries = len(embeddings.texts)
    if not failures:
        return _none(path, f"Each of the {queries} captions found its own photo first.")
    failures = failures[:SHOWN]
    fonts = lettering(embeddings.captions[f.query] for f in failures)
    notes = fonts.notes()
    figure = _heading(
        "The worst failures, caption to photos",
        f"{total} of {queries} captions found another photo first; blue: the photo that the "
        "caption describes, orange: what was found instead; the worst caption a photo",
        10.8,
        len(failures),
    )
    width, height = figure.get_size_inches()
    for at, failure in enumerate(failures):
        bottom = height - TOP - (at + 1) * EACH
        words = f"“{wrap(fonts.text(embeddings.captions[failure.query]), 100, 1)}”"
        figure.text(0.2 / width, (bottom + EACH - 0.12) / height, words, va="top",
                    **letters(fonts, fontsize=11))  # fmt: skip
        shown = [(failure.right, failure.score, failure.rank, BLUE)]
        shown += [(i, s, n, VERMILION) for n, (i, s) in enumerate(_found(failure), 1)]
        for place, (row, score, rank, color) in enumerate(shown):
            left = 0.2 + 2.1 * place + (0.2 if place else 0)
            box = (left / width, (bottom + 0.35) / height, 1.95 / width, (EACH - 0.8) / height)
            axes = figure.add_axes(box)
            notes += show_photo(axes, Path(embeddings.paths[row]))
            axes.set_xlabel(f"rank {rank}   {score:.3f}", fontsize=10, color=color,
                            fontweight="bold" if color == BLUE else "normal")  # fmt: skip
    save(figure, Path(path))
    return notes


def _found(failure: Failure) -> list[tuple[int, float]]:
    return list(zip(failure.found, failure.scores, strict=True))


def _heading(title: str, words: str, width: float, rows: int) -> Figure:
    height = TOP + rows * EACH + 0.1
    figure = new_figure(width, height)
    figure.text(0.2 / width, 1 - 0.2 / height, title, va="top", fontsize=14, color=INK)
    figure.text(0.2 / width, 1 - 0.56 / height, words, va="top", fontsize=9.5, color=FAINT)
    return figure


def _line(figure: Figure, fonts: Lettering, y: float, cells: tuple, color: str) -> None:
    """Write rank, score and words in columns at the height `y`, in inches."""
    width, height = figure.get_size_inches()
    plain = {"fontsize": 10.5, "color": color, "va": "center", "family": "DejaVu Sans"}
    rank, score, words = cells
    figure.text(3.55 / width, y / height, rank, ha="right", **plain)
    figure.text(4.25 / width, y / height, score, ha="right", **plain)
    figure.text(4.45 / width, y / height, words,
                **letters(fonts, fontsize=10.5, color=color, va="center"))  # fmt: skip


def _none(path: Path, words: str) -> list[str]:
    """Draw a picture that says there is no failure: an older picture must not stay behind."""
    figure = new_figure(8, 2.2)
    figure.text(0.5, 0.62, "No failures", ha="center", fontsize=16, color=INK)
    figure.text(0.5, 0.36, words, ha="center", fontsize=11, color=FAINT)
    save(figure, Path(path))
    return []
