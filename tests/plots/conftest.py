"""Shares what the picture tests need: sample photos, and a look at what was drawn."""

import json

import numpy as np
import pytest
from PIL import Image

from pairlight.sample import sample_dir


@pytest.fixture
def photos():
    """Paths of the bundled sample's photos."""
    return sorted((sample_dir() / "images").iterdir())


@pytest.fixture
def captions():
    """The first caption of each of the bundled sample's photos, in order of file name."""
    records = json.loads((sample_dir() / "captions.json").read_text(encoding="utf-8"))
    return [r["captions"][0] for r in sorted(records, key=lambda record: record["file_name"])]


@pytest.fixture
def drawn():
    """Return a function that decodes a PNG to (H, W, 3) uint8 and checks it is not blank."""

    def decode(path):
        with Image.open(path) as image:
            assert image.format == "PNG"
            pixels = np.asarray(image.convert("RGB"))
        assert min(pixels.shape[:2]) >= 250
        packed = pixels.astype(np.int32) @ [65536, 256, 1]  # (H, W), one number a colour
        assert len(np.unique(packed)) > 50
        return pixels

    return decode


@pytest.fixture
def has_color():
    """Return a function that counts the pixels of exactly one colour, given as #RRGGBB."""

    def count(pixels, color):
        wanted = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
        return int((pixels == wanted).all(axis=-1).sum())

    return count
