"""Serves one photo and some of its captions per item, varied by (seed, epoch, index) alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pairlight.config import AugmentConfig
from pairlight.data.augment import augment_image, augment_tokens, names_a_side
from pairlight.errors import DataError
from pairlight.imaging import open_image
from pairlight.types import Photo

# One item: pixels (S, S, 3) uint8, and the number among all captions and the token ids of each
# caption drawn; None for a lost image.
Item = tuple[np.ndarray, list[tuple[int, list[int]]]] | None


class CaptionedPhotos:
    """A map-style dataset indexed by (epoch, index).

    No state but its arguments: the same key gives the same item in any process, order or resumed
    run. `tokens[i][j]` has `ids` and `words` of caption j of photo i.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        tokens: Sequence[Sequence[Any]],
        mask_id: int | None,
        size: int,
        config: AugmentConfig,
        captions_per_image: int,
        seed: int,
    ):
        self.photos, self.tokens, self.mask_id = photos, tokens, mask_id
        self.size, self.config, self.seed = size, config, seed
        self.captions_per_image = captions_per_image
        self._first = np.cumsum([0, *(len(photo.captions) for photo in photos)])

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, key: tuple[int, int]) -> Item:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        photo = self.photos[index]
        chosen = draw_captions(len(photo.captions), self.captions_per_image, rng)
        flip_allowed = not names_a_side([photo.captions[n] for n in chosen])
        try:
            pixels = _varied(photo, self.size, self.config, flip_allowed, rng)
        except DataError:
            return None
        captions = []
        for n in chosen:
            each = self.tokens[index][n]
            ids = augment_tokens(each.ids, each.words, self.mask_id, self.config, rng)
            captions.append((int(self._first[index]) + n, ids))
        return pixels, captions


def augmented_view(
    photo: Photo, size: int, config: AugmentConfig, view: int, index: int
) -> np.ndarray:
    """Return pixels (size, size, 3) uint8 of a view that any of the photo's captions may meet.

    Varied by (`config.seed`, view, index) alone. Raises `DataError` for a lost image.
    """
    rng = np.random.default_rng([config.seed, view, index, 2])
    return _varied(photo, size, config, not names_a_side(list(photo.captions)), rng)


def _varied(photo: Photo, size: int, config: AugmentConfig, flip: bool, rng) -> np.ndarray:
    # A crop of `crop_scale` of the area must still hold `size` pixels a side.
    image = open_image(photo.image, round(size / config.crop_scale**0.5))
    return augment_image(image, size, config, flip, rng)


def draw_captions(available: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """Return up to `wanted` different caption numbers of the `available` ones."""
    return rng.permutation(available)[:wanted].tolist()


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the epoch's shuffled batches of indices; a short last batch is left out.

    A batch larger than the data is cut to the data.
    """
    order = np.random.default_rng([seed, epoch]).permutation(count)
    size = min(batch_size, count)
    return [order[start : start + size].tolist() for start in range(0, count - size + 1, size)]
