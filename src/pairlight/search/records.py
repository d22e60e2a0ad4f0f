"""Names the records that cross borders between the parts of search."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pairlight.types import Json

if TYPE_CHECKING:
    import numpy as np

INT64 = 2**63 - 1  # what SQLite's integers hold


class Encoder(Protocol):
    """A loaded model, with torch or without: pixels and texts in, rows of unit length out."""

    name: str
    sha256: str
    embed_dim: int
    image_size: int

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return (n, d) float32 embeddings of pixels (n, S, S, 3) uint8."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32 embeddings of texts."""
        ...


@dataclass(frozen=True)
class Fingerprint:
    """Which model made a store's vectors; vectors of two models cannot be compared."""

    name: str
    sha256: str
    embed_dim: int
    image_size: int

    @classmethod
    def of(cls, model: Encoder) -> Fingerprint:
        """Return the fingerprint of a loaded model."""
        return cls(model.name, model.sha256, model.embed_dim, model.image_size)

    def same(self, other: Fingerprint) -> bool:
        """Whether vectors of both may be compared; the name is only a label."""
        mine = (self.sha256, self.embed_dim, self.image_size)
        return mine == (other.sha256, other.embed_dim, other.image_size)

    def __str__(self) -> str:
        return f"{self.name} ({self.sha256[:8]}, {self.embed_dim} dimensions)"


@dataclass(frozen=True)
class Found:
    """A photo file that a scan came upon.

    `path` is absolute; bytes that are no UTF-8 are in it as surrogates (see `os.fsdecode`).
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str, facts: os.stat_result) -> Found:
        """Return the file at `path`; a time past what a store can hold counts as the last it can.

        Nanoseconds of 64 bits end in the year 2262, and clocks are set wrong at times.
        """
        return cls(path, facts.st_size, max(-INT64, min(facts.st_mtime_ns, INT64)))


@dataclass(frozen=True)
class Facts:
    """What a photo's file tells about it: pixels after EXIF rotation, and when it was taken.

    `taken` is local time as `2024-05-31T18:20:00`, None where the file does not say.
    """

    width: int
    height: int
    taken: str | None


@dataclass(frozen=True)
class Known:
    """A photo as the store has it; `content` numbers its bytes: equal files share one."""

    id: int
    path: str
    size: int
    mtime_ns: int
    content: int


@dataclass(frozen=True)
class NewContent:
    """Bytes that the store does not have yet under its model, with their embedding (d,) float32."""

    sha256: bytes
    facts: Facts
    vector: np.ndarray


@dataclass(frozen=True)
class Batch:
    """What one transaction adds.

    `photos` pairs each file with the sha256 of its bytes; `moves` maps paths among them to the id
    of the photo that was there under another path before; `lost` are ids of photos whose file
    holds something unreadable now.
    """

    contents: list[NewContent] = field(default_factory=list)
    photos: list[tuple[Found, bytes]] = field(default_factory=list)
    moves: dict[str, int] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Stored:
    """One photo of a store, as search results show it."""

    id: int
    path: str
    content: int
    size: int
    width: int
    height: int
    taken: str | None


@dataclass(frozen=True)
class Filters:
    """Which photos may be found at all; what is left None does not restrict.

    `path` is a glob (see `names.glob_pattern`); `after` and `before` are ISO dates or times, the
    first inclusive, the second exclusive; sizes are in bytes, widths and heights in pixels.
    """

    path: str | None = None
    after: str | None = None
    before: str | None = None
    min_size: int | None = None
    max_size: int | None = None
    min_width: int | None = None
    min_height: int | None = None

    def __bool__(self) -> bool:
        return any(value is not None for value in vars(self).values())


@dataclass(frozen=True)
class Hit:
    """One search result.

    `score` is the cosine in [-1, 1]; `relevance` the calibrated probability in [0, 1] that the
    photo shows what was asked for, None without a calibration. `duplicates` are photos folded
    into this one: the same bytes, or nearly the same embedding.
    """

    photo: Stored
    score: float
    relevance: float | None
    duplicates: tuple[Stored, ...] = ()

    def to_json(self) -> Json:
        """Return the hit as plain values."""
        photo = self.photo
        return {
            "path": photo.path,
            "score": self.score,
            "relevance": self.relevance,
            "id": photo.id,
            "taken": photo.taken,
            "width": photo.width,
            "height": photo.height,
            "size": photo.size,
            "duplicates": [each.path for each in self.duplicates],
        }
