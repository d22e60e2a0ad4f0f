"""Breaks ranks down: by caption length, by what is seen, and how deep the right answers lie."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pairlight.metrics.words import content_words, words
from pairlight.types import Embeddings, Json

LENGTH_BINS = 5
MOST_CATEGORIES = 50
# The last rank of each stretch; the stretch after the last has no end.
STRETCHES = {"1": 1, "2-5": 5, "6-10": 10, "11-50": 50, "51-100": 100}
BEYOND = ">100"


def by_length(captions: Sequence[str], t2i: np.ndarray) -> list[Json]:
    """Return text-to-image results for captions of like length, shortest first.

    The bins hold about as many captions each, as far as whole words allow; `words` are the least
    and the most words in a bin. Empty when the captions are not known.
    """
    if len(captions) != len(t2i):
        return []
    lengths = np.array([len(words(caption)) for caption in captions])
    cuts = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_BINS + 1)[1:-1]))
    bins = np.searchsorted(cuts, lengths, side="left")  # a cut's own length stays below it
    return [
        {
            "words": [int(lengths[bins == b].min()), int(lengths[bins == b].max())],
            "captions": int(np.sum(bins == b)),
            **{f"R@{k}": _share(t2i[bins == b], k) for k in (1, 5, 10)},
            "median_rank": float(np.median(t2i[bins == b])),
        }
        for b in np.unique(bins)
    ]


def by_category(embeddings: Embeddings, i2t: np.ndarray, t2i: np.ndarray) -> list[Json]:
    """Return results for images and captions of one kind, most images first.

    Where the manifest gives any image of the split a `category`, these are the kinds (the 50
    largest), and all captions of an image count. Else they are the 20 most frequent content words
    that the captions of at least 20 images hold: then the images with such a caption and the
    captions with the word count. Kinds by word overlap. The gallery stays whole.
    """
    owner = embeddings.owner
    if any(name is not None for name in embeddings.categories):
        images = defaultdict(list)
        for row, name in enumerate(embeddings.categories):
            if name is not None:
                images[name].append(row)
        names = sorted(images, key=lambda name: (-len(images[name]), name))[:MOST_CATEGORIES]
        captions = {name: np.flatnonzero(np.isin(owner, images[name])) for name in names}
        return [
            {
                "category": name,
                "source": "manifest",
                **_kind(i2t[images[name]], t2i[captions[name]]),
            }
            for name in names
        ]
    if len(embeddings.captions) != len(owner):
        return []
    return [
        {"category": word, "source": "word", **_kind(i2t[np.unique(owner[rows])], t2i[rows])}
        for word, rows in content_words(embeddings.captions, owner.tolist())
    ]


def _kind(i2t: np.ndarray, t2i: np.ndarray) -> Json:
    """Return counts and recalls of the ranks of one kind's images and captions."""
    asking = i2t[i2t > 0]
    return {
        "images": len(i2t),
        "captions": len(t2i),
        **{f"i2t_R@{k}": _share(asking, k) for k in (1, 5, 10)},
        **{f"t2i_R@{k}": _share(t2i, k) for k in (1, 5, 10)},
    }


def rank_histogram(ranks: np.ndarray) -> dict[str, int]:
    """Return how many queries have ranks in each stretch; rank 0 marks no query."""
    ends = list(STRETCHES.values())
    at = np.searchsorted(ends, ranks[ranks > 0], side="left")
    counts = np.bincount(at, minlength=len(ends) + 1).tolist()
    return dict(zip([*STRETCHES, BEYOND], counts, strict=True))


def _share(ranks: np.ndarray, k: int) -> float | None:
    return float(100 * np.mean(ranks <= k)) if len(ranks) else None
