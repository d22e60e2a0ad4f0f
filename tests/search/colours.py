"""A tiny model whose right answers anyone can see: shares of colours, and the words for them."""

import hashlib
import re
import time
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 30),
    "blue": (30, 30, 220),
    "yellow": (230, 220, 40),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
}
NAMES = list(COLOURS)


def names(result):
    """Return the file names of a search's hits, best first."""
    return [Path(hit.photo.path).name for hit in result.hits]


class ColourModel:
    """Embeds a picture as its shares of six colours, a text as the colours that it names."""

    name = "colours"
    sha256 = hashlib.sha256(b"colours").hexdigest()
    embed_dim = 8
    image_size = 16

    def __init__(self, sha256=None, delay=0.0):
        self.sha256 = sha256 or self.sha256
        self.delay = delay
        self.encoded = 0

    def encode_pixels(self, pixels):
        assert pixels.dtype == np.uint8 and pixels.shape[1:] == (16, 16, 3)
        time.sleep(self.delay)
        self.encoded += len(pixels)
        anchors = np.array(list(COLOURS.values()), float)  # (6, 3)
        distances = np.linalg.norm(pixels[..., None, :] - anchors, axis=-1)  # (n, 16, 16, 6)
        nearest = distances.argmin(axis=-1).reshape(len(pixels), -1)
        shares = np.stack([(nearest == colour).mean(axis=1) for colour in range(len(anchors))], 1)
        return unit(np.pad(shares, ((0, 0), (0, self.embed_dim - len(anchors)))))

    def encode_texts(self, texts):
        rows = np.zeros((len(texts), self.embed_dim))
        for row, text in zip(rows, texts, strict=True):
            words = re.findall(r"[a-z]+", text.lower())
            for word in words:
                if word in COLOURS:
                    row[NAMES.index(word)] += 1
            if not row.any():
                row[-1] = 1  # what the model has never seen
        return unit(rows)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def paint(path, *colours, size=(48, 32), seed=0, **save):
    """Save a picture of vertical stripes; equal colours with another seed differ in a pixel."""
    width = size[0] // len(colours)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for place, colour in enumerate(colours):
        end = size[0] if place == len(colours) - 1 else (place + 1) * width
        pixels[:, place * width : end] = COLOURS[colour]
    pixels[0, 0] = (seed // 65536 % 256, seed // 256 % 256, seed % 256)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **{"format": "PNG", **save})
    return path
