"""Groups images and captions by k-means and names each group by its most telling words."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from pairlight.plots.canvas import PALETTE

MOST = len(PALETTE)  # more groups than that cannot be told apart by colour
# Words that name a group badly though they are no stop words: every caption of photos has them.
DULL = ENGLISH_STOP_WORDS | {
    *("wearing", "standing", "stands", "looking", "looks", "holding", "photo", "picture")
}
_WORD = re.compile(r"[^\W\d_]+")
# Scripts that put no spaces between words: their words are guessed as pairs of characters.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0e7f]")


@dataclass(frozen=True)
class Clusters:
    """The group of each image (n,) and caption (m,), counted from 0, and the groups' names.

    `together` is the share of captions that fell into the group of their own image.
    """

    images: np.ndarray
    texts: np.ndarray
    names: tuple[str, ...]
    together: float


def cluster(
    images: np.ndarray, texts: np.ndarray, owner: np.ndarray, captions: Sequence[str], seed: int = 0
) -> Clusters:
    """Group images (n, d) and captions (m, d) of unit length by k-means, seeded.

    Each kind is moved to its own mean first: otherwise the gap between the kinds, not what they
    show, would part them. Images and captions are grouped apart from who belongs to whom, so a
    pair in two groups is a pair that the model does not see as one. The largest group comes first.
    """
    points = np.concatenate([images - images.mean(axis=0), texts - texts.mean(axis=0)])
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    points = points / np.maximum(lengths, 1e-12)
    count = group_count(len(images), len(np.unique(points.round(6), axis=0)))
    means = KMeans(count, n_init=4, random_state=seed)  # type: ignore[arg-type]
    found = means.fit_predict(points)
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    found = np.argsort(order)[found]
    of_images, of_texts = found[: len(images)], found[len(images) :]
    words = [
        [captions[int(at)] for at in np.flatnonzero(of_texts == number)] for number in range(count)
    ]
    together = float(np.mean(of_texts == of_images[owner])) if len(owner) else 0.0
    return Clusters(of_images, of_texts, tuple(name_groups(words)), together)


def group_count(images: int, distinct: int) -> int:
    """Return the number of groups: more for more images, at most one a distinct point."""
    return max(1, min(MOST, round((images / 2) ** 0.5), distinct))


def name_groups(groups: Sequence[Sequence[str]], most: int = 3) -> list[str]:
    """Return a name for each group of captions: the words it has far more often than the others.

    Words are weighed by the log of how much more often captions of the group hold them, times
    how many do. Names are all different; a group without captions or telling words is numbered.
    """
    counts = [Counter(w for text in group for w in set(words_of(text))) for group in groups]
    total = sum(counts, Counter())
    size = sum(map(len, groups))
    names: list[str] = []
    for number, (group, count) in enumerate(zip(groups, counts, strict=True), 1):
        rest = size - len(group)
        weighed = []
        for word, here in count.items():
            share = (here + 0.5) / (len(group) + 1)
            elsewhere = (total[word] - here + 0.5) / (rest + 1)
            weight = here * np.log(share / elsewhere)
            if weight > 0 and (here > 1 or len(group) <= 3):
                weighed.append((-weight, word))
        name = ", ".join(_apart([word for _, word in sorted(weighed)])[:most])
        name = name or f"group {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return names


def _apart(words: Sequence[str]) -> list[str]:
    """Leave out a word that is the plural or singular of an earlier one."""
    kept: list[str] = []
    for word in words:
        if not any(word in (f"{other}s", other.removesuffix("s")) for other in kept):
            kept.append(word)
    return kept


def words_of(text: str) -> list[str]:
    """Return the words of a caption that may name a group, in lower case."""
    found = []
    for word in _WORD.findall(text.lower()):
        if _UNSPACED.search(word):
            found += [word[at : at + 2] for at in range(max(1, len(word) - 1))]
        elif len(word) > 2 and word not in DULL:
            found.append(word)
    return found
