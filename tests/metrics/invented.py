"""Invents embeddings with a known relation between images and captions."""

import numpy as np

from pairlight.types import Embeddings


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def invent(n=40, each=3, d=16, noise=1.0, seed=0, named=True, **more):
    """`n` images with `each` captions (a number, or one for every image), `noise` off."""
    rng = np.random.default_rng(seed)
    images = unit(rng.normal(size=(n, d)))
    owner = np.repeat(np.arange(n), each)
    texts = unit(images[owner] + noise * unit(rng.normal(size=(len(owner), d))))
    if named:
        more.setdefault("image_ids", tuple(f"photo {row}" for row in range(n)))
        more.setdefault("captions", tuple(f"caption {row} of {o}" for row, o in enumerate(owner)))
    return Embeddings(images, texts, owner, **more)
