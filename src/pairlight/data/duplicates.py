"""Groups images that are the same picture: equal bytes, or nearly equal pixels."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pairlight.errors import DataError
from pairlight.imaging import open_image
from pairlight.threads import in_threads, untracked
from pairlight.types import Photo

# Among Flickr8k's 7,000 photos the nearest pair of different pictures is 5 bits apart.
MAX_BITS = 4
# Skies and blank pages have few edges, so their hashes agree by chance; their grey must as well.
MAX_GREY = 40.0
# Two hashes at most 4 bits apart agree in at least one of five bands (the pigeonhole principle).
_BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))


def group_duplicates(
    photos: Sequence[Photo],
    near: bool = True,
    workers: int | None = None,
    track: Callable = untracked,
) -> tuple[list[list[int]], list[str]]:
    """Return groups of at least two photos (their positions, ascending) that are one picture.

    Photos with equal sha256 belong together, and with `near` those within `MAX_BITS` of each
    other by difference hash (64 bits; Krawetz, 2013, "Kind of Like That"). The second result
    lists images that could not be opened, one line each; they are compared by sha256 only.
    """
    links: list[tuple[int, int]] = []
    first: dict[str, int] = {}
    for place, photo in enumerate(photos):
        links.append((first.setdefault(photo.sha256, place), place))
    problems: list[str] = []
    if near:
        paths = [photo.image for photo in photos]
        prints = track(in_threads(_fingerprint, paths, workers), "comparing images", len(paths))
        places, greys = [], []
        for place, grey in enumerate(prints):
            if isinstance(grey, np.ndarray):
                places.append(place)
                greys.append(grey)
            else:
                problems.append(str(grey))
        if greys:
            links += [(places[a], places[b]) for a, b in near_pairs(np.stack(greys))]
    return connected(len(photos), links), problems


def near_pairs(greys: np.ndarray) -> Iterable[tuple[int, int]]:
    """Yield positions of pairs that look the same; `greys` (n, 8, 9) uint8 are tiny images."""
    hashes = difference_hash(greys)
    flat = greys.reshape(len(greys), -1).astype(np.int16)
    for start, width in _BANDS:
        band = (hashes >> np.uint64(start)) & np.uint64(2**width - 1)
        order = np.argsort(band, kind="stable")
        edges = np.flatnonzero(np.diff(band[order])) + 1
        for bucket in np.split(order, edges):
            for place, one in enumerate(bucket[:-1]):
                others = bucket[place + 1 :]
                others = others[_bits(hashes[others] ^ hashes[one]) <= MAX_BITS]
                if len(others):
                    grey = np.abs(flat[others] - flat[one]).mean(axis=1)
                    yield from ((int(one), int(other)) for other in others[grey <= MAX_GREY])


def difference_hash(greys: np.ndarray) -> np.ndarray:
    """Return (n,) uint64 hashes of (n, 8, 9) grey images: is each pixel darker than the next?"""
    bits = (greys[:, :, 1:] > greys[:, :, :-1]).reshape(len(greys), 64)
    return np.packbits(bits, axis=1).view(np.uint64).reshape(-1)


def _fingerprint(path: Path) -> np.ndarray | DataError:
    try:
        image = open_image(path, 32).convert("L")
    except DataError as error:
        return error
    return np.array(image.resize((9, 8), Image.Resampling.BOX))


def _bits(values: np.ndarray) -> np.ndarray:
    """Return the number of ones in each uint64; numpy has it as `bitwise_count` from 2.0 on."""
    return np.unpackbits(values.reshape(-1, 1).view(np.uint8), axis=1).sum(axis=1)


def connected(count: int, links: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the connected components of at least two (union-find, the least as the root)."""
    root = list(range(count))

    def find(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for one, other in links:
        low, high = sorted((find(one), find(other)))
        root[high] = low
    members = defaultdict(list)
    for place in range(count):
        members[find(place)].append(place)
    return [group for group in members.values() if len(group) > 1]
