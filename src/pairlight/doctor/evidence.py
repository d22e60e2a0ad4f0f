"""Measures what speaks for a caption on a photo: how it fits, and what the others there say."""

from dataclasses import dataclass

import numpy as np

_SIBLINGS = 8  # of a photo's captions at most so many have a say about another
_TINY = 1e-6
SIGNALS = ("caption", "photo", "rank", "siblings")


@dataclass
class Space:
    """One way to compare: images (n, r) and texts (m, r) of unit length.

    `photo_refs` and `caption_refs` are the rows that a score is compared with.
    """

    images: np.ndarray
    texts: np.ndarray
    photo_refs: np.ndarray
    caption_refs: np.ndarray

    def __post_init__(self) -> None:
        scores = self.images @ self.texts[self.caption_refs].T  # (n, R)
        self.mean, self.std = scores.mean(axis=1), scores.std(axis=1) + _TINY

    def signals(
        self, captions: np.ndarray, photos: np.ndarray, beside: np.ndarray, there: np.ndarray
    ) -> list[np.ndarray]:
        """Return four signals, each (q,), of captions on photos; the higher, the better they fit.

        How far the score is above the caption's scores with other photos, and above the photo's
        with other captions (in standard deviations); the logarithm of the photo's rank; and how
        far above the captions `beside` (q, s), where `there`.
        """
        texts = self.texts[captions]
        own = np.einsum("qd,qd->q", texts, self.images[photos])
        scores = texts @ self.images[self.photo_refs].T  # (q, R)
        by_caption = (own - scores.mean(axis=1)) / (scores.std(axis=1) + _TINY)
        by_photo = (own - self.mean[photos]) / self.std[photos]
        rank = -np.log((1 + (scores >= own[:, None]).sum(axis=1)) / (1 + scores.shape[1]))
        others = np.einsum("qsd,qd->qs", self.texts[beside], self.images[photos])
        usual = (_mean(others, there) - self.mean[photos]) / self.std[photos]
        return [by_caption, by_photo, rank, np.where(there.any(axis=1), by_photo - usual, 0)]

    def fits(self, captions: np.ndarray) -> np.ndarray:
        """Return (q, n): scores with every photo, in the caption's standard deviations."""
        scores = self.texts[captions] @ self.images.T
        return (scores - scores.mean(axis=1, keepdims=True)) / (
            scores.std(axis=1, keepdims=True) + _TINY
        )


@dataclass
class Words:
    """Compares captions with each other: texts (m, q), centred and of unit length."""

    texts: np.ndarray
    refs: np.ndarray

    def signals(
        self, captions: np.ndarray, beside: np.ndarray, there: np.ndarray
    ) -> list[np.ndarray]:
        """Return two signals, each (q,): likeness to the captions beside, on average and at most.

        In standard deviations above the caption's likeness to captions of any photo; 0 where no
        other caption is.
        """
        texts = self.texts[captions]
        usual = texts @ self.texts[self.refs].T  # (q, R)
        middle, spread = usual.mean(axis=1), usual.std(axis=1) + _TINY
        alike = np.einsum("qd,qsd->qs", texts, self.texts[beside])
        alike = (alike - middle[:, None]) / spread[:, None]
        most = np.where(there, alike, -np.inf).max(axis=1)
        return [_mean(alike, there), np.where(there.any(axis=1), most, 0)]


def sibling_table(owner: np.ndarray, photos: int, rng: np.random.Generator) -> np.ndarray:
    """Return (photos, s) int: each photo's captions, -1 where it has fewer; s is at most 8."""
    order = rng.permutation(len(owner))
    order = order[np.argsort(owner[order], kind="stable")]
    starts = np.searchsorted(owner[order], np.arange(photos))
    place = np.arange(len(owner)) - starts[owner[order]]
    table = np.full((photos, min(_SIBLINGS, int(place.max()) + 1)), -1)
    kept = place < table.shape[1]
    table[owner[order][kept], place[kept]] = order[kept]
    return table


def _mean(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    return (values * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
