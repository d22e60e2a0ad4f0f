"""Looks into how images and captions align: overlap, hubs, the gap, and what is found worst."""

import numpy as np

from pairlight.metrics import retrieval
from pairlight.metrics.geometry import gap
from pairlight.metrics.groups import by_category, by_length, rank_histogram
from pairlight.metrics.hubness import hubness
from pairlight.metrics.similarity import similarity
from pairlight.types import Embeddings, Json

# A kind with fewer captions is not called hard or easy: its recall is mostly luck.
TELLING = 50


def analyse(
    embeddings: Embeddings, seed: int = 0, ranks: tuple[np.ndarray, np.ndarray] | None = None
) -> Json:
    """Return the alignment analysis of `evaluate --json`: plain numbers, ready for JSON.

    `seed` is of the sample of wrong pairs that stands for more than 8 million; all else is exact.
    `ranks` as `retrieval.ranks` gives them, where they are known already. What is undefined (no
    wrong pair, no gap) is None. Never holds the score matrix: a few blocks of it, and up to three
    copies of the embeddings. Raises `DataError` when a row is not finite or not of unit length.
    """
    images, texts = embeddings.images, embeddings.texts
    if ranks is None:
        ranks = retrieval.ranks(images, texts, embeddings.owner)
    else:
        retrieval.check(images, texts, embeddings.owner)
    i2t, t2i = ranks
    return {
        "similarity": similarity(images, texts, embeddings.owner, seed),
        "hubness": hubness(embeddings),
        "gap": gap(images, texts, embeddings.owner),
        "by_length": by_length(embeddings.captions, t2i),
        "by_category": by_category(embeddings, i2t, t2i),
        "rank_histogram": {"i2t": rank_histogram(i2t), "t2i": rank_histogram(t2i)},
    }


def describe(analysis: Json, images: int, captions: int) -> list[str]:
    """Return the most telling findings of `analyse`, a line each, in plain words."""
    lines = []
    scores = analysis["similarity"]
    if scores["auc"] is not None:
        wrong = round(scores["negative"]["mean"], 2) + 0.0  # never "-0.00"
        lines += [
            f"right pairs score {scores['positive']['mean']:.2f} on average, wrong ones "
            f"{wrong:.2f}; they overlap by {100 * scores['overlap']:.1f} %,",
            f"  and a right pair beats a wrong one {100 * scores['auc']:.2f} % of the time",
        ]
    lines += _hubs(analysis["hubness"], images, captions)
    closed = analysis["gap"]["closed"]
    if closed is not None:
        lines.append(f"with the modality gap closed, rsum would be {closed['rsum']:.1f}")
    lines += _lengths(analysis["by_length"])
    lines += _kinds(analysis["by_category"])
    return lines


def _hubs(found: Json, images: int, captions: int) -> list[str]:
    k, top = found["k"], found["images"]["top"][0]
    if images <= 2 * k:  # most images are among the first ten of anything
        return []
    never = [100 * found[side]["never"] for side in ("images", "captions")]
    even = captions * k / images
    return [
        f"{never[0]:.1f} % of the photos and {never[1]:.1f} % of the captions are among nobody's "
        f"first {k};",
        f"  photo {top['id']} is among those of {top['count']:,.0f} captions, "
        f"{even:,.0f} would be even",
    ]


def _lengths(bins: list[Json]) -> list[str]:
    bins = [each for each in bins if each["captions"] >= TELLING]
    if len(bins) < 2:
        return []
    ordered = sorted(bins, key=lambda each: each["R@1"])
    worst, best = ((_span(each["words"]), each["R@1"]) for each in (ordered[0], ordered[-1]))
    return [
        f"captions of {worst[0]} words find their photo first {worst[1]:.1f} % of the time, "
        f"of {best[0]} {best[1]:.1f} %"
    ]


def _kinds(kinds: list[Json]) -> list[str]:
    kinds = [each for each in kinds if each["captions"] >= TELLING]
    if len(kinds) < 2:
        return []
    ordered = sorted(kinds, key=lambda each: each["t2i_R@1"])
    few = min(3, len(ordered) // 2)
    what = "captions with the word" if kinds[0]["source"] == "word" else "captions of category"
    return [
        f"{how} {what}: " + ", ".join(f"{x['category']} {x['t2i_R@1']:.1f} %" for x in some)
        for how, some in (("hardest", ordered[:few]), ("easiest", ordered[: -few - 1 : -1]))
    ]


def _span(words: list[int]) -> str:
    return f"{words[0]}-{words[1]}" if words[0] != words[1] else str(words[0])
