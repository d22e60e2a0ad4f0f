"""Draws every picture of one split: projection, heatmap and search results."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pairlight.embed import Encoder
from pairlight.errors import ConfigError, DataError
from pairlight.plots.gallery import plot_image_to_text, plot_text_to_image
from pairlight.plots.heatmap import plot_similarity
from pairlight.plots.projection import FEWEST, plot_tsne
from pairlight.types import Embeddings

QUERIES = (
    "a dog running on the beach",
    "children playing in the water",
    "sunset over mountains",
    "a man riding a bicycle",
)


@dataclass
class Pictures:
    """What was drawn: the files, and warnings in words."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def draw_pictures(
    model: Encoder,
    embeddings: Embeddings,
    out: Path,
    queries: Sequence[str] = QUERIES,
    top: int = 5,
    pairs: int = 10,
    seed: int = 0,
) -> Pictures:
    """Draw `embeddings` of one split, and the best photos for each query, into the folder `out`.

    `pairs` images for the heatmap, and three for the captions, are drawn by `seed`. Raises
    `ConfigError` for an empty query and `DataError` when no image or caption is left.
    """
    if not all(query.strip() for query in queries):
        raise ConfigError("an empty --query finds nothing; write a few words")
    if not len(embeddings.images) or not len(embeddings.texts):
        raise DataError("no image with a caption could be read, so there is nothing to draw")
    done = Pictures()
    rng = np.random.default_rng(seed)
    if len(embeddings.images) + len(embeddings.texts) >= FEWEST:
        _draw(done, plot_tsne, embeddings, out / "tsne.png", seed=seed)
    else:
        done.notes.append("one image and one caption are too few for t-SNE; tsne.png is left out")
    chosen = np.sort(rng.permutation(np.unique(embeddings.owner))[:pairs])
    first = [int(np.flatnonzero(embeddings.owner == row)[0]) for row in chosen]
    similarity = embeddings.images[chosen] @ embeddings.texts[first].T
    paths = [embeddings.paths[row] for row in chosen]
    captions = [embeddings.captions[column] for column in first]
    _draw(done, plot_similarity, paths, captions, similarity, out / "similarity_matrix.png")
    _draw_captions(done, embeddings, chosen[:3], top, out / "captions.png")
    _draw_queries(done, model, embeddings, queries, top, out)
    return done


def _draw(done: Pictures, plot, *arguments, **options) -> None:
    done.notes += [note for note in plot(*arguments, **options) if note not in done.notes]
    done.files.append(next(a for a in reversed(arguments) if isinstance(a, Path)))


def _draw_captions(
    done: Pictures, embeddings: Embeddings, rows: np.ndarray, top: int, path: Path
) -> None:
    """Draw the `top` captions of all for each image in `rows`."""
    captions, scores, right = [], [], []
    for row in rows:
        similarity = embeddings.texts @ embeddings.images[row]  # (m,)
        best = np.argsort(-similarity, kind="stable")[:top]
        captions.append([embeddings.captions[column] for column in best])
        scores.append(similarity[best])
        right.append(embeddings.owner[best] == row)
    paths = [embeddings.paths[row] for row in rows]
    total = len(embeddings.texts)
    _draw(done, plot_image_to_text, paths, captions, scores, right, path, gallery=total)


def _draw_queries(
    done: Pictures,
    model: Encoder,
    embeddings: Embeddings,
    queries: Sequence[str],
    top: int,
    out: Path,
) -> None:
    """Draw the `top` photos for each query."""
    queries = list(dict.fromkeys(query.strip() for query in queries))
    if not queries:
        return
    taken: set[str] = set()
    similarity = model.encode_texts(queries) @ embeddings.images.T  # (queries, images)
    for query, row in zip(queries, similarity, strict=True):
        best = np.argsort(-row, kind="stable")[:top]
        paths = [embeddings.paths[at] for at in best]
        path = out / f"results_{file_name(query, taken)}.png"
        total = len(embeddings.images)
        _draw(done, plot_text_to_image, query, paths, row[best], path, gallery=total)


def file_name(query: str, taken: set[str]) -> str:
    """Return `query` as part of a file name that is not in `taken`, and add it there.

    Spaces become `_`; letters and digits of any script, `-` and `_` stay, all else goes; at most
    60 characters. A name already taken, letter case aside, gets a number.
    """
    text = "_".join(unicodedata.normalize("NFC", query).split())
    name = "".join(c for c in text if c in "-_" or unicodedata.category(c)[0] in "LMN")
    name = name[:60].strip("_") or "query"
    numbered, count = name, 1
    while numbered.casefold() in taken:
        count += 1
        numbered = f"{name}_{count}"
    taken.add(numbered.casefold())
    return numbered
