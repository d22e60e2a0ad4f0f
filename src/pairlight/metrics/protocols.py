"""Measures recall in smaller galleries: seeded random ones, or consecutive folds."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pairlight.errors import ConfigError
from pairlight.metrics import bootstrap, retrieval
from pairlight.types import Json

SPELLING = "full, random:N, random:NxDRAWS or folds:N, such as random:810x20"
MOST_DRAWS = 1000
_FORM = re.compile(r"(?:(?P<kind>random|folds):(?P<size>\d{1,9})(?:x(?P<draws>\d{1,9}))?|full)")


@dataclass(frozen=True)
class Protocol:
    """Which galleries to search: `kind` full, random or folds; `size` images in each."""

    kind: str
    size: int = 0
    draws: int = 1

    @property
    def name(self) -> str:
        """The spelling that `parse_protocols` reads, always the same for the same protocol."""
        if self.kind == "full":
            return "full"
        return f"{self.kind}:{self.size}" + (f"x{self.draws}" if self.draws > 1 else "")


def parse_protocols(words: Sequence[str]) -> tuple[Protocol, ...]:
    """Return the protocols that `words` name, each word one or several with commas between.

    A protocol named twice is measured once. Raises `ConfigError` for what is none.
    """
    names = [name.strip().lower() for word in words for name in word.split(",")]
    return tuple(dict.fromkeys(_parse(name) for name in names))


def _parse(name: str) -> Protocol:
    form = _FORM.fullmatch(name)
    if form is None or (form["draws"] and form["kind"] == "folds"):
        raise ConfigError(f"--protocol {name!r} is none; use {SPELLING}")
    if form["kind"] is None:
        return Protocol("full")
    size, draws = int(form["size"]), int(form["draws"] or 1)
    if size < 2:
        raise ConfigError(f"--protocol {name}: a gallery needs at least 2 images")
    if not 1 <= draws <= MOST_DRAWS:
        raise ConfigError(f"--protocol {name}: the draws must be between 1 and {MOST_DRAWS}")
    return Protocol(form["kind"], size, draws)


def check_protocols(protocols: Sequence[Protocol], images: int, split: str) -> None:
    """Raise `ConfigError` for a protocol whose galleries hold more than the split's `images`."""
    for protocol in protocols:
        if protocol.size > images:
            raise ConfigError(
                f"--protocol {protocol.name}: split {split} has only {images:,} images; "
                f"ask for {images} or fewer"
            )


def measure(
    images: np.ndarray,
    texts: np.ndarray,
    owner: np.ndarray,
    protocol: Protocol,
    seed: int = 0,
    resamples: int = 1000,
) -> Json | None:
    """Return the mean results over the galleries of `protocol`; None when none can be filled.

    `images` (n, d), `texts` (m, d), `owner` (m,) as for `retrieval.ranks`. Every gallery is an
    evaluation of its own: its images with all their captions, and nothing else. Recalls, spreads,
    chances and intervals are in percent. `spread` is over the galleries, `std` with one degree of
    freedom less, None for a single gallery. `ci95` is a bootstrap over images of the hits and
    queries summed over the galleries: it speaks of other photos, `spread` of other galleries.
    """
    owner = np.asarray(owner)
    table = np.zeros((len(images), 8))
    rows, chances, sides = [], [], {"i2t": [], "t2i": []}
    captions = 0
    for chosen in galleries(protocol, owner, len(images), seed):
        kept = np.flatnonzero(np.isin(owner, chosen))
        inside = np.searchsorted(chosen, owner[kept])  # owners as rows of this gallery
        ranks = retrieval.ranks(images[chosen], texts[kept], inside)
        found = bootstrap.hits(*ranks, inside)
        table[chosen] += found
        rows.append(bootstrap.recalls(found.sum(axis=0)))
        chances.append(chance(inside, len(chosen)))
        captions += len(kept)
        for side, each in zip(sides, ranks, strict=True):
            sides[side].append(retrieval.summary(each))
    if not rows:
        return None
    values = np.array(rows)  # (galleries, 7)
    size = protocol.size or len(images)
    left_over = len(np.unique(owner)) % size if protocol.kind == "folds" else 0
    return {
        "images": size,
        "captions": captions / len(rows),
        "galleries": len(rows),
        "left_over": left_over,
        "seed": seed if protocol.kind == "random" else None,
        **{side: _means(found) for side, found in sides.items()},
        "rsum": float(values[:, 6].mean()),
        "spread": {name: _spread(values[:, c]) for c, name in enumerate(bootstrap.NAMES)},
        "ci95": bootstrap.intervals(table, resamples, seed),
        "chance": {side: _means([each[side] for each in chances]) for side in sides},
    }


def galleries(
    protocol: Protocol, owner: np.ndarray, images: int, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield the rows of `images` that make each gallery, in order.

    Images without captions stay in the full gallery alone. Draw d depends on the seed and d only:
    more draws begin with the same galleries. Folds are consecutive; what fills none is left over.
    """
    if protocol.kind == "full":
        yield np.arange(images)
        return
    rows = np.unique(owner)
    if protocol.kind == "folds":
        for start in range(0, len(rows) - protocol.size + 1, protocol.size):
            yield rows[start : start + protocol.size]
    elif protocol.size <= len(rows):
        for draw in range(protocol.draws):
            rng = np.random.default_rng([seed, draw])
            yield np.sort(rng.choice(rows, protocol.size, replace=False))


def chance(owner: np.ndarray, images: int) -> dict[str, dict[str, float]]:
    """Return the expected R@k, in percent, of a ranking drawn at random.

    `owner` (m,) of the captions; `images` is the size of the gallery. An image with c of m captions
    has none of them among k drawn with probability (m-c)/m * (m-c-1)/(m-1) * ... (k factors).
    """
    m = len(owner)
    counts = np.bincount(owner, minlength=images)
    wrong = m - counts[counts > 0].astype(np.float64)
    found: dict[str, dict[str, float]] = {"i2t": {}, "t2i": {}}
    for k in bootstrap.KS:
        missed = np.ones_like(wrong)
        for drawn in range(min(k, m)):
            missed *= np.maximum(wrong - drawn, 0) / (m - drawn)
        found["i2t"][f"R@{k}"] = float(100 * np.mean(1 - missed))
        found["t2i"][f"R@{k}"] = 100 * min(k / images, 1.0)
    return found


def in_words(protocol: Protocol, found: Json) -> str:
    """Return what the galleries of a measured protocol are, in words."""
    if protocol.kind == "full":
        return f"all {found['images']:,} images at once"
    many = found["galleries"]
    if protocol.kind == "folds":
        rest = f", {found['left_over']:,} left over" if found["left_over"] else ""
        folds = f"mean of {many} folds" if many > 1 else "1 fold"
        return f"{found['images']:,} consecutive images at a time, {folds}{rest}"
    draws = f"mean of {many} draws" if many > 1 else "a single draw"
    return f"{found['images']:,} random images at a time, {draws}, seed {found['seed']}"


def _means(found: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([each[key] for each in found])) for key in found[0]}


def _spread(values: np.ndarray) -> dict[str, float | None]:
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    return {"std": std, "min": float(values.min()), "max": float(values.max())}
