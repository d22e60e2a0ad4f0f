"""Checks that every kind of image file opens as upright RGB or is refused in one line."""

import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from pairlight import imaging
from pairlight.errors import DataError
from pairlight.imaging import MAX_PIXELS, check_image, load_square, open_image


def png_with_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp", "tiff", "mpo"])
def test_formats_open(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    gradient().save(path)
    image = open_image(path)
    assert image.mode == "RGB" and image.size == (64, 48)
    assert check_image(path) == (64, 48)
    if suffix != "gif":  # A GIF has 256 colours for a gradient of 3,072.
        assert np.abs(np.asarray(image, int) - np.asarray(gradient(), int)).mean() < 4


def test_other_formats_are_refused(tmp_path):
    path = tmp_path / "a.jpg"
    gradient().save(path, format="PPM")
    with pytest.raises(DataError, match="not an image that can be read"):
        open_image(path)


def test_cmyk(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 0, 0)).save(path)
    red, green, blue = open_image(path).getpixel((8, 8))
    assert red > 240 and green < 15 and blue > 240


def test_palette_with_transparency_lies_on_white(tmp_path):
    path = tmp_path / "a.png"
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((1, 1), 1)
    image.save(path, transparency=0)
    opened = open_image(path)
    assert opened.getpixel((0, 0)) == (255, 255, 255)
    assert opened.getpixel((1, 1)) == (255, 0, 0)


@pytest.mark.parametrize(("mode", "clear"), [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))])
def test_alpha_lies_on_white(tmp_path, mode, clear):
    path = tmp_path / "a.png"
    Image.new(mode, (4, 4), clear).save(path)
    assert open_image(path).getpixel((2, 2)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(path)
    values = np.asarray(open_image(path))[:, :, 0].reshape(-1)
    np.testing.assert_allclose(values, np.arange(256), atol=1)


def test_16_bit_grey_with_a_transparent_value_is_scaled_too(tmp_path):
    path = tmp_path / "a.png"
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(path, transparency=0)
    values = np.asarray(open_image(path))[:, :, 0].reshape(-1)
    np.testing.assert_allclose(values, [255, *range(1, 256)], atol=1)


@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_tall_images_are_converted_in_pieces_without_seams(tmp_path, mode):
    path = tmp_path / "a.png"
    height = 2 * imaging._STRIP + 7
    ramp = np.linspace(0, 255, height)[:, None].repeat(4, 1)
    if mode == "RGBA":
        see_through = np.full_like(ramp, 128)
        pixels = np.stack([ramp, ramp, ramp, see_through], 2).astype(np.uint8)
        want = pixels[:, :, 0] * (128 / 255) + 255 * (127 / 255)
    else:
        pixels = (ramp * 257).astype(np.uint16)
        want = pixels / 257
    Image.fromarray(pixels).save(path)
    np.testing.assert_allclose(np.asarray(open_image(path))[:, :, 0], want, atol=1)


def test_float_tiff_with_nan(tmp_path):
    path = tmp_path / "a.tiff"
    values = np.array([[0.0, 0.5], [1.0, np.nan]], np.float32)
    Image.fromarray(values).save(path)
    assert np.asarray(open_image(path))[:, :, 0].tolist() == [[0, 128], [255, 0]]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path, suffix, orientation):
    """A picture stored in each of the eight ways comes back the same way up."""
    upright = gradient(64, 48)
    inverse = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # Pillow's transpositions
    stored = upright if inverse is None else upright.transpose(Image.Transpose(inverse))
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, exif=exif, quality=95)
    opened = open_image(path)
    assert opened.size == (64, 48) and check_image(path) == (64, 48)
    assert np.abs(np.asarray(opened, int) - np.asarray(upright, int)).mean() < 6


def test_damaged_exif_is_no_reason_to_refuse(tmp_path):
    path = tmp_path / "a.jpg"
    gradient().save(path, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pytest undoes the filter that the module sets.
        assert open_image(path).size == (64, 48)


def test_1x1(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (1, 1), (1, 2, 3)).save(path)
    assert check_image(path) == (1, 1)
    assert (load_square(path, 32) == [1, 2, 3]).all()


@pytest.mark.parametrize("how", ["truncated", "zero", "text", "missing", "folder", "bomb"])
def test_bad_files_give_one_line(tmp_path, how):
    path = tmp_path / "a.jpg"
    words = {
        "truncated": "unreadable image",
        "zero": "empty",
        "text": "not an image",
        "missing": "not found",
        "folder": "not a file",
        "bomb": "over the limit of 175 million pixels",
    }
    if how == "truncated":
        gradient(400, 300).save(path)
        path.write_bytes(path.read_bytes()[:1500])
    elif how == "zero":
        path.touch()
    elif how == "text":
        path.write_text("a dog\n")
    elif how == "folder":
        path.mkdir()
    elif how == "bomb":
        path.write_bytes(png_with_header(20_000, 20_000))
    for read in (open_image, check_image, lambda path: load_square(path, 32)):
        with pytest.raises(DataError, match=words[how]) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_pillows_own_limit_does_not_leak(tmp_path):
    """A header between Pillow's warning limit and ours fails for its pixels, without a warning."""
    path = tmp_path / "a.png"
    path.write_bytes(png_with_header(10_000, 10_000))
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS < 10_000 * 10_000 < MAX_PIXELS < 2 * Image.MAX_IMAGE_PIXELS
    # In a process of its own: pytest brings warning filters of its own.
    code = (
        "import sys; from pairlight.imaging import open_image, DataError\n"
        "try: open_image(sys.argv[1])\n"
        "except DataError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert "unreadable image" in done.stdout and done.stderr == ""


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_our_limit_names_the_size(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_with_header(17_600, 10_000))
    with pytest.raises(DataError, match="17600 x 10000 pixels is over the limit of 175 million"):
        open_image(path)


def test_draft_keeps_twice_the_size(tmp_path):
    path = tmp_path / "a.jpg"
    gradient(2000, 1500).save(path)
    drafted = open_image(path, 224)
    assert 448 <= min(drafted.size) < 1500
    assert check_image(path) == (2000, 1500)


def test_load_square(tmp_path):
    path = tmp_path / "a.jpg"
    gradient(640, 480).save(path, quality=95)
    square = load_square(path, 64)
    assert square.shape == (64, 64, 3) and square.dtype == np.uint8
    assert square.flags.writeable
    whole = gradient(640, 480).resize((64, 64), Image.Resampling.BICUBIC)
    assert np.abs(square.astype(int) - np.asarray(whole, int)).mean() < 2


def test_threads_agree(tmp_path):
    paths = []
    for number in range(8):
        paths.append(tmp_path / f"{number}.{['jpg', 'png', 'webp', 'gif'][number % 4]}")
        gradient(100 + number, 80).save(paths[-1])
    alone = [load_square(path, 32) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda path: load_square(path, 32), paths * 5))
    for number, square in enumerate(together):
        assert (square == alone[number % 8]).all()
