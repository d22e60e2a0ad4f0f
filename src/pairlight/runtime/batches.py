"""Cuts images and texts into batches: files read ahead, texts of like length together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pairlight.errors import DataError
from pairlight.imaging import load_square
from pairlight.threads import map_ahead, untracked

Track = Callable[..., Iterable]

IMAGE_THREADS = 2


def pixel_batches(
    paths: Sequence[str | Path], size: int, batch: int, track: Track = untracked, skip: bool = False
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield rows of `paths` and their pixels (n, size, size, 3) uint8, at most `batch` at once.

    Files are read in threads while the caller works. One that cannot be read raises `DataError`,
    or with `skip` is left out.
    """
    if isinstance(paths, str | Path):
        raise TypeError(f"a list of image files was expected; for one give [{str(paths)!r}]")
    starts = range(0, len(paths), batch)
    groups = [paths[start : start + batch] for start in starts]
    read = map_ahead(partial(_read, size=size, skip=skip), groups, IMAGE_THREADS)
    for start, squares in track(zip(starts, read, strict=True), "images", total=len(starts)):
        good = [(start + n, each) for n, each in enumerate(squares) if each is not None]
        if good:
            yield [row for row, _ in good], np.stack([each for _, each in good])


def stack(parts: list[np.ndarray], embed_dim: int) -> np.ndarray:
    """Return the rows of all parts (n, d) float32; no part at all gives (0, embed_dim)."""
    return np.concatenate(parts) if parts else np.zeros((0, embed_dim), np.float32)


def _read(path: str | Path, size: int, skip: bool) -> np.ndarray | None:
    try:
        return load_square(path, size)
    except DataError:
        if not skip:
            raise
        return None


def listed(texts: Iterable[str]) -> list[str]:
    """Return texts as a list; raises `TypeError` for one text alone, and for what is no text."""
    if isinstance(texts, str):
        raise TypeError(f"a list of texts was expected; for one give [{texts!r}]")
    texts = list(texts)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"a list of texts was expected; {text!r} is none")
    return texts


def text_batches(
    ids: Sequence[Sequence[int]], batch: int, track: Track = untracked
) -> Iterator[list[int]]:
    """Yield rows of `ids`, at most `batch` at once, shortest texts first.

    Texts of like length go together: padding would cost as much as the words do.
    """
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    starts = range(0, len(order), batch)
    for start in track(starts, "captions", total=len(starts)):
        yield order[start : start + batch]
