"""Makes small JPEG pictures of photos as data addresses, for a page that stands alone."""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from PIL import Image

from pairlight.errors import DataError
from pairlight.imaging import open_image
from pairlight.threads import in_threads, untracked

SMALL, LARGE = 128, 300  # pixels of the longer side
PREFIX = "data:image/jpeg;base64,"


def thumbnail(path: Path, size: int = SMALL, quality: int = 70) -> str | None:
    """Return the photo at `path` as base64 of a JPEG, `size` pixels at most; None if unreadable.

    The JPEG holds pixels and nothing else: no place, no date, no camera.
    """
    try:
        image = open_image(path, size)
    except DataError:
        return None
    image.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    # A new image leaves EXIF and colour profiles of the old one behind.
    clean = Image.new("RGB", image.size)
    clean.paste(image)
    clean.save(buffer, "JPEG", quality=quality, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def thumbnails(
    paths: Sequence[Path], size: int = SMALL, track: Callable[..., Iterable] = untracked
) -> list[str | None]:
    """Return `thumbnail` of each path, in order, made in threads."""
    made = in_threads(lambda path: thumbnail(path, size), paths)
    return list(track(made, "thumbnails", len(paths)))
