"""Draws why a photo and a text match: a heat map over the photo, and the words as bars."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from PIL import Image

from pairlight.errors import DataError
from pairlight.plots.canvas import (
    FAINT,
    INK,
    finite,
    letters,
    new_figure,
    save,
    wrap,
)
from pairlight.plots.fonts import Lettering, lettering

# Blue against red, with white at 0: told apart with any kind of colour vision.
_COLOURS = "RdBu"
_MOST_WORDS = 48
_SIDE = 4.0  # inches of the photo's longer side
_LEAST = 0.005  # colours and bars are never stretched to show less than this
# The ends of that scale, for the bars: what adds and what takes.
_ADDS, _TAKES = "#2166AC", "#B2182B"


def check_target(path: Path) -> None:
    """Raise `DataError` for a path that no picture can be written to."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file, as in {path / 'explanation.png'}")
    if path.suffix.lower() != ".png":
        raise DataError(f"{path}: pictures are written as PNG; name a file that ends in .png")


def plot_explanation(
    pixels: np.ndarray,
    size: tuple[int, int],
    text: str,
    words: Sequence[str],
    contributions: np.ndarray,
    regions: np.ndarray,
    said: Sequence[str],
    method: str,
    path: Path,
) -> list[str]:
    """Draw the photo, the heat map over it, and a bar a word; return warnings in words.

    `pixels` (S, S, 3) uint8 is shown at the proportions of `size`; `contributions` (w,) belong to
    `words`, `regions` (g, g) to the photo's cells; `said` are lines about the score. Blue adds to
    it, red takes from it; white does neither.
    """
    values = finite(contributions, "contributions of words", (len(words),))
    heat = finite(regions, "contributions of regions", (len(regions), len(regions)))
    fonts = lettering([text])
    notes = fonts.notes()
    if len(words) > _MOST_WORDS:
        notes.append(f"only the first {_MOST_WORDS} of {len(words)} words are drawn")
        words, values = words[:_MOST_WORDS], values[:_MOST_WORDS]
    aspect = min(max(size[0] / size[1], 0.4), 2.5)
    wide, tall = (_SIDE, _SIDE / aspect) if aspect >= 1 else (_SIDE * aspect, _SIDE)
    bars = max(2.6, 0.27 * len(words) + 0.2)
    width = max(0.3 + 2 * wide + 0.2 + 1.0 + 4.6, 10.0)
    head = wrap(fonts.text(text), int(width * 7), 2)
    lines = [wrap(fonts.text(line), int(width * 10), 2) for line in said]
    above = 0.35 + 0.28 * (head.count("\n") + 1)
    top = above + 0.2 * sum(line.count("\n") + 1 for line in lines) + 0.15
    body, bottom = max(tall, bars) + 0.3, 0.65
    height = top + body + bottom
    figure = new_figure(width, height)

    def box(left: float, low: float, across: float, up: float) -> Axes:
        return figure.add_axes((left / width, low / height, across / width, up / height))

    figure.text(0.3 / width, 1 - 0.2 / height, f"“{head}”", va="top",
                **letters(fonts, fontsize=14))  # fmt: skip
    figure.text(0.3 / width, 1 - above / height, "\n".join(lines), va="top", linespacing=1.3,
                **letters(fonts, fontsize=10))  # fmt: skip
    low = bottom + body - 0.3 - tall
    _photo(box(0.3, low, wide, tall), pixels, "photo")
    norm = Normalize(*_limits(heat))
    over = box(0.5 + wide, low, wide, tall)
    _photo(over, blend(pixels, heat, norm), "what each region adds")
    side = box(0.5 + 2 * wide + 0.1, low, 0.14, tall)
    figure.colorbar(ScalarMappable(norm, _COLOURS), cax=side).ax.tick_params(labelsize=8)
    under = bottom + body - 0.3 - bars
    _bars(box(width - 3.4, under, 3.1, bars), fonts, words, values)
    foot = wrap(method, int(width * 12), 3)
    figure.text(0.3 / width, 0.12 / height, foot, va="bottom", fontsize=8, color=FAINT)
    save(figure, Path(path))
    return notes


def blend(pixels: np.ndarray, heat: np.ndarray, norm: Normalize) -> np.ndarray:
    """Return (S, S, 3) uint8: the photo in grey, coloured the more a region matters."""
    from matplotlib import colormaps

    side = len(pixels)
    smooth = Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    values = np.clip(np.asarray(smooth), norm.vmin, norm.vmax)
    colour = colormaps[_COLOURS](norm(values))[..., :3] * 255
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float64)[..., None]
    grey = 70 + grey * 0.72  # lighter, so that colours show on dark photos, too
    share = 0.75 * np.sqrt(np.abs(values) / norm.vmax)[..., None]
    return (grey * (1 - share) + colour * share).round().clip(0, 255).astype(np.uint8)


def _limits(values: np.ndarray) -> tuple[float, float]:
    most = max(float(np.abs(values).max(initial=0)), _LEAST)
    return -most, most


def _photo(axes: Axes, pixels: np.ndarray, title: str) -> None:
    axes.imshow(pixels, aspect="auto", interpolation="lanczos")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10, color=INK)


def _bars(axes: Axes, fonts: Lettering, words: Sequence[str], values: np.ndarray) -> None:
    """Draw a bar a word, in the order of the text from top to bottom, with its value."""
    low, high = _limits(values)
    rows = np.arange(len(words))
    axes.barh(rows, values, color=[_ADDS if value >= 0 else _TAKES for value in values],
              height=0.7)  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8)
    for row, value in enumerate(values):
        axes.text(value + (0.03 if value >= 0 else -0.03) * high, row, f"{value + 0.0:+.3f}",
                  va="center", ha="left" if value >= 0 else "right", fontsize=8,
                  color=INK)  # fmt: skip
    labels = [wrap(fonts.text(word), 16, 1) for word in words]
    axes.set_yticks(rows, labels, **letters(fonts, fontsize=10))
    axes.set_ylim(len(words) - 0.4, -0.6)
    axes.set_xlim(1.45 * min(low if (values < 0).any() else 0, 0), 1.45 * high)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(length=0, axis="y")
    axes.tick_params(labelsize=8, axis="x")
    axes.set_title("what each word adds", fontsize=10, color=INK)
    for name in ("top", "right", "left"):
        axes.spines[name].set_visible(False)
