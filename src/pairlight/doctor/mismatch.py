"""Ranks captions by how likely they stand on the wrong photo, each judged by models without it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pairlight.doctor.evidence import SIGNALS, Space, Words, sibling_table
from pairlight.doctor.logistic import fit_logistic
from pairlight.doctor.mapping import centred, correlate, unit

FOLDS = 5
FEWEST = 20  # photos; of fewer, four fifths are too few to fit anything on
# One caption in a hundred is taken to be wrong before it is looked at: from this doubt on it more
# likely is than not.
PRIOR = 0.01
SURE = float(np.log((1 - PRIOR) / PRIOR))
_REFERENCES = 1000  # photos, and captions, that each score is compared with
_DIM = 128  # of the shared space of the correlation maps
_DRAWS = 2  # random photos that each caption is put on, to learn what wrong looks like
_CHUNK = 1024


@dataclass
class Judge:
    """Embeddings dealt into folds; for each fold, maps that were fitted on the others.

    `images` (n, p) and `texts` (m, q) rows of unit length, `owner` (m,) rows of `images`, `fold`
    (n,). With `shared` both lie in one space (p = q), as a dual encoder's do.
    """

    images: np.ndarray
    texts: np.ndarray
    owner: np.ndarray
    shared: bool
    rng: np.random.Generator

    def __post_init__(self) -> None:
        count, captions = len(self.images), len(self.texts)
        self.fold = self.rng.permutation(count) % FOLDS
        self.photo_refs = self.rng.permutation(count)[:_REFERENCES]
        self.caption_refs = self.rng.permutation(captions)[:_REFERENCES]
        self.siblings = sibling_table(self.owner, count, self.rng)
        self._spaces: dict[int, list[Space]] = {}
        self.words = Words(centred(self.texts), self.caption_refs)

    def names(self) -> list[str]:
        """Return the names of the signals, in order: the way to compare, then the signal."""
        ways = ["map", "model"] if self.shared else ["map"]
        fits = [f"{way}.{name}" for way in ways for name in SIGNALS]
        return [*fits, "words.mean", "words.most"]

    def spaces(self, fold: int) -> list[Space]:
        """Return the ways to compare captions and photos of `fold`; no map has seen them."""
        if fold not in self._spaces:  # fitting is the slow part, and is asked for many times
            self._spaces[fold] = self._fit(fold)
        return self._spaces[fold]

    def _fit(self, fold: int) -> list[Space]:
        outside = self.fold != fold
        known = np.flatnonzero(outside[self.owner])
        centre, middle = self.images[outside].mean(axis=0), self.texts[known].mean(axis=0)
        to_image, to_text = correlate(
            self.images - centre, self.texts[known] - middle, self.owner[known], _DIM
        )
        mapped = unit((self.images - centre) @ to_image), unit((self.texts - middle) @ to_text)
        pairs = [mapped, (self.images, self.texts)] if self.shared else [mapped]
        return [Space(*pair, self.photo_refs, self.caption_refs) for pair in pairs]

    def signals(
        self, spaces: list[Space], captions: np.ndarray, photos: np.ndarray, drop: bool
    ) -> np.ndarray:
        """Return (q, s) of captions placed on photos, beside the captions that are there.

        With `drop` one of those is left out: a stranger stands beside as many as an own caption.
        """
        parts = []
        for start in range(0, len(captions), _CHUNK):
            some, there = captions[start : start + _CHUNK], photos[start : start + _CHUNK]
            beside = self.siblings[there]
            known = (beside >= 0) & (beside != some[:, None])
            if drop:
                lot = self.rng.random(known.shape) * known
                known[np.arange(len(some)), lot.argmax(axis=1)] = False
            found = [s for space in spaces for s in space.signals(some, there, beside, known)]
            parts.append(np.stack([*found, *self.words.signals(some, beside, known)], axis=1))
        return np.concatenate(parts)

    def folds(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield each fold's number, its captions and its photos."""
        for fold in range(FOLDS):
            inside = self.fold == fold
            yield fold, np.flatnonzero(inside[self.owner]), np.flatnonzero(inside)


@dataclass(frozen=True)
class Evidence:
    """Signals of captions: on their own photo, by fold, and on strange photos of their fold.

    `own` has each fold's captions (k,) and their signals (k, s); `strange` (r, s) with `fold` (r,).
    """

    own: list[tuple[np.ndarray, np.ndarray]]
    strange: np.ndarray
    fold: np.ndarray


def gather(judge: Judge) -> Evidence:
    """Return the signals of every caption where it stands, and where it was put at random."""
    own, strange, whose = [], [], []
    for fold, captions, photos in judge.folds():
        spaces = judge.spaces(fold)
        own.append((captions, judge.signals(spaces, captions, judge.owner[captions], False)))
        for _ in range(_DRAWS):
            drawn = _others(judge.owner[captions], photos, judge.rng)
            strange.append(judge.signals(spaces, captions, drawn, True))
            whose.append(np.full(len(captions), fold))
    return Evidence(own, np.concatenate(strange), np.concatenate(whose))


def doubts(evidence: Evidence, columns: Sequence[int] | None = None) -> np.ndarray:
    """Return (m,): log odds that a caption was put on its photo at random, not written for it.

    Before any prior. A logistic model, fitted on the other folds, tells captions on their photo
    from the same captions put on photos of their fold drawn at random. `columns` are the signals
    to go by (see `Judge.names`), all by default.
    """
    chosen = slice(None) if columns is None else list(columns)
    out = np.zeros(sum(len(captions) for captions, _ in evidence.own))
    for fold, (captions, found) in enumerate(evidence.own):
        right = np.concatenate([each for n, (_, each) in enumerate(evidence.own) if n != fold])
        wrong = evidence.strange[evidence.fold != fold]
        truth = np.repeat([False, True], [len(right), len(wrong)])
        weights, bias = fit_logistic(np.concatenate([right, wrong])[:, chosen], truth)
        out[captions] = found[:, chosen] @ weights + bias - np.log(len(wrong) / len(right))
    return out


def better_photos(
    judge: Judge, captions: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for some captions (k,) their own score, the row of the best other photo, its score.

    Scores are in standard deviations above what the caption scores with photos on average.
    """
    captions = np.asarray(captions, int)
    own, best, score = (
        np.zeros(len(captions)),
        np.zeros(len(captions), int),
        np.zeros(len(captions)),
    )
    home = judge.fold[judge.owner[captions]]
    for fold in np.unique(home):
        places = np.flatnonzero(home == fold)
        spaces = judge.spaces(int(fold))
        for start in range(0, len(places), _CHUNK):
            part = places[start : start + _CHUNK]
            fits = np.mean([space.fits(captions[part]) for space in spaces], axis=0)
            rows, mine = np.arange(len(part)), judge.owner[captions[part]]
            own[part] = fits[rows, mine]
            fits[rows, mine] = -np.inf
            best[part] = fits.argmax(axis=1)
            score[part] = fits[rows, best[part]]
    return own, best, score


def _others(mine: np.ndarray, photos: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each of `mine` (q,) another of `photos` (sorted), drawn at random."""
    place = np.searchsorted(photos, mine)
    return photos[(place + rng.integers(1, len(photos), len(mine))) % len(photos)]
