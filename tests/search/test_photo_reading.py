"""Reading one photo: the pixels of training, dates from EXIF, HEIC; embeddings that are none."""

import hashlib
import os

import numpy as np
import pytest
from colours import ColourModel, paint
from PIL import Image

from pairlight import imaging
from pairlight.errors import DataError, ModelError
from pairlight.files import sha256_of
from pairlight.sample import sample_dir
from pairlight.search import photo as module
from pairlight.search.photo import date_taken, open_upright, read_photo, refuse_heavy


def exif(original=None, digitized=None, changed=None):
    data = Image.Exif()
    inner = data.get_ifd(0x8769)
    for tag, value in ((0x9003, original), (0x9004, digitized)):
        if value is not None:
            inner[tag] = value
    if changed is not None:
        data[0x0132] = changed
    return data


def test_pixels_are_those_of_training_and_evaluation():
    for path in sorted((sample_dir() / "images").iterdir())[:5]:
        pixels, facts = read_photo(str(path), 64)
        assert np.array_equal(pixels, imaging.load_square(path, 64))
        assert (facts.width, facts.height) == imaging.check_image(path)
        assert sha256_of(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("data", "date"),
    [
        (exif("2024:05:31 18:20:00"), "2024-05-31T18:20:00"),
        (exif("2024:05:31 18:20:00", "2025:01:01 00:00:00", "2026:01:01 00:00:00"),
         "2024-05-31T18:20:00"),
        (exif(None, "2025:01:01 00:00:00"), "2025-01-01T00:00:00"),
        (exif(None, None, "2026:02:03 04:05:06"), "2026-02-03T04:05:06"),
        (exif("0000:00:00 00:00:00", None, "2026:02:03 04:05:06"), "2026-02-03T04:05:06"),
        (exif("    :  :     :  :  "), None),
        (exif("2024:02:30 10:00:00"), None),
        (exif("rubbish"), None),
        (exif(), None),
    ],
)  # fmt: skip
def test_date_taken(data, date):
    assert date_taken(data) == date


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_dates_of_files(tmp_path, kind):
    path = paint(tmp_path / "a", "red", format=kind, exif=exif("2019:07:14 12:30:05").tobytes())
    assert read_photo(str(path), 16)[1].taken == "2019-07-14T12:30:05"
    assert read_photo(str(paint(tmp_path / "b", "red", format=kind)), 16)[1].taken is None


def test_upright_size_is_told(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    path = paint(tmp_path / "a.jpg", "red", size=(40, 20), format="JPEG", exif=turned.tobytes())
    facts = read_photo(str(path), 16)[1]
    assert (facts.width, facts.height) == (20, 40)


def test_heic_without_its_reader_tells_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "heif_reader", lambda: None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(DataError, match="pairlight\\[heic\\]"):
        read_photo(str(tmp_path / "a.heic"), 16)


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    plain = Image.open(paint(tmp_path / "a.png", "red", "blue", size=(64, 32)), formats=["PNG"])
    path = tmp_path / "a.HEIC"
    image = heif.from_pillow(plain.convert("RGB"))
    image.save(path, quality=90, exif=exif("2019:07:14 12:30:05").tobytes())
    pixels, facts = read_photo(str(path), 16)
    assert (facts.width, facts.height, facts.taken) == (64, 32, "2019-07-14T12:30:05")
    near = pixels.astype(int) - np.array(plain.convert("RGB").resize((16, 16)), int)
    assert np.abs(near).mean() < 16
    assert open_upright(str(path), 8).size == (64, 32)
    other = tmp_path / "b.jpg"
    other.write_bytes(path.read_bytes())
    assert np.array_equal(read_photo(str(other), 16)[0], pixels)
    assert open_upright(str(other), 8).size == (64, 32)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"a\.HEIC: unreadable image"):
        read_photo(str(path), 16)
    with pytest.raises(DataError, match="not found"):
        read_photo(str(tmp_path / "none.heic"), 16)


def test_photos_that_take_much_memory_are_refused_where_asked(tmp_path):
    png = paint(tmp_path / "a.png", "red", size=(40, 30))
    refuse_heavy(str(png), 16, 1200)
    with pytest.raises(DataError, match="40 x 30 pixels is over the limit of 0 million pixels"):
        refuse_heavy(str(png), 16, 1199)
    jpeg = paint(tmp_path / "a.jpg", "red", size=(1600, 1600), format="JPEG")
    refuse_heavy(str(jpeg), 50, 200 * 200)  # an eighth of its width is enough
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (64, 64))).save(tmp_path / "a.heic")
    with pytest.raises(DataError, match="64 x 64"):
        refuse_heavy(str(tmp_path / "a.heic"), 16, 4000)
    refuse_heavy(str(tmp_path / "none.png"), 16, 1)


def test_a_jpeg_under_the_name_of_a_heic_is_read(tmp_path):
    jpeg = paint(tmp_path / "a.jpg", "red", format="JPEG")
    path = jpeg.rename(tmp_path / "a.heic")
    assert read_photo(str(path), 16)[0].mean(axis=(0, 1)).argmax() == 0


def test_huge_heic_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    heif.from_pillow(Image.new("RGB", (64, 64))).save(path)
    monkeypatch.setattr(imaging, "MAX_PIXELS", 1000)
    with pytest.raises(DataError, match="over the limit"):
        read_photo(str(path), 16)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_no_photo_and_is_not_waited_for(tmp_path):
    for name in ("pipe.jpg", "pipe.heic"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(DataError, match="not a file"):
            read_photo(str(tmp_path / name), 64)


def test_an_embedding_that_is_no_number_is_not_stored(index, photos, read):
    bad = ColourModel()
    original = bad.encode_pixels

    def poisoned(pixels):
        vectors = original(pixels)
        vectors[vectors @ bad.encode_texts(["red"])[0] > 0.99] = np.nan
        return vectors

    bad.encode_pixels = poisoned
    report = index(photos, model=bad)
    assert report.counts["added"] == 4 and "no embedding" in report.skipped[str(photos / "red.png")]
    assert np.isfinite(read("vectors")[1]).all()


def test_a_model_that_gives_other_shapes_is_told(index, photos):
    bad = ColourModel()
    bad.encode_pixels = lambda pixels: np.zeros((1, 3), np.float32)
    with pytest.raises(ModelError, match="was expected"):
        index(photos, model=bad)
