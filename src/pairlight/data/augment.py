"""Varies images and captions for training; every choice comes from the generator given."""

import math
import re

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from pairlight.config import AugmentConfig

# A mirrored image makes these captions wrong.
SIDED = re.compile(r"\b(left|right)\b|[左右]", re.IGNORECASE)


def augment_image(
    image: Image.Image,
    size: int,
    config: AugmentConfig,
    flip_allowed: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return (size, size, 3) uint8: a random resized crop, maybe flipped, colours jittered."""
    box = crop_box(image.width, image.height, config.crop_scale, rng)
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
    # Drawn whether or not it is used, so that a caption's words do not shift later choices.
    if rng.random() < config.flip and flip_allowed:
        image = ImageOps.mirror(image)
    if config.jitter:
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(rng.uniform(1 - config.jitter, 1 + config.jitter))
    return np.asarray(image)


def crop_box(
    width: int, height: int, smallest: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom) of a random resized crop (Szegedy et al. 2015, section 6).

    It keeps `smallest` to 1 of the area and changes the aspect ratio by up to 4/3.
    """
    if smallest >= 1:
        return 0, 0, width, height
    area = rng.uniform(smallest, 1)
    stretch = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    w = width * min(1, math.sqrt(area * stretch))
    h = height * min(1, math.sqrt(area / stretch))
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return left, top, left + w, top + h


def names_a_side(captions: list[str]) -> bool:
    """Return whether any caption says left or right."""
    return any(SIDED.search(caption) for caption in captions)


def augment_tokens(
    ids: list[int],
    words: list[int | None],
    mask_id: int | None,
    config: AugmentConfig,
    rng: np.random.Generator,
) -> list[int]:
    """Return token ids with some words left out and some tokens masked.

    `words` gives each token's word number, None for special tokens, which always stay; at least
    one word stays too.
    """
    drop_word = rng.random(len(ids)) < config.word_dropout
    mask_token = rng.random(len(ids)) < config.token_dropout
    gone = {word for word in words if word is not None and drop_word[word]}
    if gone >= {word for word in words if word is not None}:
        gone = set()
    kept = []
    for n, (token, word) in enumerate(zip(ids, words, strict=True)):
        if word in gone:
            continue
        masked = word is not None and mask_id is not None and mask_token[n]
        kept.append(mask_id if masked else token)
    return kept  # type: ignore[return-value]
