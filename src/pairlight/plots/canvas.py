"""Holds what every picture shares: figure, colours, thumbnails, wrapped text and saving."""

import unicodedata
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from pairlight.errors import DataError
from pairlight.files import write_atomic
from pairlight.imaging import open_image
from pairlight.plots.fonts import PLACEHOLDER, Lettering

# Okabe & Ito's palette, told apart with any kind of colour vision.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, FAINT = "#222222", "#6E6E6E"  # FAINT still reads on white: 5.1 to 1
# The clusters' colours: Okabe & Ito's without yellow, which is lost on white, and with a grey.
PALETTE = (BLUE, VERMILION, GREEN, "#CC79A7", ORANGE, "#56B4E9", "#5B3A9B", "#7A7A7A")
DPI = 120


def new_figure(width: float, height: float) -> Figure:
    """Return a white figure of `width` x `height` inches that no window or global state knows."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` as PNG, whole or not at all."""
    write_atomic(path, lambda aside: figure.savefig(aside, format="png"))


def finite(values: np.ndarray, what: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return `values` as float64; another shape, NaN or infinity raises `DataError`."""
    values = np.asarray(values, dtype=np.float64)
    if values.shape != shape:
        raise DataError(f"{what}: expected shape {shape}, got {values.shape}")
    if not np.isfinite(values).all():
        raise DataError(f"{what}: holds NaN or infinity; check the model that made it")
    return values


def show_photo(axes: Axes, path: Path, square: bool = False) -> list[str]:
    """Draw the photo on `axes`, cut to its middle square if asked.

    A photo that cannot be read becomes a grey box; returns the reason as a warning, else nothing.
    """
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    try:
        image = open_image(path, size=320)
    except DataError as error:
        axes.set_facecolor("#DDDDDD")
        axes.text(0.5, 0.5, "unreadable", ha="center", va="center", fontsize=8, color=INK,
                  transform=axes.transAxes)  # fmt: skip
        return [str(error)]
    if square:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    image.thumbnail((480, 480), Image.Resampling.LANCZOS)
    axes.imshow(np.asarray(image), interpolation="lanczos")
    return []


def letters(fonts: Lettering, **style: object) -> dict:
    """Return the keywords that draw a user's text: its fonts, and no `$` read as mathematics."""
    return {"fontfamily": list(fonts.families), "parse_math": False, "color": INK, **style}


def wrap(text: str, columns: int, lines: int) -> str:
    """Return `text` broken into at most `lines` of `columns`; what is left over becomes "…".

    Wide characters (Chinese, emoji) take two columns and may be parted anywhere; other text is
    parted at spaces, or inside a word that is longer than a line.
    """
    done, line, used = [], "", 0
    for word in _words(text, columns):
        width = columns_of(word)
        if used + columns_of(word.rstrip()) > columns and line:
            done.append(line.rstrip())
            line, used = "", 0
        line, used = line + word, used + width
    done.append(line.rstrip())
    if len(done) > lines:
        last = done[lines - 1]
        while columns_of(last) > columns - 1:
            last = last.rpartition(" ")[0] or last[:-1]
        done = [*done[: lines - 1], last.rstrip(" ,.;") + "…"]
    return "\n".join(done)


def columns_of(text: str) -> int:
    """Return how many columns `text` takes: two for a wide character, one for another."""
    wide = (c == PLACEHOLDER or unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + sum(wide)


def _words(text: str, columns: int) -> list[str]:
    """Return the pieces between which `text` may be broken, each with its trailing space."""
    pieces, word = [], ""
    for letter in text:
        word += letter
        if letter == " " or columns_of(letter) == 2 or columns_of(word) >= columns:
            pieces.append(word)
            word = ""
    return [*pieces, word] if word else pieces
