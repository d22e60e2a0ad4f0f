"""Computes once what the pictures and the report both show of one split."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pairlight.embed import Encoder
from pairlight.errors import ConfigError, DataError
from pairlight.hubs import uncorrected
from pairlight.metrics.analysis import analyse
from pairlight.metrics.retrieval import ranks
from pairlight.plots.projection import FEWEST, Layout, lay_out
from pairlight.runtime.word_vectors import encode_queries
from pairlight.types import Embeddings, Json


@dataclass(frozen=True)
class Found:
    """The best photos for one query: rows of the images, best first, and their cosines."""

    query: str
    rows: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Study:
    """One split as a model sees it.

    `i2t` (n,) and `t2i` (m,) are ranks of the right answers, 0 where an image has no caption;
    `layout` is None when there are too few points; `analysis` is of `pairlight.metrics.analysis`;
    `notes` are warnings in words.
    """

    embeddings: Embeddings
    i2t: np.ndarray
    t2i: np.ndarray
    analysis: Json
    layout: Layout | None
    found: tuple[Found, ...]
    seed: int = 0
    notes: list[str] = field(default_factory=list)


def make_study(
    model: Encoder,
    embeddings: Embeddings,
    queries: Sequence[str],
    top: int = 5,
    seed: int = 0,
    say: Callable[[str], None] = lambda words: None,
) -> Study:
    """Rank, lay out and analyse `embeddings`, and find the `top` photos for each query.

    `say` is told of the long step. Raises `ConfigError` for an empty query, and `DataError` when
    no image or caption is left, or a number is not finite.
    """
    check_queries(queries)
    if not len(embeddings.images) or not len(embeddings.texts):
        raise DataError("no image with a caption could be read, so there is nothing to draw")
    i2t, t2i = ranks(embeddings.images, embeddings.texts, embeddings.owner)
    found = find(model, embeddings, queries, top)
    layout, notes = None, []
    if len(embeddings.images) + len(embeddings.texts) >= FEWEST:
        say("laying out images and captions by t-SNE")
        images, texts = (uncorrected(model, each) for each in (embeddings.images, embeddings.texts))
        layout = lay_out(dataclasses.replace(embeddings, images=images, texts=texts), seed)
    else:
        notes.append("one image and one caption are too few for t-SNE; tsne.png is left out")
    analysis = analyse(embeddings, seed, (i2t, t2i))
    return Study(embeddings, i2t, t2i, analysis, layout, found, seed, notes)


def check_queries(queries: Sequence[str]) -> None:
    """Raise `ConfigError` for a query without a word."""
    if not all(query.strip() for query in queries):
        raise ConfigError("an empty --query finds nothing; write a few words")


def find(
    model: Encoder, embeddings: Embeddings, queries: Sequence[str], top: int
) -> tuple[Found, ...]:
    """Return the `top` photos for each different query, queries in order."""
    queries = list(dict.fromkeys(query.strip() for query in queries))
    if not queries:
        return ()
    asked = encode_queries(model, queries)
    similarity = asked @ embeddings.images.T  # (queries, images)
    done = []
    for query, row in zip(queries, similarity, strict=True):
        if not np.isfinite(row).all():
            raise DataError(f"query {query!r}: its embedding holds NaN or infinity")
        best = np.argsort(-row, kind="stable")[:top]
        done.append(Found(query, tuple(map(int, best)), tuple(map(float, row[best]))))
    return tuple(done)
