"""Opens image files safely as upright RGB: the one decoding path of training, index and server."""

import os
import stat
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pairlight.errors import DataError

# Larger images are refused from their header, before a byte of pixel memory is taken. Pillow has
# a limit of its own just above, twice `Image.MAX_IMAGE_PIXELS`, and only warns below it.
MAX_PIXELS = 175_000_000
SUFFIXES = tuple(".bmp .gif .jfif .jpe .jpeg .jpg .mpo .png .tif .tiff .webp".split())
# These formats and no others: Pillow's rarer readers are the ones that get attacked.
# The JPEG reader opens MPO (a JPEG of several pictures) as well, and gives its first picture.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_STRIP = 256  # rows
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow warns in passing of damaged EXIF and the like; a file either opens here or is reported.
# A filter set once is safe in threads, `warnings.catch_warnings` is not.
warnings.filterwarnings("ignore", module=r"PIL\.")


def open_image(path: Path | str, size: int | None = None) -> Image.Image:
    """Return the image at `path` as upright RGB, its EXIF rotation applied.

    With `size` (pixels), a JPEG may come smaller than stored, but never below 2 x `size` on
    either side unless it is stored so: decoding is several times faster and resizing to `size`
    gives nearly the same pixels. Transparency is laid over white; 16-bit grey is scaled to 8.
    Raises `DataError`, in one line, for whatever cannot be read.
    """
    return read_upright(Path(path), size)[0]


def check_image(path: Path | str) -> tuple[int, int]:
    """Decode the image at `path` to its end; return its upright (width, height) in pixels.

    Raises `DataError` as `open_image` does.
    """
    return read_upright(Path(path), 32)[1]


def load_square(path: Path | str, size: int) -> np.ndarray:
    """Return the image at `path` squashed to a square: (size, size, 3) uint8, bicubic.

    Raises `DataError` as `open_image` does.
    """
    image = open_image(path, size)
    return np.array(image.resize((size, size), Image.Resampling.BICUBIC))


def read_upright(path: Path, size: int | None) -> tuple[Image.Image, tuple[int, int]]:
    """Return the upright RGB image, as `open_image` does, and the upright size it is stored with.

    Raises `DataError` as `open_image` does.
    """
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        raise DataError(f"{path}: image not found; check the path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from None
    except ValueError:  # a NUL or half a surrogate pair, which no system stores
        raise DataError(f"{str(path)!r}: image not found; no file can have this name") from None
    if not stat.S_ISREG(facts.st_mode):
        raise DataError(f"{path}: not a file; an image was expected")
    if facts.st_size == 0:
        raise DataError(f"{path}: the image file is empty (zero bytes)")
    try:
        with open(path, "rb") as file:
            return _decode(file, path, size)
    except DataError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files.
        why = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: unreadable image: {why}") from None


def _decode(file, path: Path, size: int | None) -> tuple[Image.Image, tuple[int, int]]:
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise DataError(too_large(path, "it")) from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path}: not an image that can be read; JPEG, PNG, WebP, GIF, BMP and TIFF can"
        ) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(too_large(path, f"{width} x {height} pixels"))
    if size is not None:
        image.draft(None, (2 * size, 2 * size))
    image.load()
    orientation = _orientation(image)  # After loading: TIFF has turned itself upright by then.
    rgb = to_rgb(image)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    return rgb, ((height, width) if orientation >= 5 else (width, height))


def too_large(path: Path, what: str, most: int = MAX_PIXELS) -> str:
    """Return what to tell of an image that is `what`: more than `most` pixels."""
    limit = most // 1_000_000
    return f"{path}: {what} is over the limit of {limit} million pixels; scale the image down"


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # Damaged EXIF does not make the picture unreadable.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit RGB: transparency over white, deeper greys scaled."""
    if image.mode == "F" or image.mode.startswith("I"):
        low, high = _range(image)
        convert = partial(_to_8_bit, low=low, high=high)
    elif image.has_transparency_data:
        convert = _over_white
    else:
        return image.convert("RGB")
    rgb = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        rgb.paste(convert(strip), (0, top))
    return rgb


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield an image piece by piece: copies of the whole would take several times its memory."""
    for top in range(0, image.height, _STRIP):
        yield top, image.crop((0, top, image.width, min(top + _STRIP, image.height)))


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the values of an image of more than 8 bits that stand for black and white."""
    ends = []
    for _, strip in _strips(image):
        values = _finite(strip)
        ends += [float(values.min()), float(values.max())]
    low, high = min(ends), max(ends)
    if image.mode == "F" and low >= 0 and high <= 1:
        return 0.0, 1.0
    return (0.0, 65535.0) if low >= 0 and high <= 65535 else (low, high)


def _finite(image: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0.0, neginf=0.0)


def _to_8_bit(image: Image.Image, low: float, high: float) -> Image.Image:
    """Scale greys of more than 8 bits, which Pillow would clip; what is see-through is white."""
    values = _finite(image)
    scaled = (values - low) / max(high - low, 1e-12) * 255
    grey = scaled.round().clip(0, 255).astype(np.uint8)
    if isinstance(clear := image.info.get("transparency"), int):
        grey[values == clear] = 255
    return Image.fromarray(grey).convert("RGB")
