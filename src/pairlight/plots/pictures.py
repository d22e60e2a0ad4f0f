"""Draws every picture of one split: projection, heatmap, histograms, search results, failures."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pairlight.plots.failures import SHOWN, plot_failed_captions, plot_failed_images
from pairlight.plots.gallery import plot_image_to_text, plot_text_to_image
from pairlight.plots.heatmap import plot_similarity
from pairlight.plots.histograms import plot_histograms
from pairlight.plots.projection import plot_tsne
from pairlight.plots.study import Study
from pairlight.plots.worst import failed_captions, failed_images
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


def draw_pictures(study: Study, out: Path, top: int = 5, pairs: int = 10) -> Pictures:
    """Draw all pictures of `study` into the folder `out`.

    `pairs` images for the heatmap, and three for the `top` captions, are drawn by the study's seed.
    """
    embeddings = study.embeddings
    done = Pictures(notes=list(study.notes))
    rng = np.random.default_rng(study.seed)
    if study.layout is not None:
        _draw(done, plot_tsne, embeddings, out / "tsne.png", study.seed, study.layout)
    chosen = np.sort(rng.permutation(np.unique(embeddings.owner))[:pairs])
    first = [int(np.flatnonzero(embeddings.owner == row)[0]) for row in chosen]
    similarity = embeddings.images[chosen] @ embeddings.texts[first].T
    paths = [embeddings.paths[row] for row in chosen]
    captions = [embeddings.captions[column] for column in first]
    _draw(done, plot_similarity, paths, captions, similarity, out / "similarity_matrix.png")
    _draw_captions(done, embeddings, chosen[:3], top, out / "captions.png")
    _draw_queries(done, study, out)
    spread = study.analysis["similarity"]
    _draw(done, plot_histograms, spread, study.i2t, study.t2i, out / "histograms.png")
    _draw_failures(done, study, out)
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


def _draw_queries(done: Pictures, study: Study, out: Path) -> None:
    """Draw the photos that each query found."""
    taken: set[str] = set()
    total = len(study.embeddings.images)
    for found in study.found:
        paths = [study.embeddings.paths[at] for at in found.rows]
        path = out / f"results_{file_name(found.query, taken)}.png"
        _draw(done, plot_text_to_image, found.query, paths, found.scores, path, gallery=total)


def _draw_failures(done: Pictures, study: Study, out: Path) -> None:
    """Draw the worst failures of both directions; a picture without any says so."""
    embeddings = study.embeddings
    images = failed_images(embeddings, study.i2t, SHOWN)
    total = int((study.i2t > 1).sum())
    _draw(done, plot_failed_images, embeddings, images, total, out / "failures_i2t.png")
    captions = failed_captions(embeddings, study.t2i, SHOWN, one_an_image=True)
    total = int((study.t2i > 1).sum())
    _draw(done, plot_failed_captions, embeddings, captions, total, out / "failures_t2i.png")


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
