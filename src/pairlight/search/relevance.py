"""Makes hits with known truth out of captioned photos, to fit a calibration on."""

from collections.abc import Callable, Sequence

import numpy as np

from pairlight.search.calibration import FEATURES, Calibration, features, fit
from pairlight.search.matcher import spread_of
from pairlight.search.vocabulary import Vocabulary
from pairlight.words import PEOPLE, content_words, pieces, shown_words

SIZES = (20, 35, 50, 100, 200, 500)
QUERIES = 400
# Of each query the first hits are looked at and, at ranks that grow by half, some below them: what
# many photos show has its right hits there.
HITS = 5
ROUNDS = 6  # collections of each size; with 3 the cutoff that fits moves by 0.05 with the seed
# A caption covers a photo when the photo's own captions have this share of its words; between the
# two shares nobody knows, and such hits are left out.
COVERED, UNCOVERED = 0.6, 0.4


def coverage(captions: Sequence[str], owner: np.ndarray, photos: int) -> np.ndarray:
    """Return (m, photos) float32: the share of a caption's words that a photo's captions have."""
    said = [shown_words(each) for each in captions]
    place = {word: n for n, word in enumerate(sorted(set().union(*said)))}
    asked = np.zeros((len(captions), len(place)), np.float32)
    shown = np.zeros((photos, len(place)), np.float32)
    for row, (text, found) in enumerate(zip(captions, said, strict=True)):
        asked[row, [place[word] for word in content_words(text)]] = 1
        shown[owner[row], [place[word] for word in found]] = 1
    return asked @ shown.T / np.maximum(asked.sum(axis=1, keepdims=True), 1)


def questions(
    captions: Sequence[str], owner: np.ndarray, seed: int = 0
) -> tuple[list[str], np.ndarray]:
    """Return a piece of each caption that has one, drawn by seed, and their photos (p,)."""
    rng = np.random.default_rng(seed)
    # Of people alone ("a man") half of all photos are: so many such pieces would bend the fit.
    cut = [[each for each in pieces(text) if content_words(each) - PEOPLE] for text in captions]
    rows = [row for row, found in enumerate(cut) if found]
    return [cut[row][rng.integers(len(cut[row]))] for row in rows], owner[rows]


def with_pieces(
    texts: np.ndarray,
    owner: np.ndarray,
    captions: Sequence[str],
    encode: Callable[[Sequence[str]], np.ndarray],
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return embeddings, photos and texts of captions with those of their `questions` after them.

    `encode` embeds texts as `texts` (m, d) are.
    """
    short, of = questions(captions, owner, seed)
    return np.concatenate([texts, encode(short)]), np.append(owner, of), [*captions, *short]


def examples(
    images: np.ndarray,
    texts: np.ndarray,
    owner: np.ndarray,
    captions: Sequence[str],
    rng: np.random.Generator,
    sizes: Sequence[int] = SIZES,
    vocabulary: Vocabulary | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return features (m, 6) and truth (m,) bool of hits in collections.

    Photos (n, d) are drawn into collections of `sizes`; of the captions (c, d) half are of a photo
    that is in the collection, half of one that is not and that no photo there would fit either.
    A hit at one of `ranks_of` is right when it is the caption's own photo or covers its words.
    """
    cover = coverage(captions, owner, len(images))
    scores = texts @ images.T
    words = vocabulary or Vocabulary()
    found, right = [np.zeros((0, len(FEATURES)))], [np.zeros(0, bool)]
    for size in [*sizes] * ROUNDS:
        if size > len(images) // 2:
            continue
        chosen, ranks = rng.choice(len(images), size, replace=False), ranks_of(size)
        for query in _queries(chosen, cover, owner, rng):
            row = scores[query, chosen]
            top = np.argsort(-row)[ranks]
            covered, own = cover[query, chosen[top]], chosen[top] == owner[query]
            known = own | (covered >= COVERED) | (covered < UNCOVERED)
            found.append(features(row[top], spread_of(row), captions[query], words)[known])
            right.append((own | (covered >= COVERED))[known])
    return np.concatenate(found), np.concatenate(right)


def ranks_of(size: int) -> np.ndarray:
    """Return the ranks (r,), from 0, of the hits that are looked at in a collection of `size`."""
    deep = HITS * 1.5 ** np.arange(1, 40)
    return np.unique([*range(min(HITS, size)), *deep[deep < size / 2].astype(int)])


def _queries(chosen: np.ndarray, cover: np.ndarray, owner: np.ndarray, rng) -> list[int]:
    order = rng.permutation(len(owner))
    order = order[cover[order, owner[order]] > 0]  # captions of common words only ask for nothing
    present = np.isin(owner[order], chosen)
    # What might fit a photo here is no honest example of something absent.
    absent = ~present & (cover[order][:, chosen].max(axis=1) < 0.5)
    each = min(QUERIES // 2, present.sum(), absent.sum())  # as many of both, or few photos mislead
    return [*order[present][:each], *order[absent][:each]]


def fit_calibration(
    images: np.ndarray,
    texts: np.ndarray,
    owner: np.ndarray,
    captions: Sequence[str],
    seed: int = 0,
    vocabulary: Vocabulary | None = None,
    encode: Callable[[Sequence[str]], np.ndarray] | None = None,
) -> Calibration:
    """Return the calibration of a model from embeddings of photos it was not trained on.

    `images` (n, d), `texts` (m, d) of `captions`, `owner` (m,) rows of `images`; at least 100
    photos, in English. `vocabulary` is of the captions that it was trained on. With `encode`, which
    embeds texts as `texts` are, short pieces of the captions are asked as well, as people search.
    Raises `ModelError` where all that does not suffice.
    """
    facts = {"photos": len(images), "captions": len(texts)}
    if encode is not None:
        texts, owner, captions = with_pieces(texts, owner, captions, encode, seed)
        facts["pieces"] = len(texts) - facts["captions"]
    rng = np.random.default_rng(seed)
    found, right = examples(images, texts, owner, captions, rng, vocabulary=vocabulary)
    facts |= {"hits": len(right), "right": int(right.sum())}
    return fit(found, right, vocabulary=vocabulary, facts=facts)
