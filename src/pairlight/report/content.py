"""Gathers what the report's map and failures browser show, as compact JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pairlight.plots.study import Study
from pairlight.plots.worst import Failure, failed_captions, failed_images
from pairlight.types import Json

# Failures of one direction on the page where there are too many photos to hold all.
MOST_FAILURES = 300
GRID = 10_000  # the map's places are whole numbers from 0 to this


@dataclass(frozen=True)
class Chosen:
    """Rows of the images and captions that the page holds, ascending, and its failures."""

    images: np.ndarray
    captions: np.ndarray
    i2t: list[Failure]
    t2i: list[Failure]


def choose(study: Study) -> Chosen:
    """Return the photos on the page: those of the map, and those that the failures show.

    Where the map holds all images the failures are complete, else the worst 300 each way. All
    captions of a photo on the page are on it too.
    """
    embeddings = study.embeddings
    everything = np.arange(len(embeddings.images))
    mapped = everything if study.layout is None else study.layout.rows
    most = None if len(mapped) == len(everything) else MOST_FAILURES
    i2t = failed_images(embeddings, study.i2t, most)
    t2i = failed_captions(embeddings, study.t2i, most)
    rows = set(mapped.tolist())
    for each in i2t:
        rows |= {each.query, *(int(embeddings.owner[j]) for j in each.found)}
    for each in t2i:
        rows |= {int(embeddings.owner[each.query]), *each.found}
    images = np.array(sorted(rows), np.int64)
    captions = np.flatnonzero(np.isin(embeddings.owner, images))
    return Chosen(images, captions, i2t, t2i)


def page_data(study: Study, chosen: Chosen, small: Sequence[str | None]) -> Json:
    """Return what the scripts read; `small` holds a base64 JPEG for each of `chosen.images`.

    Photos and captions are numbered anew, in order, as the page holds them. A photo or caption
    that is not on the map has the place null.
    """
    embeddings = study.embeddings
    image_at = {int(row): at for at, row in enumerate(chosen.images)}
    caption_at = {int(row): at for at, row in enumerate(chosen.captions)}
    places = _places(study)
    names = list(study.layout.clusters.names) if study.layout else []
    return {
        "grid": GRID,
        "clusters": names,
        "photos": {
            "name": [embeddings.image_ids[row] for row in chosen.images],
            "thumb": list(small),
            **_columns(places, "images", chosen.images),
        },
        "captions": {
            "text": [embeddings.captions[row] for row in chosen.captions],
            "photo": [image_at[int(embeddings.owner[row])] for row in chosen.captions],
            **_columns(places, "texts", chosen.captions),
        },
        # Each failure: query, rank, right answer, its cosine, what was found, their cosines.
        "failures": {
            "i2t": [_record(each, image_at, caption_at) for each in chosen.i2t],
            "t2i": [_record(each, caption_at, image_at) for each in chosen.t2i],
        },
        "totals": {
            "i2t": [int((study.i2t > 1).sum()), int((study.i2t > 0).sum())],
            "t2i": [int((study.t2i > 1).sum()), len(study.t2i)],
        },
    }


def _record(failure: Failure, queries: dict[int, int], answers: dict[int, int]) -> list[object]:
    return [
        queries[failure.query],
        failure.rank,
        answers[failure.right],
        round(failure.score, 3),
        [answers[row] for row in failure.found],
        [round(score, 3) for score in failure.scores],
    ]


def _places(study: Study) -> dict[str, dict[int, tuple[int, int, int]]]:
    """Return x, y (whole numbers, y downwards) and group of each laid-out image and caption."""
    layout = study.layout
    if layout is None:
        return {"images": {}, "texts": {}}
    plane = np.concatenate([layout.images, layout.texts]).astype(np.float64)
    low, high = plane.min(axis=0), plane.max(axis=0)
    side = max(float((high - low).max()), 1e-9)
    # Both axes alike, and the shorter one in the middle.
    margin = (side - (high - low)) / 2
    plane = np.rint((plane - low + margin) / side * GRID).astype(int)
    plane[:, 1] = GRID - plane[:, 1]
    images, texts = plane[: len(layout.rows)], plane[len(layout.rows) :]
    return {
        kind: {
            int(row): (int(x), int(y), int(group))
            for row, (x, y), group in zip(rows, at, groups, strict=True)
        }
        for kind, rows, at, groups in (
            ("images", layout.rows, images, layout.clusters.images),
            ("texts", layout.columns, texts, layout.clusters.texts),
        )
    }


def _columns(places: dict[str, dict], kind: str, rows: Iterable[int]) -> Json:
    found = [places[kind].get(int(row), (None, None, None)) for row in rows]
    return {key: [each[n] for each in found] for n, key in enumerate(("x", "y", "cluster"))}


def shown_large(study: Study) -> list[int]:
    """Return the rows of images that the galleries show: found for a query, or most often."""
    rows = {row for found in study.found for row in found.rows}
    hubs = study.analysis.get("hubness")
    if hubs:
        wanted = {hub["id"] for hub in hubs["images"]["top"]}
        ids = study.embeddings.image_ids
        rows |= {row for row, name in enumerate(ids) if name in wanted}
    return sorted(rows)
