"""Finds one picture that is there more than once: within a split, or as a leak across splits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pairlight.data.duplicates import connected, near_pairs
from pairlight.doctor.inspect import Look
from pairlight.types import Json, Photo

# Two photos of one scene, seconds apart, score like this; unlike ones hardly ever do.
LOOK_ALIKE = 0.96
# Mirrored, unlike photos come within four bits of each other, too (two of Flickr8k's, 24 levels of
# grey apart); re-encoded mirror images of its photos stay within 2.
MIRROR_GREY = 10.0
_MOST_PAIRS = 1000
_BLOCK = 1024
WAYS = ("bytes", "pixels", "mirrored")


@dataclass(frozen=True)
class Twins:
    """Photos, by row, that show one picture; `how` is the loosest of `WAYS` that joins them."""

    rows: tuple[int, ...]
    how: str


def find_twins(looks: Sequence[Look]) -> list[Twins]:
    """Return groups of at least two rows with equal bytes, nearly equal or mirrored pixels.

    Files that did not open are left out. Pixels are compared as `pairlight split` does.
    """
    rows = [row for row, look in enumerate(looks) if look.tiny is not None]
    links = {way: _links(looks, rows, way) for way in WAYS}
    groups = connected(len(looks), [link for found in links.values() for link in found])
    number = {row: n for n, group in enumerate(groups) for row in group}
    inside: list[dict[str, list[tuple[int, int]]]] = [{way: [] for way in WAYS} for _ in groups]
    for way, found in links.items():
        for link in found:
            inside[number[link[0]]][way].append(link)
    return [Twins(tuple(g), _how(g, found)) for g, found in zip(groups, inside, strict=True)]


def _how(group: list[int], links: dict[str, list[tuple[int, int]]]) -> str:
    """Return the first way that, with those before it, joins the whole group."""
    place = {row: n for n, row in enumerate(group)}
    used: list[tuple[int, int]] = []
    for way in WAYS:
        used += [(place[one], place[other]) for one, other in links[way]]
        if any(len(part) == len(group) for part in connected(len(group), used)):
            return way
    return WAYS[-1]


def _links(looks: Sequence[Look], rows: list[int], way: str) -> list[tuple[int, int]]:
    if way == "bytes":
        first: dict[str, int] = {}
        links = [(first.setdefault(looks[row].sha256, row), row) for row in rows]
        return [(one, other) for one, other in links if one != other]
    if not rows:
        return []
    greys = np.stack([looks[row].tiny for row in rows])  # type: ignore[arg-type]
    if way == "pixels":
        return [(rows[one], rows[other]) for one, other in near_pairs(greys)]
    both = np.concatenate([greys, greys[:, :, ::-1]])
    count = len(rows)
    pairs = ((one, other - count) for one, other in near_pairs(both) if one < count <= other)
    # A symmetrical picture is its own mirror image, and (a, b') comes again as (b, a').
    pairs = ((one, other) for one, other in pairs if one < other)
    flat = both.reshape(2 * count, -1).astype(np.float32)
    away = {pair: np.abs(flat[pair[0]] - flat[pair[1] + count]).mean() for pair in pairs}
    return [(rows[one], rows[other]) for (one, other), grey in away.items() if grey <= MIRROR_GREY]


def look_alikes(
    images: np.ndarray, rows: Sequence[int], twins: Sequence[Twins], least: float = LOOK_ALIKE
) -> list[tuple[int, int, float]]:
    """Return pairs of rows whose embeddings (n, d) have a cosine of at least `least`, best first.

    `rows` (n,) names the photos. Pairs within one of `twins` are known already; of more than a
    thousand pairs the best are returned.
    """
    group = {row: number for number, each in enumerate(twins) for row in each.rows}
    pairs = []
    for start in range(0, len(images), _BLOCK):
        scores = images[start : start + _BLOCK] @ images.T
        for one, other in np.argwhere(scores >= least):
            a, b = rows[start + one], rows[other]
            if start + one < other and (a not in group or group[a] != group.get(b)):
                pairs.append((int(a), int(b), float(scores[one, other])))
    return sorted(pairs, key=lambda pair: -pair[2])[:_MOST_PAIRS]


def describe(twins: Twins, photos: Sequence[Photo]) -> Json:
    """Return a group as plain values: how it is alike, ids, files and splits."""
    members = [photos[row] for row in twins.rows]
    return {
        "how": twins.how,
        "image_ids": [photo.image_id for photo in members],
        "splits": [photo.split for photo in members],
        "files": [str(photo.image) for photo in members],
    }


def leaks(twins: Twins, photos: Sequence[Photo]) -> bool:
    """Tell whether a group stands in more than one split; photos in none do not count."""
    return len({photos[row].split for row in twins.rows} - {None}) > 1
