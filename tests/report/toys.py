"""A model that needs no weights, and captions and names that mean harm."""

import hashlib

import numpy as np

from pairlight.types import Embeddings

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\"> & 'quotes' \"\" <!-- <b>",
    "שלום עולם, a dog \u202e txet",
    "一只狗在海滩上奔跑 🐕‍🦺",
    "a \u2028 line, a $policy and a ${title} <!--DATA-->",
)
NAME = "<i>x</i>&amp;.jpg"


class Toy:
    """Embeds a photo or a text by its hash; a photo's own captions come near it, most of them."""

    name, embed_dim, image_size, parameters, logit_scale = "toy <b>", 16, 32, 1000, 14.0
    sha256 = hashlib.sha256(b"toy").hexdigest()

    def encode_texts(self, texts, track=None):
        """Return (n, 16) float32 of unit length."""
        return unit([self.direction(text) for text in texts])

    def direction(self, text):
        seed = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4]
        return np.random.default_rng(int.from_bytes(seed)).normal(size=16)

    def encode_pixels(self, pixels):
        """Return (n, 16) float32 of unit length."""
        flat = pixels.reshape(len(pixels), -1, 3).astype(np.float64)
        random = np.random.default_rng(0).normal(size=(flat.shape[1], 16))
        return unit((flat.mean(axis=2) - flat.mean()) @ random)


def unit(rows):
    rows = np.asarray(rows, np.float64).reshape(-1, 16)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def embedded(photos, toy, noise=0.9):
    """Return embeddings of `photos` in which about half of the captions find their photo."""
    rng = np.random.default_rng(0)
    images = unit([toy.direction(photo.image_id) for photo in photos])
    owner = np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos])
    texts = unit(images[owner] + noise / 4 * rng.normal(size=(len(owner), 16)) * 2)
    captions = tuple(text for photo in photos for text in photo.captions)
    ids = tuple(photo.image_id for photo in photos)
    paths = tuple(photo.image for photo in photos)
    return Embeddings(images, texts, owner, ids, captions, paths)
