"""Reads one photo file: its hash, its pixels at the model's size, and when it was taken."""

import contextlib
import os
import re
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from pairlight import imaging
from pairlight.errors import DataError
from pairlight.search.records import Facts

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
# Photos that cameras and programs make and that are not read: named, so that nobody misses them.
UNREAD_SUFFIXES = tuple(
    ".3fr .arw .avif .cr2 .cr3 .dng .jp2 .jxl .nef .orf .pef .psd .raf .raw .rw2 .srw .svg".split()
)
NO_HEIF = "HEIC needs pillow-heif; pip install 'pairlight[heic]'"
_DATE = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_EXIF_FOLDER, _ORIGINAL, _DIGITIZED, _CHANGED = 0x8769, 0x9003, 0x9004, 0x0132


@cache
def heif_reader():
    """Return the module pillow_heif, or None where it is not installed."""
    try:
        import pillow_heif
    except ImportError:
        return None
    return pillow_heif


def is_heif(path: str) -> bool:
    """Whether a file is HEIC: phones and programs name such files .jpg, and JPEGs .heic, too."""
    named = path.lower().endswith(HEIF_SUFFIXES)
    if not os.path.isfile(path):  # opening a pipe would wait for ever
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError:
        return named  # whoever opens it next tells why
    if named:
        return not head.startswith(b"\xff\xd8\xff")
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def read_photo(path: str, size: int) -> tuple[np.ndarray, Facts]:
    """Return pixels (size, size, 3) uint8, as `imaging.load_square` does, and the photo's facts.

    Raises `DataError`, in one line, for whatever cannot be read.
    """
    if is_heif(path):
        image, upright = _read_heif(path)
        taken = date_taken(image.getexif())
    else:
        # The very path of training and evaluation: another one would make embeddings drift.
        image, upright = imaging.read_upright(Path(path), size)
        taken = _date_in_header(path)
    pixels = np.array(image.resize((size, size), Image.Resampling.BICUBIC))
    return pixels, Facts(*upright, taken)


def refuse_heavy(path: str, size: int, most: int) -> None:
    """Raise `DataError` for a photo whose decoding would hold more than `most` pixels.

    A JPEG is decoded near `size`, whatever its own; all else is decoded whole.
    """
    try:
        if is_heif(path):
            width, height = heif_reader().open_heif(path).size  # type: ignore[union-attr]
        else:
            with Image.open(path, formats=imaging.FORMATS) as image:
                image.draft(None, (2 * size, 2 * size))
                width, height = image.size
    except Exception:
        return  # whoever decodes it tells why it cannot be
    if width * height > most:
        raise DataError(imaging.too_large(Path(path), f"{width} x {height} pixels", most))


def open_upright(path: str, size: int) -> Image.Image:
    """Return a photo as upright RGB, at least 2 x `size` where it is stored so; `DataError`."""
    if is_heif(path):
        return _read_heif(path)[0]
    return imaging.open_image(path, size)


def date_taken(exif: Image.Exif) -> str | None:
    """Return when a photo was taken, as `2024-05-31T18:20:00` (the camera's local time), or None.

    The first sound one of DateTimeOriginal, DateTimeDigitized and DateTime counts; cameras whose
    clock was never set write zeros or blanks, which are no date.
    """
    try:
        inner = exif.get_ifd(_EXIF_FOLDER)
        values = [inner.get(_ORIGINAL), inner.get(_DIGITIZED), exif.get(_CHANGED)]
    except Exception:  # Damaged EXIF does not make a photo unreadable.
        return None
    for value in values:
        match = _DATE.match(value.strip()) if isinstance(value, str) else None
        if match:
            with contextlib.suppress(ValueError):  # no such day
                date = "{}-{}-{}T{}:{}:{}".format(*match.groups())
                return datetime.fromisoformat(date).isoformat()
    return None


def _date_in_header(path: str) -> str | None:
    # Only the header is read, of a file that has just been decoded whole and found sound.
    try:
        with Image.open(path, formats=imaging.FORMATS) as image:
            return date_taken(image.getexif())  # of a TIFF read only now, from the open file
    except Exception:
        return None


def _read_heif(path: str) -> tuple[Image.Image, tuple[int, int]]:
    """Return the upright RGB image, EXIF in its `info`; libheif applies the rotation itself."""
    reader = heif_reader()
    if reader is None:
        raise DataError(f"{path}: {NO_HEIF}")
    try:
        with open(path, "rb") as file:
            heif = reader.open_heif(file)
            width, height = heif.size
            if width * height > imaging.MAX_PIXELS:
                raise DataError(imaging.too_large(Path(path), f"{width} x {height} pixels"))
            image = heif.to_pillow()
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror or error}") from None
    except Exception as error:  # libheif's wrapper raises many kinds for damaged files
        why = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: unreadable image: {why}") from None
    rgb = imaging.to_rgb(image)
    rgb.info = image.info
    return rgb, image.size
