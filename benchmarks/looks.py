"""Measures what a model finds when photos are embedded as the mean of several looks at them.

    python benchmarks/looks.py --manifest flickr8k.jsonl --model pretrained --out looks

A look is the photo, its middle enlarged, its mirror image, or that of the middle; `--looks 3` of
`index` and `evaluate` takes the first three. Embeddings of val are kept in OUT; OUT/table.md has
the recalls.
"""

import argparse
from pathlib import Path

import numpy as np
from hubs import write_table

from pairlight.data.manifest import read_split
from pairlight.embed import Encoder, load_model, owners
from pairlight.output import Output
from pairlight.runtime.batches import pixel_batches
from pairlight.runtime.looks import MIDDLE, middle
from pairlight.train.validate import scores
from pairlight.types import Embeddings, Photo

NAMES = ("the photo", f"its middle ({MIDDLE:.0%} of each side)", "its mirror image", "its middle's")
SETS = ((0,), (1,), (2,), (3,), (0, 1), (0, 2), (0, 1, 2), (0, 1, 2, 3))


def seen(pixels: np.ndarray) -> list[np.ndarray]:
    """Return the looks at pixels (n, S, S, 3) uint8, in the order of `NAMES`."""
    inner = middle(pixels)
    return [pixels, inner, pixels[:, :, ::-1], inner[:, :, ::-1]]


def embedded(model: Encoder, photos: list[Photo], out: Path, output: Output) -> list[np.ndarray]:
    """Return embeddings of the photos by each look, then those of their captions."""
    path = out / f"looks_{model.sha256[:12]}.npz"
    if not path.exists():
        parts: list[list[np.ndarray]] = [[] for _ in NAMES]
        paths = [photo.image for photo in photos]
        for _, pixels in pixel_batches(paths, model.image_size, 32, output.track):
            for part, each in zip(parts, seen(pixels), strict=True):
                part.append(model.encode_pixels(each))
        texts = model.encode_texts([text for photo in photos for text in photo.captions])
        np.savez(path, *map(np.concatenate, parts), texts)
    with np.load(path, allow_pickle=False) as held:
        return [held[name] for name in held.files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = load_model(options.model)
    photos = [photo for photo in read_split(options.manifest, "val")[0] if photo.captions]
    *views, texts = embedded(model, photos, options.out, Output())
    found = []
    for chosen in SETS:
        images = np.sum([views[n] for n in chosen], axis=0)
        images /= np.linalg.norm(images, axis=1, keepdims=True)
        val = scores(Embeddings(images, texts, owners(photos)), model.logit_scale)
        found.append((" + ".join(NAMES[n] for n in chosen), val))
    write_table(options.out, "mean of", found)


if __name__ == "__main__":
    main()
